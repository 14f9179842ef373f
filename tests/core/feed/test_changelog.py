"""What the topic of checkpoints says, whoever writes to it, and wherever writers end."""

import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.feed.batch_rows import overlay, rows_of
from mesaya_ws.core.feed.changelog import (
    Changelog,
    make_mark,
    mark_record,
    part_record,
)
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, in_pieces, pack
from mesaya_ws.core.log.records import NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.recovery.coverage import Cut

TOPIC = "state"
CUT = Cut(
    {Partition("a", 0): PartitionPosition("id", 7, 3), Partition("b", 2): PartitionPosition("other", 0)},
    12,
    frozenset({"b"}),
)


def parts_of(rows):
    return [part for part in pack(in_pieces(iter(rows))) if part]


def numbered(count, salt=0):
    """Make rows that do not pack well."""
    chance = random.Random(salt)
    return [("t", str(number), {"x": chance.randbytes(200).hex()}) for number in range(count)]


def batch(id, rows, after=(), cut=CUT, taken=0):
    """Return the records of a batch."""
    parts = parts_of(rows)
    made = [part_record(TOPIC, id, number, part) for number, part in enumerate(parts)]
    return [*made, mark_record(TOPIC, make_mark(id, len(parts), len(rows), taken, cut, after))]


class Topic:
    """The topic, and who reads it."""

    def __init__(self):
        self.records = []
        self._next = 0

    def append(self, *new):
        for one in new:
            self.records.append(Record(one.topic, 0, self._next, 0, one.key, one.value))
            self._next += 1

    def compact(self, chance):
        """Remove some of the records that have a later one of the same key, as a broker does when it pleases."""
        last = {record.key: record.offset for record in self.records}
        self.records = [one for one in self.records if last[one.key] == one.offset or chance.random() < 0.5]
        # And some nulls that have no earlier record any more.
        keys = [record.key for record in self.records]
        self.records = [
            one for one in self.records if one.value is not None or keys.count(one.key) > 1 or chance.random() < 0.5
        ]

    def read(self):
        changelog = Changelog()
        for record in self.records:
            changelog.take(record)
        return changelog


def rows_in(changelog, mark):
    batches = [[part.content for part in changelog.parts(each)] for each in changelog.chain(mark)]
    return [row for piece in rows_of(batches) for row in piece]


def test_all_that_was_known_is_found_with_its_place():
    topic, rows = Topic(), numbered(1000)
    topic.append(*batch("one.1", rows, taken=5))
    changelog = topic.read()
    (mark,) = changelog.whole()
    assert (mark.id, mark.taken, mark.cut, mark.rows) == ("one.1", 5, CUT, 1000)
    assert rows_in(changelog, mark) == rows


def test_what_has_changed_since_is_put_over_it_in_its_order():
    topic = Topic()
    first = [("alive/t", "a", ["A", 0, 0]), ("alive/t", "b", ["B", 0, 1]), ("alive/t", "c", ["C", 0, 2]), ("x", "1", 1)]
    topic.append(*batch("one.1", first))
    topic.append(*batch("one.2", [("alive/t", "b", ["B2", 0, 1]), ("alive/t", "d", ["D", 0, 3])], ["one.1"]))
    moved = [("alive/t", "a", ["A2", 0, 4]), ("alive/t", "c", None), ("x", "1", 2), ("x", "2", 5)]
    topic.append(*batch("one.3", moved, ["one.1", "one.2"]))
    changelog = topic.read()
    newest, before, whole = changelog.whole()
    assert rows_in(changelog, newest) == [
        ("alive/t", "b", ["B2", 0, 1]),
        ("x", "1", 2),
        ("alive/t", "d", ["D", 0, 3]),
        ("alive/t", "a", ["A2", 0, 4]),
        ("x", "2", 5),
    ]
    assert [row[1] for row in rows_in(changelog, before)] == ["a", "b", "c", "1", "d"]
    assert rows_in(changelog, whole) == first


@pytest.mark.parametrize(
    "missing", [b"batch/one.1", b"batch/one.1/0", b"batch/one.2", b"batch/one.3/0", b"batch/one.3"]
)
def test_a_batch_is_whole_only_with_all_that_it_is_after(missing):
    topic = Topic()
    for id, after in (("one.1", []), ("one.2", ["one.1"]), ("one.3", ["one.1", "one.2"])):
        topic.append(*batch(id, numbered(1), after))
    topic.append(NewRecord(TOPIC, None, missing))
    expected = {"1": [], "2": ["one.1"], "3": ["one.2", "one.1"]}[missing.decode()[10]]
    assert [mark.id for mark in topic.read().whole()] == expected


def test_a_batch_that_is_after_changes_alone_is_not_whole():
    topic = Topic()
    for id, after in (("one.1", []), ("one.2", ["one.1"]), ("one.3", ["one.2"])):
        topic.append(*batch(id, numbered(1), after))
    assert [mark.id for mark in topic.read().whole()] == ["one.2", "one.1"]


