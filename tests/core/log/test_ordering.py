"""The order in which records of many sources are taken."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.ordering import MAX_BYTES, MAX_RECORDS, Merge
from mesaya_ws.core.log.records import Partition, Record

A, B, C = Partition("a", 0), Partition("a", 1), Partition("b", 0)
WAIT = 1000
LATER = 10**15


def item(source, offset, timestamp, brings=None, needs=None):
    topic, number = source or ("a", 0)
    return Record(topic, number, offset, timestamp, None, b""), (brings, needs)


class FilledMerge(Merge):
    """A merge whose items came at the beginning of its clock, where it does not matter when."""

    def push(self, source, items, lag, now=0):
        super().push(source, items, lag, now)


def merge_of(missing, wait=WAIT, read=lambda item: item, max_records=MAX_RECORDS, max_bytes=MAX_BYTES, **bounds):
    return FilledMerge(missing, wait, read, max_records, max_bytes, **bounds)


class Taker:
    """Takes items and learns the parents that they bring."""

    def __init__(self, *sources, wait=WAIT, **bounds):
        self.known = set()
        self.taken = []
        self.merge = merge_of(self.missing, wait, **bounds)
        self.merge.lags(dict.fromkeys(sources, 0))

    def missing(self, item):
        _, (_, needs) = item
        return None if needs in self.known else needs

    def take(self, now=LATER):
        """Take all that can be taken; return it as (timestamp, in order) or as orphans, negative."""
        took = []
        for one in self.merge.take(now):
            self.taken.append(one)
            took.append(-one[0].timestamp if self.missing(one) else one[0].timestamp)
            self.known.add(one[1][0])
        return took


def test_the_smallest_timestamp_is_next():
    taker = Taker(A, B, C)
    taker.merge.push(A, [item(A, 0, 10), item(A, 1, 40)], 0)
    taker.merge.push(B, [item(B, 0, 20), item(B, 1, 50)], 0)
    taker.merge.push(C, [item(C, 0, 30)], 0)
    assert taker.take() == [10, 20, 30, 40, 50]
    assert taker.merge.caught_up


def test_topic_and_partition_decide_between_equal_timestamps():
    taker = Taker(A, B, C)
    for source in (C, B, A):
        taker.merge.push(source, [item(source, 0, 10), item(source, 1, 10)], 0)
    taker.take()
    assert [Partition(record.topic, record.partition) for record, _ in taker.taken] == [A, A, B, B, C, C]


def test_the_order_within_a_source_holds_whatever_its_timestamps():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 30), item(A, 1, 10)], 0)
    taker.merge.push(B, [item(B, 0, 20)], 0)
    assert taker.take() == [20, 30, 10]


def test_a_source_that_holds_more_is_waited_for():
    taker = Taker(A)
    taker.merge.lags({A: 2, B: 1})
    taker.merge.push(A, [item(A, 0, 10), item(A, 1, 30)], 0)
    assert taker.take() == []
    assert not taker.merge.caught_up
    taker.merge.push(B, [item(B, 0, 20)], 3)
    assert taker.take() == [10, 20], "and again, when it is empty before its end"
    taker.merge.lags({A: 0, B: 0})
    assert taker.take() == [30], "but not at its end"


def test_a_source_that_is_no_more_is_not_waited_for():
    taker = Taker(A)
    taker.merge.lags({A: 1, B: 1})
    taker.merge.push(A, [item(A, 0, 10)], 0)
    assert taker.take() == []
    taker.merge.lags({A: 0})
    assert taker.take() == [10]


def test_a_record_waits_for_its_parent_and_the_others_go_on():
    taker = Taker(A, B, C)
    taker.merge.push(A, [item(A, 0, 10, needs="parent"), item(A, 1, 20)], 0, now=10)
    taker.merge.push(B, [item(B, 0, 15)], 0)
    assert taker.take(now=20) == [15]
    assert not taker.merge.caught_up
    assert taker.merge.wake_at() == 10 + WAIT
    taker.merge.push(C, [item(C, 0, 30, brings="parent"), item(C, 1, 40)], 0)
    assert taker.take(now=40) == [30, 10, 20, 40], "it is taken as soon as the parent is there"
    assert taker.merge.wake_at() is None


def test_a_wait_ends():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="parent")], 0, now=20)
    assert taker.take(now=20) == []
    assert taker.take(now=19 + WAIT) == []
    assert taker.merge.wake_at() == 20 + WAIT
    assert taker.take(now=20 + WAIT) == [-10]
    assert taker.merge.wake_at() is None
    assert taker.merge.caught_up


@pytest.mark.parametrize("ahead", [-86_400_000, 0, 60_000, 86_400_000])
def test_a_wait_lasts_as_long_whatever_the_clock_of_the_producer_says(ahead):
    """All that came at once waits together, though each of the records misses another parent."""
    taker = Taker(A, B)
    orphans = [item(A, n, ahead + n, needs=f"p{n}") for n in range(100)]
    taker.merge.push(A, [*orphans, item(A, 100, ahead + 100)], 0, now=50)
    assert taker.take(now=50) == []
    assert taker.merge.wake_at() == 50 + WAIT
    assert taker.take(now=49 + WAIT) == []
    assert len(taker.take(now=50 + WAIT)) == 101
    assert taker.merge.caught_up


def test_what_came_later_waits_from_then():
    taker = Taker(A, B)
    for number, now in enumerate((0, 300, 600)):
        taker.merge.push(A, [item(A, number, number, needs=f"p{number}")], 0, now=now)
        taker.take(now)
    for number, now in enumerate((0, 300, 600)):
        assert taker.merge.wake_at() == now + WAIT
        assert taker.take(now + WAIT - 1) == []
        assert taker.take(now + WAIT) == [-number]


def test_a_wait_is_over_when_the_log_has_come_further():
    """What another source holds says so, whatever the time; and what it holds up to there is taken first."""
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="parent")], 0, now=0)
    taker.merge.push(B, [item(B, 0, 10 + WAIT), item(B, 1, 11 + WAIT)], 0, now=0)
    assert taker.take(now=0) == [10 + WAIT, -10, 11 + WAIT]


def test_what_is_held_long_is_forgotten_when_it_came():
    """Of a source that is never empty, too, there is an arrival for each push that is still here, and no more."""
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 0)], 0)
    taker.merge.lags({A: 1, B: 1})
    for number in range(1, 1000):
        taker.merge.push(A, [item(A, number, number)], 1)
        taker.merge.push(B, [item(B, number, number)], 1)
        taker.take()
    assert all(len(queue.arrivals) <= 3 for queue in taker.merge._queues.values())


def test_when_records_came_is_measured_anew_after_a_topic_was_created_again():
    taker = Taker(A, C)
    taker.merge.push(A, [item(A, 90, 10)], 0, now=0)
    assert taker.take(now=0) == [10]
    taker.merge.drop("a")
    taker.merge.push(A, [item(A, 0, 20, needs="parent")], 0, now=5000)
    assert taker.take(now=5000) == []
    assert taker.merge.wake_at() == 5000 + WAIT


def test_history_is_waited_for_in_its_own_time():
    """No second passes; but everything that came within a second then is taken first."""
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="parent"), item(A, 1, 20, needs="other"), item(A, 2, 30)], 0)
    taker.merge.push(B, [item(B, n, 10 + n, brings="other" * (n == WAIT)) for n in range(0, 2 * WAIT, 100)], 0)
    assert taker.take() == [*range(10, 11 + WAIT, 100), -10, 20, 30, *range(110 + WAIT, 10 + 2 * WAIT, 100)]


def test_source_with_lag_is_waited_for_before_a_parent_expires():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="parent")], 0)
    taker.merge.push(B, [item(B, 0, 20)], 1)
    assert taker.take() == [20]
    assert taker.merge.wake_at() is None, "it is the log that is waited for"
    taker.merge.push(B, [item(B, 1, 30, brings="parent")], 0)
    assert taker.take() == [30, 10]


def test_a_parent_is_waited_for_once():
    taker = Taker(A, B, C)
    taker.merge.push(A, [item(A, 0, 10, needs="parent")], 0, now=10)
    taker.merge.push(B, [item(B, 0, 15, needs="parent")], 0, now=15)
    assert taker.take(now=20) == []
    assert taker.take(now=10 + WAIT) == [-10, -15]
    taker.merge.push(A, [item(A, 1, 2000, needs="parent")], 0, now=2000)
    assert taker.take(now=2000) == [-2000]
    taker.merge.push(A, [item(A, 2, 2010, needs="another")], 0, now=2010)
    assert taker.take(now=2020) == []


def test_a_record_that_misses_one_parent_after_the_other_waits_for_each():
    taker = Taker(A, B)
    needs = {"first", "second"}
    merge = merge_of(lambda _: min(needs, default=None))
    merge.lags({A: 0, B: 0})
    merge.push(A, [item(A, 0, 10)], 0)
    assert list(merge.take(now=20)) == []
    needs.discard("first")
    assert list(merge.take(now=30)) == []
    needs.discard("second")
    assert len(list(merge.take(now=40))) == 1
    assert taker.merge.caught_up


def test_sources_that_wait_for_one_another_do_not_wait_for_ever():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="b"), item(A, 1, 20, brings="a")], 0)
    taker.merge.push(B, [item(B, 0, 15, needs="a"), item(B, 1, 25, brings="b")], 0)
    assert taker.take() == [-10, 20, 15, 25], "who gives up first may free the other"


def test_the_only_source_waits_for_nothing():
    taker = Taker(None)
    taker.merge.push(None, [item(None, 0, 30, needs="parent"), item(None, 1, 20), item(None, 2, 10)], 5)
    assert taker.take(now=0) == [-30, 20, 10]
    assert taker.merge.wake_at() is None
    assert not taker.merge.caught_up


def test_expired_parents_past_the_bound_are_forgotten():
    taker = Taker(A, B, max_expired_parents=2)
    taker.merge.push(A, [item(A, n, n, needs=f"p{n}") for n in range(3)], 0)
    assert taker.take() == [0, -1, -2]
    taker.merge.push(A, [item(A, 3, 5000, needs="p2"), item(A, 4, 6000, needs="p0")], 0, now=5500)
    assert taker.take(now=5500) == [-5000]
    assert taker.merge.wake_at() == 5500 + WAIT


def test_pushing_while_taking():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10), item(A, 1, 30)], 0)
    taking = taker.merge.take(LATER)
    assert next(taking)[0].timestamp == 10
    taker.merge.push(B, [item(B, 0, 20)], 1)
    assert [one[0].timestamp for one in taking] == [20]
    taker.merge.push(B, [item(B, 1, 25)], 0)
    assert taker.take() == [25, 30]


def test_another_source_appears_while_taking_from_the_only_one():
    taker = Taker(A)
    taker.merge.push(A, [item(A, 0, 10), item(A, 1, 30)], 0)
    taking = taker.merge.take(LATER)
    assert next(taking)[0].timestamp == 10
    taker.merge.push(B, [item(B, 0, 20)], 0)
    assert [one[0].timestamp for one in taking] == [20, 30]


def test_taking_can_be_broken_off():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10), item(A, 1, 30)], 0)
    taker.merge.push(B, [item(B, 0, 20)], 0)
    taking = taker.merge.take(LATER)
    next(taking)
    taking.close()
    assert taker.take() == [20, 30]


# How much may wait


def sized(source, offset, timestamp, size):
    record, _ = item(source, offset, timestamp)
    return record._replace(value=b"x" * size), (None, None)


def bounded(*sources, records=4, size=1000):
    taker = Taker(*sources)
    taker.merge = merge_of(taker.missing, max_records=records, max_bytes=size)
    taker.merge.lags(dict.fromkeys(sources, 0))
    return taker


def test_a_source_with_more_than_the_bound_is_full_until_half_of_it_has_been_taken():
    taker = bounded(A, B)
    taker.merge.push(B, [], 4)
    taker.merge.push(A, [item(A, n, 10 * n) for n in range(5)], 10)
    assert taker.take() == []
    assert taker.merge.full == {A}
    taker.merge.push(B, [item(B, 0, 15)], 3)
    assert taker.take() == [0, 10, 15]
    assert taker.merge.full == {A}, "there are three of four"
    taker.merge.push(B, [item(B, 1, 25)], 2)
    assert taker.take() == [20, 25]
    assert taker.merge.full == set()


def test_a_source_is_full_by_its_bytes_too():
    taker = bounded(A, B)
    taker.merge.push(B, [], 4)
    taker.merge.push(A, [sized(A, 0, 10, 600), sized(A, 1, 20, 400)], 1)
    assert taker.merge.full == set()
    taker.merge.push(A, [sized(A, 2, 30, 1)], 0)
    assert taker.merge.full == {A}
    taker.merge.push(B, [item(B, 0, 15)], 1)
    assert taker.take() == [10, 15]
    assert taker.merge.full == set()


def test_one_item_may_be_larger_than_the_bound():
    taker = bounded(A, B)
    taker.merge.push(B, [], 1)
    taker.merge.push(A, [sized(A, 0, 10, 5000)], 1)
    assert taker.merge.full == {A}
    taker.merge.push(B, [item(B, 0, 15)], 0)
    assert taker.take() == [10], "then A is waited for, and so it is not full"
    assert taker.merge.full == set()


def test_what_is_replaced_makes_room():
    taker = bounded(A, B)
    taker.merge.push(B, [], 1)
    taker.merge.push(A, [item(A, n, n) for n in range(6)], 1)
    assert taker.merge.full == {A}
    taker.merge.drop(A.topic)
    assert taker.merge.full == set()


def test_the_only_source_is_never_full_for_long():
    taker = bounded(A)
    taker.merge.push(A, [item(A, n, n) for n in range(6)], 1)
    assert len(taker.take()) == 6
    assert taker.merge.full == set()


def test_an_item_is_read_once_and_only_when_it_is_the_first_of_its_source():
    read = []

    def understood(item):
        if item[1] is None:
            read.append(item[0].offset)
            return item[0], (None, None)
        return item

    merge = merge_of(lambda item: item[1][1], read=understood)
    merge.lags({A: 3, B: 1})
    merge.push(A, [(item(A, n, 10 * n)[0], None) for n in range(3)], 0)
    assert list(merge.take(LATER)) == []
    assert read == []
    merge.push(B, [(item(B, 7, 5)[0], None)], 1)
    assert [record.offset for record, _ in merge.take(LATER)] == [0, 7]
    assert read == [0, 7]


# Any records, in any batches

names = st.none() | st.sampled_from("pqr")
histories = st.dictionaries(
    st.sampled_from([A, B, C, Partition("c", 0)]),
    st.lists(st.tuples(st.integers(0, 3000), names, names), max_size=12),
    min_size=2,
)


def run(history, batches, now=LATER):
    """Push a history in pieces of random sizes from random sources, taking in between; return what was taken."""
    rows = {
        source: [item(source, n, timestamp, brings, needs) for n, (timestamp, brings, needs) in enumerate(records)]
        for source, records in history.items()
    }
    taker = Taker()
    taker.merge.lags({source: len(items) for source, items in rows.items()})
    left = dict(rows)
    while any(left.values()):
        source = batches.draw(st.sampled_from([source for source, items in left.items() if items]))
        size = batches.draw(st.integers(1, len(left[source])))
        batch, left[source] = left[source][:size], left[source][size:]
        taker.merge.push(source, batch, len(left[source]))
        if batches.draw(st.booleans()):
            taker.take(now)
    taker.take(now)
    assert taker.merge.caught_up
    return taker.taken


@given(histories, st.integers(1, 3), st.data())
def test_order_is_the_same_when_full_sources_are_not_pushed(history, most, batches):
    rows = {
        source: [item(source, n, timestamp, brings, needs) for n, (timestamp, brings, needs) in enumerate(records)]
        for source, records in history.items()
    }
    free = Taker()
    free.merge.lags({source: len(items) for source, items in rows.items()})
    for source, items in rows.items():
        free.merge.push(source, items, 0)
    free.take()

    taker = bounded(records=most)
    taker.merge.lags({source: len(items) for source, items in rows.items()})
    left, pushed = dict(rows), dict.fromkeys(rows, 0)
    while any(left.values()):
        wanted = [source for source, items in left.items() if items and source not in taker.merge.full]
        assert wanted, "nobody could ever go on"
        source = batches.draw(st.sampled_from(wanted))
        batch, left[source] = left[source][:2], left[source][2:]
        taker.merge.push(source, batch, len(left[source]))
        pushed[source] += len(batch)
        taken = [Partition(record.topic, record.partition) for record, _ in taker.taken]
        assert all(count - taken.count(source) <= most + 2 for source, count in pushed.items())
        taker.take()
    assert taker.taken == free.taken


@given(histories, st.data())
def test_nothing_is_lost_or_doubled_and_sources_keep_their_order(history, data):
    offsets = defaultdict(list)
    for record, _ in run(history, data):
        offsets[Partition(record.topic, record.partition)].append(record.offset)
    assert offsets == {source: list(range(len(records))) for source, records in history.items() if records}


@given(histories, st.data())
def test_the_order_does_not_depend_on_how_records_arrive(history, data):
    assert run(history, data) == run(history, data)


@given(histories, st.data())
def test_order_without_parents_is_that_of_rising_timestamps(history, data):
    plain = {source: sorted((stamp, None, None) for stamp, _, _ in records) for source, records in history.items()}
    order = [(record.timestamp, record.topic, record.partition, record.offset) for record, _ in run(plain, data)]
    assert order == sorted(order)


@given(histories, st.integers(0, 5000))
def test_every_wait_ends_when_it_says(history, now):
    taker = Taker(*history)
    for source, records in history.items():
        taker.merge.push(source, [item(source, n, *record) for n, record in enumerate(records)], 0, now)
    taker.take(now)
    waits = 0
    while (wake_at := taker.merge.wake_at()) is not None:
        assert now < wake_at <= now + WAIT
        now = wake_at
        taker.take(now)
        waits += 1
    assert waits <= 1, "all that came at once waits together"
    assert taker.merge.caught_up
    assert len(taker.taken) == sum(map(len, history.values()))


@pytest.mark.parametrize("sources", [1, 2])
def test_nothing_to_take(sources):
    taker = Taker(*[A, B][:sources])
    assert taker.take() == []
    assert taker.merge.caught_up
    assert taker.merge.wake_at() is None


@pytest.mark.parametrize("source", [None, A])
def test_marker_of_a_source_comes_after_what_was_pushed_and_before_what_is_to_come(source):
    taker = Taker(*{source, B})
    taker.merge.lags({source: 5, B: 0})
    taker.merge.push(source, [item(A, 0, 10)], 5)
    taker.merge.push_marker(A, item(A, 1, 0), 0)
    taker.merge.push(B, [item(B, 0, 20)], 0)
    assert taker.take() == [10, 0], "the next of the source is still waited for"
    taker.merge.push(source, [item(A, 2, 15)], 0)
    assert taker.take() == [15, 20]


def test_what_is_dropped_is_not_taken_nor_waited_for():
    taker = Taker(A, B, C)
    taker.merge.push(A, [item(A, 0, 10, needs="x"), item(A, 1, 30)], 0, now=10)
    taker.merge.push(C, [item(C, 0, 20, needs="y")], 0, now=10)
    assert taker.take(10) == []
    assert taker.merge.drop("a")
    assert taker.merge.remaining == 1
    assert not taker.merge.drop("a")
    taker.merge.push(A, [item(A, 0, 40)], 0)
    assert taker.take() == [40, -20]


def test_of_the_one_order_of_a_log_only_what_is_dropped_is_missing():
    taker = Taker(None)
    taker.merge.push(None, [item(A, 0, 1), item(C, 0, 2), item(A, 1, 3), item(C, 1, 4)], 0)
    assert taker.merge.drop("a")
    assert taker.take() == [2, 4]


def test_of_a_partition_that_has_lost_its_end_what_is_left_is_taken():
    taker = Taker(A, B)
    taker.merge.push(A, [item(A, 0, 10, needs="x"), item(A, 1, 30), item(A, 2, 40)], 0, now=5)
    assert taker.take(5) == []
    assert taker.merge.truncate(A, 1)
    assert not taker.merge.truncate(A, 1)
    taker.merge.push(A, [item(A, 1, 50, needs="y")], 0, now=600)
    assert taker.take(4 + WAIT) == []
    assert taker.take(5 + WAIT) == [-10]
    assert taker.merge.wake_at() == 600 + WAIT
    assert taker.take(600 + WAIT) == [-50]
