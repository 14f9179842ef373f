import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.barriers import Barrier, Barriers, barrier_in

A, B, C = Partition("a", 0), Partition("b", 0), Partition("c", 0)
PARTITIONS = (A, B, C, Partition("b", 1))
TOPICS = ("a", "b")


def test_a_place_that_is_beyond_the_cursor_and_before_a_floor_is_not_let_through():
    barriers = Barriers()
    barriers.add(Barrier({A: 5, B: 5}, {A: 10, B: 10}))
    assert barriers.let_through({A: 4, B: 10}, TOPICS), "it has nothing that came after the cursor"
    assert barriers.let_through({A: 5, B: 11}, TOPICS), "it has all before the floors"
    assert not barriers.let_through({A: 4, B: 11}, TOPICS)
    assert not barriers.let_through({B: 11}, TOPICS), "a partition that is left out counts from 0"
    assert barriers.let_through({A: 4, B: 11}, ("b",)), "what does not feed the channel says nothing"


@st.composite
def stretches(draw):
    """Return barriers as they follow one another: partitions appear, and floors are anywhere before their cursor."""
    cursor, made = {}, []
    for _ in range(draw(st.integers(0, 8))):
        for partition in draw(st.lists(st.sampled_from(PARTITIONS))):
            cursor[partition] = cursor.get(partition, 0) + draw(st.integers(0, 3))
        floored = draw(st.sets(st.sampled_from(list(cursor)))) if cursor else ()
        floors = {each: draw(st.integers(0, cursor[each])) for each in floored}
        made.append(Barrier(floors, dict(cursor)))
    return made


places = st.dictionaries(st.sampled_from(PARTITIONS), st.integers(0, 20))


def is_right(barriers, vector, topics):
    """Return the rule as it reads: whoever holds anything after a cursor must hold all before the floors there."""
    return not any(each.is_passed(vector) and not each.lets_through(vector, topics) for each in barriers)


@given(stretches(), places, st.sets(st.sampled_from(["a", "b", "c"])))
def test_a_place_is_let_through_by_all_if_each_of_them_does(made, vector, topics):
    assert Barriers(made).let_through(vector, topics) == is_right(made, vector, topics)


@given(stretches(), places, st.integers(1, 3))
def test_forgotten_barriers_change_nothing_for_places_after_their_cursor(made, vector, remembered):
    barriers = Barriers(remembered=remembered)
    for barrier in made:
        if (forgotten := barriers.add(barrier)) is not None:
            for partition, offset in forgotten.cursor.items():
                vector[partition] = max(offset, vector.get(partition, 0))
    assert barriers.let_through(vector, TOPICS) == is_right(made, vector, TOPICS)


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
    assert barriers.add(Barrier({A: 1}, {A: 1})) is None
    assert barriers.add(Barrier({}, {A: 2, C: 1})) is None
    forgotten = [barriers.add(Barrier({}, {A: offset, C: 1})) for offset in (3, 4)]
    assert [(each.floors, each.cursor) for each in forgotten] == [({A: 1}, {A: 1}), ({A: 1, C: 0}, {A: 2, C: 1})]
    assert len(barriers) == 2
    assert barriers.let_through({A: 1, C: 1}, TOPICS)
    assert not barriers.let_through({C: 2}, TOPICS), "what the forgotten ones ask for is asked for still"


def test_cleared_barriers_let_everybody_through():
    barriers = Barriers([Barrier({A: 5}, {A: 10, B: 10})])
    assert not barriers.let_through({B: 11}, TOPICS)
    barriers.clear()
    assert barriers.let_through({B: 11}, TOPICS)
    assert len(barriers) == 0
    barriers.add(Barrier({B: 2}, {B: 3}))
    assert not barriers.let_through({A: 1, B: 1}, TOPICS)
    assert barriers.let_through({A: 1, B: 2}, TOPICS)


def test_a_barrier_takes_16_bytes_for_each_partition():
    partitions = [Partition(f"topic {number % 14}", number // 14) for number in range(170)]

    def made(count):
        return (Barrier(dict.fromkeys(partitions, at), dict.fromkeys(partitions, at + 1)) for at in range(count))

    tracemalloc.start()
    try:
        barriers = Barriers(made(300), remembered=200)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(barriers) == 200
    assert taken < 200 * (16 * 170 + 250) + 50_000


def test_a_barrier_is_what_was_written():
    barrier = Barrier({A: 1}, {A: 2, C: 3})
    again = barrier_in(barrier.rows())
    assert (again.floors, again.cursor) == ({A: 1, C: 0}, {A: 2, C: 3})