def test_what_is_kept_and_what_is_spared_is_not_deleted():
    topic = Topic()
    for id, after in (("one.1", []), ("one.2", ["one.1"]), ("two.1", []), ("two.2", ["two.1"])):
        topic.append(*batch(id, numbered(1), after))
    topic.append(part_record(TOPIC, "new", 0, b"part"), part_record(TOPIC, "left", 0, b"part"))
    changelog = topic.read()
    assert changelog.unfinished() == {"new", "left"}
    keys = changelog.keys_without(changelog.whole()[:1], ["new"])
    assert keys == [b"batch/one.1", b"batch/one.2", b"batch/one.1/0", b"batch/one.2/0", b"batch/left/0"]
    topic.append(*(NewRecord(TOPIC, None, key) for key in keys))
    assert [mark.id for mark in topic.read().whole()] == ["two.2", "two.1"]
    assert topic.read().unfinished() == {"new"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("partition", [0, 1])
def test_newest_checkpoint_is_the_last_or_the_furthest_in_the_log(order, partition):
    cuts = [Cut({Partition("a", 0): PartitionPosition("id", number)}, 0, frozenset()) for number in (0, 1)]
    marks = [make_mark(f"id{number}", 0, 0, 10**6 * (1 - number), cuts[number]) for number in (0, 1)]
    changelog = Changelog()
    for number in order:
        record = mark_record(TOPIC, marks[number])
        changelog.take(Record(TOPIC, partition * number, 10 + number, 0, record.key, record.value))
    assert [mark.id for mark in changelog.whole()] == ["id1", "id0"]


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


def former(slot, rows, taken=0, format=2):
    """Return the records of a checkpoint as it was before there were batches."""
    parts = parts_of(rows)
    made = [NewRecord(TOPIC, b"old.%d %b" % (slot, part), b"%d/%d" % (slot, n)) for n, part in enumerate(parts)]
    marker = {"format": format, "id": f"old.{slot}", "slot": slot, "parts": len(parts), "rows": len(rows)}
    rest = {"taken": taken, "time": 0, "unread": [], "places": [["a", 0, "id", 7]]}
    return [*made, NewRecord(TOPIC, orjson.dumps(marker | rest), b"%d" % slot)]


def test_a_checkpoint_of_before_there_were_batches_is_read():
    topic = Topic()
    for slot in (0, 1):
        topic.append(*former(slot, numbered(1000, slot)))
    changelog = topic.read()
    newest, before = changelog.whole()
    assert newest.cut.places == {Partition("a", 0): PartitionPosition("id", 7)}
    assert (rows_in(changelog, newest), rows_in(changelog, before)) == (numbered(1000, 1), numbered(1000, 0))
    topic.append(*former(0, numbered(1, 5))[:1])
    assert [mark.id for mark in topic.read().whole()] == ["old.1", "old.0"], "a part of the same id"
    keys = changelog.keys_without([newest], [])
    topic.append(*(NewRecord(TOPIC, None, key) for key in keys))
    assert [mark.id for mark in topic.read().whole()] == ["old.1"]


def test_a_checkpoint_of_another_version_is_known_for_what_it_is():
    topic = Topic()
    topic.append(*former(0, numbered(1), format=1))
    assert topic.read().whole() == []
    assert [mark.format for mark in topic.read().foreign.values()] == [1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format": 3, "id": "one.1"}',
        b'{"format":3,"id":"one.1","parts":"1","rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
        b'{"format":4,"id":"one.1","parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
        b'{"format":3,"id":"two.1","parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[]}',
        b'{"format":3,"id":"one.1","parts":0,"rows":0,"taken":0,"time":0,"unread":[],"places":[],"slot":0}',
    ],
)
def test_what_is_no_mark_says_nothing(value):
    topic = Topic()
    topic.append(*batch("one.1", numbered(3)))
    topic.append(NewRecord(TOPIC, value, b"batch/one.1"))
    assert topic.read().whole() == []


@pytest.mark.parametrize(
    "key", [None, b"", b"x", b"2", b"0/", b"0/x", b"batch/", b"batch//1", b"batch/one.1/x", b"batch/one.1/0/0"]
)
def test_records_with_other_keys_say_nothing(key):
    topic = Topic()
    topic.append(*batch("one.1", numbered(3)))
    topic.append(NewRecord(TOPIC, b"anything", key))
    assert len(topic.read().whole()) == 1


def test_that_parts_are_there_stays_known_without_their_contents():
    topic = Topic()
    topic.append(*batch("one.1", numbered(1000)))
    changelog = topic.read()
    (mark,) = changelog.whole()
    changelog.forget_contents()
    assert changelog.whole() == [mark]
    assert {part.content for part in changelog.parts(mark)} == {None}


