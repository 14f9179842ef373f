"""The log's time, as far as it can be known here."""

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.log_clock import LogClock

FAR = 10**12


def test_nothing_is_known_before_anything_was_read():
    clock = LogClock()
    assert (clock.time(5), clock.latest(5)) == (None, None)


def test_append_bounds_the_time_from_both_sides():
    clock = LogClock()
    clock.appended(FAR, 1000, 1040)
    assert (clock.time(2000), clock.latest(2000)) == (FAR + 960, FAR + 1000)


def test_records_that_are_read_bound_it_from_below_and_an_old_one_says_nothing_new():
    clock = LogClock()
    clock.read(FAR, 1000)
    clock.read(FAR - 500, 1001)
    assert (clock.time(1001), clock.latest(1001)) == (FAR + 1, None)


def test_clock_of_the_log_that_was_set_is_known_again_with_the_next_append():
    clock = LogClock()
    clock.appended(FAR, 1000, 1000)
    clock.appended(FAR - 3_600_000, 2000, 2000)
    assert clock.time(2000) == clock.latest(2000) == FAR - 3_600_000
    clock.read(FAR, 3000)
    assert (clock.time(3000), clock.latest(3000)) == (FAR, None)


@given(st.integers(-400_000, 400_000), st.lists(st.tuples(st.booleans(), *[st.integers(0, 5000)] * 3), max_size=20))
def test_time_is_never_past_the_true_one_nor_the_latest_before_it(wrong, steps):
    """`wrong` is by how much our clock differs; the log's runs as ours does."""
    clock, steady = LogClock(), 0

    def truth():
        return FAR + wrong + steady

    for is_ours, passes, before, after in steps:
        steady += passes
        if is_ours:
            began = steady
            steady += before
            timestamp = truth()
            steady += after
            clock.appended(timestamp, began, steady)
        else:
            clock.read(truth() - before, steady)
        assert clock.time(steady) <= truth()
        assert clock.latest(steady) is None or clock.latest(steady) >= truth()
