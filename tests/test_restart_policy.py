import pytest

from mesaya_ws.workers.restart_policy import DELAYS, MIN_SERVICE, RestartPolicy


def test_a_worker_that_has_served_for_a_while_is_followed_at_once():
    restarts = RestartPolicy()
    assert [restarts.delay(MIN_SERVICE) for _ in range(100)] == [0.0] * 100


def test_workers_that_end_at_once_are_waited_for_ever_longer_and_then_given_up():
    restarts = RestartPolicy()
    delays = [restarts.delay(0.0) for _ in range(len(DELAYS) + 2)]
    assert delays == [*DELAYS, None, None]
    assert delays[0] == 0.0
    assert sorted(DELAYS) == list(DELAYS)


@pytest.mark.parametrize("served", [MIN_SERVICE, MIN_SERVICE * 100])
def test_one_that_serves_for_a_while_makes_good_for_those_before(served):
    restarts = RestartPolicy()
    for _ in range(3):
        assert [restarts.delay(MIN_SERVICE - 0.1) for _ in DELAYS] == list(DELAYS)
        assert restarts.delay(served) == 0.0
