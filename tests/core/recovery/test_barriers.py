from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.barriers import Barrier, Barriers, barrier_in

A, B, C = Partition("a", 0), Partition("b", 0), Partition("c", 0)
TOPICS = ("a", "b")


def test_a_place_that_is_beyond_the_cursor_and_before_a_floor_is_not_let_through():
    barriers = Barriers()
    barriers.add(Barrier({A: 5, B: 5}, {A: 10, B: 10}))
    assert barriers.let_through({A: 4, B: 10}, TOPICS), "it has nothing that came after the cursor"
    assert barriers.let_through({A: 5, B: 11}, TOPICS), "it has all before the floors"
    assert not barriers.let_through({A: 4, B: 11}, TOPICS)
    assert not barriers.let_through({B: 11}, TOPICS), "a partition that is left out counts from 0"
    assert barriers.let_through({A: 4, B: 11}, ("b",)), "what does not feed the channel says nothing"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8), st.integers(0, 25), st.integers(0, 25))
def test_a_place_is_let_through_by_all_if_each_of_them_does(steps, a, b):
    barriers, every = Barriers(), []
    cursor = former = (0, 0)
    for step in steps:
        former, cursor = cursor, (cursor[0] + step[0], cursor[1] + step[1])
        every.append(Barrier({A: former[0], B: former[1]}, {A: cursor[0], B: cursor[1]}))
        barriers.add(every[-1])
    vector = {A: a, B: b}
    expected = all(not each.is_passed(vector) or each.lets_through(vector, TOPICS) for each in every)
    assert barriers.let_through(vector, TOPICS) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8), st.data())
def test_a_place_where_the_instance_stood_is_always_let_through(steps, data):
    barriers, cursors = Barriers(), [(0, 0)]
    for step in steps:
        cursors.append((cursors[-1][0] + step[0], cursors[-1][1] + step[1]))
    for former, cursor in pairwise(cursors):
        barriers.add(Barrier({A: former[0], B: former[1]}, {A: cursor[0], B: cursor[1]}))
    a, b = data.draw(st.sampled_from(cursors))
    assert barriers.let_through({A: a, B: b}, TOPICS)


def test_a_barrier_with_lower_floors_takes_nothing_back():
    barriers = Barriers()
    barriers.add(Barrier({A: 5}, {A: 10, B: 10}))
    barriers.add(Barrier({}, {A: 11, B: 11}))
    assert not barriers.let_through({A: 4, B: 12}, TOPICS)
    assert barriers.let_through({A: 5, B: 12}, TOPICS)


def test_only_so_many_are_remembered_and_what_is_forgotten_is_returned():
    barriers = Barriers(remembered=2)
    first = Barrier({}, {A: 1})
    assert [barriers.add(each) for each in (first, Barrier({}, {A: 2}), Barrier({}, {A: 3}))] == [None, None, first]
    assert len(list(barriers)) == 2


def test_a_barrier_is_what_was_written():
    barrier = Barrier({A: 1}, {A: 2, C: 3})
    again = barrier_in(barrier.rows())
    assert (again.floors, again.cursor) == ({A: 1, C: 0}, {A: 2, C: 3})
