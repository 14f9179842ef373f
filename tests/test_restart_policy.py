import pytest

from mesaya_ws.workers.restart_policy import DELAYS, MIN_SERVICE, RestartPolicy


def test_policy_after_long_service_has_no_delay():
    restarts = RestartPolicy(DELAYS)
    assert [restarts.delay(MIN_SERVICE) for _ in range(100)] == [0.0] * 100


def test_policy_after_short_services_delays_longer_and_then_gives_up():
    restarts = RestartPolicy(DELAYS)
    delays = [restarts.delay(0.0) for _ in range(len(DELAYS) + 2)]
    assert delays == [*DELAYS, None, None]
    assert delays[0] == 0.0
    assert sorted(DELAYS) == list(DELAYS)


@pytest.mark.parametrize("served", [MIN_SERVICE, MIN_SERVICE * 100])
def test_policy_after_long_service_begins_to_count_anew(served):
    restarts = RestartPolicy(DELAYS)
    for _ in range(3):
        assert [restarts.delay(MIN_SERVICE - 0.1) for _ in DELAYS] == list(DELAYS)
        assert restarts.delay(served) == 0.0
