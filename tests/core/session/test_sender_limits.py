from itertools import pairwise
from time import thread_time

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.session.sender_limits import BURST, EVERY, MARK_EVERY, MAX_SENDERS, Rate, SenderLimits


def test_marks_of_two_seconds_are_one_at_their_end_and_the_next_one_two_seconds_later():
    limits = SenderLimits()
    waits = [limits.mark("u1", "c", now) for now in (0.0, 0.5, 1.5, 2.0, 2.5, 4.0, 6.0, 60.0)]
    assert waits == [0.0, 1.5, 0.5, 2.0, 1.5, 2.0, 2.0, 0.0]
    assert limits.mark("u2", "c", 0.5) == 0.0
    assert limits.mark("u1", "d", 60.5) == 0.0


@given(st.lists(st.floats(0, 5), max_size=30))
def test_any_marks_are_written_two_seconds_apart(waits):
    limits, now, written = SenderLimits(), 0.0, set()
    for wait in waits:
        now += wait
        written.add(round(now + limits.mark("u1", "c", now), 6))
    times = sorted(written)
    assert all(later - earlier >= MARK_EVERY - 1e-5 for earlier, later in pairwise(times))


def test_sender_who_makes_another_one_give_way_is_counted_as_fast_as_the_first_ones():
    rate = Rate(BURST, BURST * EVERY)
    spans = []
    for first in (0, MAX_SENDERS):
        started = thread_time()
        for number in range(first, first + MAX_SENDERS):
            rate.take(number, 0.0)
        spans.append(thread_time() - started)
    assert spans[1] < 2 * spans[0]
    assert len(rate._times) == MAX_SENDERS
