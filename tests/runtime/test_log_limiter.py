from mesaya_ws.runtime.log_limiter import LogLimiter
from tests.timing import Clock


def test_first_occurrence_of_each_key_is_admitted():
    limiter = LogLimiter(60, clock=Clock())
    assert limiter.admit("topic", "field") == 0
    assert limiter.admit("topic", "other") == 0


def test_repeats_are_admitted_once_an_interval_with_their_count():
    clock = Clock()
    limiter = LogLimiter(60, clock=clock)
    limiter.admit("a")
    assert [limiter.admit("a") for _ in range(3)] == [None] * 3
    clock.now = 59.9
    assert limiter.admit("a") is None
    clock.now = 60.0
    assert limiter.admit("a") == 4
    assert limiter.admit("a") is None


def test_keys_beyond_the_bound_share_one_line_until_an_old_one_is_forgotten():
    clock = Clock()
    limiter = LogLimiter(60, max_keys=2, clock=clock)
    assert [limiter.admit(key) for key in ("a", "b", "c", "d", "e")] == [0, 0, 0, None, None]
    assert len(limiter._since) <= 3
    clock.now = 61.0
    assert limiter.admit("f") == 0
    assert limiter.admit("g") == 0


def test_any_number_of_keys_is_bounded():
    clock = Clock()
    limiter = LogLimiter(60, max_keys=10, clock=clock)
    for number in range(1000):
        clock.now += 1
        limiter.admit(number)
        assert len(limiter._since) <= 11


def test_as_many_as_the_burst_are_admitted_in_an_interval():
    clock = Clock()
    limiter = LogLimiter(60, clock=clock, burst=3)
    assert [limiter.admit("a") for _ in range(5)] == [0, 0, 0, None, None]
    clock.now = 60.0
    assert [limiter.admit("a") for _ in range(4)] == [2, 0, 0, None]
