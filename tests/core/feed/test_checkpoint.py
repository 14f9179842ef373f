"""What a checkpoint is, and that there is no half one, whatever happens to its records."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed import checkpoint
from mesaya_ws.core.feed.checkpoint import (
    CorruptCheckpointError,
    Slots,
    in_pieces,
    make_marker,
    marker_record,
    pack,
    part_record,
    unpack,
)
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.recovery.coverage import Cut

TOPIC = "state"
CUT = Cut(
    {Partition("a", 0): PartitionPosition("id", 7, 3), Partition("b", 2): PartitionPosition("other", 0)},
    12,
    frozenset({"b"}),
)


def parts_of(rows):
    return [part for part in pack(in_pieces(iter(rows))) if part]


def rows_of(parts):
    return [row for piece in unpack(parts) for row in piece]


class Topic:
    """The topic, and who reads it."""

    def __init__(self):
        self.records = []

    def append(self, new):
        self.records.append(Record(new.topic, 0, len(self.records), 0, new.key, new.value))

    def compact(self, chance):
        """Remove some of the records that have a later one of the same key, as a broker does when it pleases."""
        last = {record.key: record.offset for record in self.records}
        self.records = [one for one in self.records if last[one.key] == one.offset or chance.random() < 0.5]

    def read(self):
        slots = Slots()
        for record in self.records:
            slots.take(record)
        return slots

    def write(self, id, rows, *, taken=0):
        """Yield before each record is written; so that it can be left unfinished."""
        slot, parts = self.read().free(), parts_of(rows)
        for number, part in enumerate(parts):
            yield
            self.append(part_record(TOPIC, id, slot, number, part))
        yield
        self.append(marker_record(TOPIC, make_marker(id, slot, len(parts), 0, taken, CUT)))


def numbered(count, salt=0):
    """Make rows that do not pack well."""
    chance = random.Random(salt)
    return [("t", str(number), {"x": chance.randbytes(200).hex()}) for number in range(count)]


# Packing

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.text(), st.text(), values), max_size=20))
def test_what_is_packed_comes_back_in_its_order(rows):
    assert rows_of(parts_of(rows)) == rows


def test_parts_are_bounded_and_others_run_in_between():
    rows = numbered(3000)
    steps = list(pack(in_pieces(iter(rows))))
    parts = [part for part in steps if part]
    assert len(parts) > 5
    assert {len(part) for part in parts[:-1]} == {checkpoint.PART_BYTES}
    assert steps.count(b"") >= 3000 / checkpoint.ROWS
    pieces = list(unpack(parts))
    assert max(len(orjson.dumps(piece)) for piece in pieces) < 2 * checkpoint.TEXT_BYTES
    assert [row for piece in pieces for row in piece] == rows


def test_large_rows_are_packed_in_steps_that_are_no_larger_than_those_of_small_ones():
    rows = [("t", str(number), random.Random(number).randbytes(100_000).hex()) for number in range(40)]
    steps = pack(in_pieces(iter(rows)))
    total = sum(len(orjson.dumps(row)) for row in rows)
    assert sum(step == b"" for step in steps) >= total // checkpoint.TEXT_BYTES


def test_a_row_larger_than_a_part():
    rows = [("t", "1", random.Random(0).randbytes(300_000).hex()), ("t", "2", None), ("t", "3", "x" * 1_000_000)]
    assert rows_of(parts_of(rows)) == rows


@pytest.mark.parametrize("damage", ["missing", "first missing", "swapped", "foreign", "no rows", "empty"])
def test_damaged_parts_are_noticed(damage):
    parts = parts_of(numbered(2000))
    damaged = {
        "missing": parts[:-1],
        "first missing": parts[1:],
        "swapped": [parts[1], parts[0], *parts[2:]],
        "foreign": [b"not packed at all"],
        "no rows": [checkpoint.zlib.compress(b'["t", 1, 2]\n')],
        "empty": [],
    }[damage]
    with pytest.raises(CorruptCheckpointError):
        rows_of(damaged)


# The topic


def test_a_checkpoint_is_found_with_its_place():
    topic = Topic()
    rows = numbered(1000)
    list(topic.write("one.1", rows, taken=5))
    (marker,) = topic.read().whole()
    assert (marker.id, marker.taken, marker.cut) == ("one.1", 5, CUT)
    assert rows_of(topic.read().parts(marker)) == rows


def test_the_newest_comes_first_and_is_not_written_over():
    topic = Topic()
    for number in range(5):
        list(topic.write(f"one.{number}", numbered(1), taken=number))
        whole = topic.read().whole()
        assert [marker.taken for marker in whole] == [number, number - 1][: number + 1]
        assert topic.read().free() != whole[0].slot


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("partition", [0, 1])
def test_newest_checkpoint_is_the_last_or_the_furthest_in_the_log(order, partition):
    cuts = [Cut({Partition("a", 0): PartitionPosition("id", slot)}, 0, frozenset()) for slot in (0, 1)]
    markers = [make_marker(f"id{slot}", slot, 0, 0, 10**6 * (1 - slot), cuts[slot]) for slot in (0, 1)]
    slots = Slots()
    for slot in order:
        record = marker_record(TOPIC, markers[slot])
        slots.take(Record(TOPIC, partition * slot, 10 + slot, 0, record.key, record.value))
    assert [marker.slot for marker in slots.whole()] == [1, 0]
    assert slots.free() == 0


@pytest.mark.parametrize(
    ("places", "others", "more"),
    [
        ({"a": ("x", 5)}, {"a": ("x", 4)}, True),
        ({"a": ("x", 5)}, {"a": ("x", 5)}, False),
        ({"a": ("x", 5), "b": ("y", 0)}, {"a": ("x", 5)}, True),
        ({"a": ("x", 5), "b": ("y", 1)}, {"a": ("x", 4), "b": ("y", 3)}, False),
        ({"a": ("again", 0)}, {"a": ("x", 900)}, True),
        ({}, {"a": ("x", 1)}, False),
    ],
)
def test_which_says_more(places, others, more):
    one, other = (
        Cut({Partition(topic, 0): PartitionPosition(*place) for topic, place in each.items()}, 0, frozenset())
        for each in (places, others)
    )
    assert one.says_more_than(other) == more


def cut(unread: str = "", **places: int) -> Cut:
    """Return a cut at these places, where some has been missed of the topics `unread`."""
    return Cut({Partition(at, 0): PartitionPosition("id", next) for at, next in places.items()}, 0, frozenset(unread))


@pytest.mark.parametrize(
    ("one", "other", "more"),
    [
        (cut("a", a=9), cut(a=5), False),
        (cut(a=5), cut("a", a=9), True),
        (cut(a=5), cut("a", a=5), True),
        (cut("a", a=9), cut("a", a=5), True),
        (cut("ab", a=9, b=5), cut("b", a=5, b=5), False),
        (cut("a", a=9, b=5), cut("b", a=5, b=5), True),
        (cut("b", a=9, b=5), cut("a", a=9, b=5), False),
        (cut("a", a=9, b=5), cut(b=5), True),
        (cut(b=5), cut("a", a=9, b=5), False),
    ],
)
def test_what_knows_more_of_a_topic_says_more_than_what_is_further(one, other, more):
    assert one.says_more_than(other) == more


def test_whoever_begins_where_records_are_gone_misses_them():
    extents = {Partition(topic, 0): OffsetRange(begin, 20, "id") for topic, begin in (("a", 6), ("b", 5), ("c", 9))}
    assert cut("d", a=5, b=5, d=5).with_gaps(extents) == cut("ad", a=5, b=5, d=5)


def test_a_smaller_one_in_the_place_of_a_larger_one_is_whole():
    topic = Topic()
    for number, size in enumerate((2000, 2000, 1, 0)):
        list(topic.write(f"one.{number}", numbered(size), taken=number))
    smallest, _ = topic.read().whole()
    assert rows_of(topic.read().parts(smallest)) == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format": 2, "id": "x"}',
        b'{"format":2,"id":"x","slot":0,"parts":"1","rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
        b'{"format":1,"id":"x","slot":0,"parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
        b'{"format":2,"id":"x","slot":1,"parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
    ],
)
def test_what_is_no_marker_says_nothing(value):
    topic = Topic()
    list(topic.write("one.1", numbered(3)))
    topic.records.append(Record(TOPIC, 0, 99, 0, b"0", value))
    assert topic.read().whole() == []


def test_a_marker_of_before_there_were_epochs_is_one():
    old = b'{"format":2,"id":"x","slot":0,"parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[["a",0,"id",7]]}'
    slots = Slots()
    slots.take(Record(TOPIC, 0, 99, 0, b"0", old))
    (marker,) = slots.whole()
    assert marker.cut.places == {Partition("a", 0): PartitionPosition("id", 7)}


@pytest.mark.parametrize("key", [None, b"", b"x", b"2", b"0/", b"0/x", b"/1", b"0/1/2", b"0/9999999999999999"])
def test_records_with_other_keys_say_nothing(key):
    topic = Topic()
    list(topic.write("one.1", numbered(3)))
    topic.records.append(Record(TOPIC, 0, 99, 0, key, b"anything"))
    assert len(topic.read().whole()) == 1


def test_whose_the_parts_are_stays_known_without_them():
    topic = Topic()
    list(topic.write("one.1", numbered(1000)))
    slots = topic.read()
    (marker,) = slots.whole()
    slots.forget_parts()
    assert slots.whole() == [marker]
    assert set(slots.parts(marker)) == {b""}


@given(st.lists(st.sampled_from(["one", "two", "end one", "end two", "compact"]), max_size=60), st.integers(0, 100))
def test_two_writers_that_end_anywhere_leave_whole_ones_or_none(steps, seed):
    topic, chance, made, writers = Topic(), random.Random(seed), {}, {}
    for number, step in enumerate(steps):
        if step == "compact":
            topic.compact(chance)
        elif step.startswith("end"):
            writers.pop(step[4:], None)
        else:
            if step not in writers:
                made[f"{step}.{number}"] = numbered(chance.choice((0, 1, 600, 1500)), number)
                writers[step] = topic.write(*list(made.items())[-1], taken=number)
            if next(writers[step], "written") == "written":
                del writers[step]
        slots = topic.read()
        for marker in slots.whole():
            assert rows_of(slots.parts(marker)) == made[marker.id]


@given(st.lists(st.integers(0, 8), max_size=12))
@pytest.mark.slow
def test_one_writer_at_a_time_never_leaves_none(lengths):
    topic, newest = Topic(), None
    for number, length in enumerate(lengths):
        writing = topic.write(f"w.{number}", numbered(1500, number), taken=number)
        if len([None for _ in zip(range(length), writing, strict=False)]) < length:
            newest = number
        whole = topic.read().whole()
        assert (whole[0].taken if whole else None) == newest
