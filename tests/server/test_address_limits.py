from mesaya_ws.core.wire.frame_limits import BURST_SECONDS
from mesaya_ws.server.address_limits import AddressLimits


def test_handshakes_of_one_address_over_time_do_not_touch_others():
    limits = AddressLimits(0, 0.5)
    assert [limits.admit_handshake("a", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert limits.admit_handshake("b", 0.0)
    assert not limits.admit_handshake("a", 1.0)
    assert limits.admit_handshake("a", 3.1)


def test_one_handshake_is_always_possible_however_low_the_rate():
    limits = AddressLimits(0, 0.01)
    assert limits.admit_handshake("a", 0.0)
    assert not limits.admit_handshake("a", 99.0)
    for other in range(10):
        limits.admit_handshake(str(other), 99.0)
    assert not limits.admit_handshake("a", 99.5), "and it is not forgotten before"
    assert limits.admit_handshake("a", 200.0)


def test_no_limit_remembers_nothing():
    limits = AddressLimits(0, 0)
    assert not limits.is_active
    assert all(limits.admit_handshake("a", 0.0) for _ in range(1000))
    assert limits.remembered == 0


def test_addresses_that_stay_away_are_forgotten():
    limits = AddressLimits(0, 1)
    for number in range(1000):
        limits.admit_handshake(str(number), 0.0)
    assert limits.remembered == 1000
    for number in range(500):
        limits.admit_handshake("a", BURST_SECONDS + number / 1000)
    assert limits.remembered == 1


def test_number_of_addresses_is_bounded():
    limits = AddressLimits(0, 0.1, max_addresses=100)
    for number in range(1000):
        limits.admit_handshake(str(number), 0.0)
    assert limits.remembered == 100
    assert not limits.admit_handshake("999", 0.0), "the latest are kept"
