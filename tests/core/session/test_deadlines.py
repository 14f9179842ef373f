from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.session.deadlines import SPARE, Deadlines


def popped(deadlines, now):
    keys = []
    while (key := deadlines.pop(now)) is not None:
        keys.append(key)
    return keys


def test_keys_are_popped_when_they_are_due_the_first_one_first():
    deadlines = Deadlines()
    for key, due in (("b", 2), ("a", 1), ("c", 3)):
        deadlines.set(key, due)
    assert popped(deadlines, 0.5) == []
    assert popped(deadlines, 2) == ["a", "b"]
    assert (deadlines.next, len(deadlines)) == (3, 1)


def test_key_that_is_set_again_is_due_only_then():
    deadlines = Deadlines()
    for due in (5, 1, 9):
        deadlines.set("a", due)
    assert popped(deadlines, 8) == []
    assert popped(deadlines, 9) == ["a"]
    deadlines.set("a", 1)
    deadlines.set("a", inf)
    assert (popped(deadlines, 10), len(deadlines)) == ([], 0)


def test_who_sleeps_until_the_next_is_woken_by_an_earlier_one_alone():
    woken = []
    deadlines = Deadlines(lambda: woken.append(deadlines.next))
    for key, due in (("a", 5), ("b", 7), ("c", 3)):
        deadlines.set(key, due)
    assert woken == [5, 3]


def test_entries_that_are_out_of_date_are_bounded():
    deadlines = Deadlines()
    for turn in range(10_000):
        deadlines.set(turn % 10, turn)
        assert deadlines.size <= 2 * 10 + SPARE + 1
    for key in range(10):
        deadlines.cancel(key)
    assert deadlines.size <= SPARE


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 20))), max_size=200))
def test_whatever_is_set_and_cancelled_each_key_is_due_at_the_time_set_last(steps):
    deadlines, expected = Deadlines(), {}
    for key, due in steps:
        if due is None:
            deadlines.cancel(key)
            expected.pop(key, None)
        else:
            deadlines.set(key, due)
            expected[key] = due
    for now in range(21):
        assert set(popped(deadlines, now)) == {key for key, due in expected.items() if due == now}
