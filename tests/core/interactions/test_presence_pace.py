from operator import or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence_pace import FALL, MANY, NOW_AND_THEN, OFTEN, SELDOM, Pace, shown


def send(pace, value, now):
    """Send what is due of a value, and return that."""
    sent = pace.check(value, now)
    if sent is not None:
        pace.note(sent, value, now)
    return sent


@pytest.mark.parametrize(("viewers", "number"), [(0, 0), (20, 20), (21, 21), (99, 99), (123, 120), (1999, 1900)])
def test_number_is_exact_to_twenty_and_has_two_digits_above(viewers, number):
    assert shown(viewers) == number


def test_rise_is_sent_after_a_rest_and_a_fall_ten_seconds_later():
    pace = Pace(1, 0)
    assert send(pace, 2, OFTEN - 1) is None
    assert pace.due_at(2) == OFTEN
    assert send(pace, 2, OFTEN) == 2
    assert send(pace, 1, 2 * OFTEN) is None
    assert pace.due_at(1) == 2 * OFTEN + FALL
    assert send(pace, 1, 2 * OFTEN + FALL - 1) is None
    assert send(pace, 1, 2 * OFTEN + FALL) == 1
    assert pace.due_at(1) is None


def test_fall_that_is_made_good_is_never_sent():
    pace = Pace(5, 0)
    assert send(pace, 3, 5000) is None
    assert send(pace, 5, 9000) is None
    assert send(pace, 4, 16000) is None, "the ten seconds count anew"


def test_fall_of_a_process_that_was_dropped_does_not_wait():
    pace = Pace(5, 0)
    pace.hurry()
    assert send(pace, 3, OFTEN - 1) is None
    assert pace.due_at(3) == OFTEN
    assert send(pace, 3, OFTEN) == 3
    assert send(pace, 2, 2 * OFTEN) is None, "the next one is as any other"


@pytest.mark.parametrize(
    ("number", "rest"), [(20, OFTEN), (21, NOW_AND_THEN), (MANY, NOW_AND_THEN), (MANY + 1, SELDOM)]
)
def test_large_numbers_are_sent_seldom(number, rest):
    pace = Pace(0, 0)
    assert send(pace, number, rest - 1) is None
    assert send(pace, number, rest) == number


def test_side_that_leaves_a_conversation_stays_for_a_while_when_the_other_one_comes():
    pace = Pace(0b01, 0, or_)
    assert send(pace, 0b10, OFTEN) == 0b11
    assert send(pace, 0b10, OFTEN + FALL) == 0b10


def test_fall_that_was_only_checked_lasts():
    pace = Pace(5, 0)
    assert pace.check(3, 1000) is None
    assert pace.check(3, 1000 + FALL) == 3
    assert pace.check(5, 1000 + FALL) is None
    assert send(pace, 3, 1001 + FALL) is None


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 30)), max_size=40))
def test_any_changes_are_sent_seldom_enough_and_the_last_one_in_the_end(changes):
    pace, now, sent = Pace(0, 0), 0, [0]
    value = 0
    for wait, value in changes:
        now += wait
        if send(pace, value, now) is not None:
            assert now - sent[-1] >= OFTEN
            sent.append(now)
    for _ in range(4):
        due = pace.due_at(value)
        if due is None:
            break
        now = max(now + 1, due)
        send(pace, value, now)
    assert pace.sent == value
    assert pace.due_at(value) is None