def test_damaged_parts_are_noticed_wherever_they_are():
    good, bad = parts_of([("t", "1", 1)]), [b"not packed at all"]
    for batches in ([bad], [bad, good], [good, bad], [good, good[:0]]):
        with pytest.raises(CorruptCheckpointError):
            list(rows_of(batches))


class Log:
    """What happens: rows are put where they were, or at the end, and deleted."""

    def __init__(self):
        self.events = []

    def rows(self, end):
        """Return what is known after the first events, in order."""
        known = {}
        for place, (id, kind) in enumerate(self.events[:end]):
            if kind == "delete":
                known.pop(id, None)
            elif kind == "stay" and id in known:
                known[id] = [place, 0, known[id][2]]
            else:
                known.pop(id, None)
                known[id] = [place, 0, place]
        return [("alive/t", id, value) for id, value in known.items()]

    def changes(self, begin, end):
        now = {id: value for _, id, value in self.rows(end)}
        return [("alive/t", id, now.get(id)) for id in {id for id, _ in self.events[begin:end]}]


class Writer:
    """An instance that begins with what the topic says, and writes as the gateway does (see `gateway.checkpoints`)."""

    def __init__(self, name, topic, log, chance):
        self.name, self.topic, self.log, self.chance = name, topic, log, chance
        self.numbers = 0
        newest = topic.read().newest()
        self.at, self.after = (0, None) if newest is None else (newest.time, newest.id)
        self.work = self.write()

    def write(self):
        """Yield before each record."""
        unfinished = set()
        while True:
            changelog = self.topic.read()
            newest = changelog.newest()
            continues = newest is not None and newest.id == self.after and self.chance.random() < 0.8
            self.at = end = self.chance.randint(self.at, len(self.log.events))
            yield  # what comes until then, it does not see
            if newest is not None and newest.time > end:
                self.after = None
                continue
            chain, rows = [], self.log.rows(end)
            if continues:
                chain, rows = changelog.chain(newest), self.log.changes(newest.time, end)
                while len(chain) > 1 and self.chance.random() < 0.4:
                    changed = {}
                    list(overlay(changed, [part.content for part in changelog.parts(chain.pop())]))
                    rows = list((changed | {(row[0], row[1]): row for row in rows}).values())
            self.numbers += 1
            id = f"{self.name}.{self.numbers}"
            cut = Cut({Partition("a", 0): PartitionPosition("id", end)}, end, frozenset())
            for record in batch(id, rows, [mark.id for mark in chain], cut):
                self.topic.append(record)
                yield
            self.after = id
            changelog = self.topic.read()
            kept = [mark for mark in (changelog.by_id.get(id), newest) if mark is not None]
            keys = changelog.keys_without(kept, changelog.unfinished() - unfinished)
            unfinished = changelog.unfinished()
            for key in keys:
                self.topic.append(NewRecord(TOPIC, None, key))
                yield


steps = st.lists(
    st.sampled_from(["one", "two", "one", "two", "end one", "end two", "compact", "log", "log"]), max_size=120
)


def play(steps, seed, *, at_a_time):
    """Let writers work and end; check after each step that each whole state is what the log says."""
    topic, log, chance, writers, names = Topic(), Log(), random.Random(seed), {}, iter(range(1000))
    had_one = False
    for step in steps:
        if step == "compact":
            topic.compact(chance)
        elif step == "log":
            for _ in range(chance.choice((1, 5))):
                log.events.append((str(chance.randrange(6)), chance.choice(("stay", "move", "delete"))))
        elif step.startswith("end"):
            writers.pop(step[4:], None)
        else:
            if at_a_time:
                writers = {name: writer for name, writer in writers.items() if name == step}
            if step not in writers:
                writers[step] = Writer(f"w{next(names)}", topic, log, chance)
            next(writers[step].work)
        changelog = topic.read()
        whole = changelog.whole()
        for mark in whole:
            assert rows_in(changelog, mark) == log.rows(mark.time)
        if at_a_time:
            assert whole or not had_one
            had_one = bool(whole)
    return changelog if steps else None


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(0, 1 << 16))
def test_what_two_writers_leave_that_end_anywhere_is_what_the_log_says_or_nothing(steps, seed):
    play(steps, seed, at_a_time=False)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(0, 1 << 16))
def test_one_writer_at_a_time_never_leaves_none(steps, seed):
    play(steps, seed, at_a_time=True)


@pytest.mark.slow
def test_what_is_kept_does_not_grow_with_what_has_been_written():
    topic, log, chance = Topic(), Log(), random.Random(1)
    writer = Writer("w", topic, log, chance)
    for _ in range(2000):
        log.events.append((str(chance.randrange(50)), chance.choice(("stay", "move", "delete"))))
        next(writer.work)
    for _ in range(20):
        topic.compact(chance)
    assert len(topic.records) < 100
