"""The topic of checkpoints as a changelog: what was known somewhere, and what has changed since, batch after batch.

It is a topic of our own, of which the log holds the last record of every key (it is compacted). A batch is rows by
table and id, packed into parts with the keys `batch/<id>/<number>`, and then its mark, whose key is `batch/<id>`. One
that is `after` none is all that was known at its cut; another one is what had changed, at its cut, since the last of
those that it names, and holds null where a row was no more.

    state of a batch     what there is of it                        what it is good for
    ─────────────────    ───────────────────────────────────────    ──────────────────────────────────────────────
    being written        some parts, no mark                        nothing; nobody names it
    left unfinished      the same, and its writer has died          nothing; deleted by whoever writes next but one
    whole                its mark, all its parts, and those of      a state: of its cut, whatever is written later
                         all that it is after
    being deleted        null in the place of some of them          nothing; no state that is kept names it
    deleted              null, until the log drops that, too        nothing

Why no interleaving, and no death of a writer, spoils a state: an id is given once, so nothing ever writes over a record
of a batch but null, and who deletes leaves the state that was written last, and the one before it. Who starts takes the
newest batch that is whole: the one whose mark was written last, for no other is written that says less; clocks say
nothing. So while one writer at a time is at work, there is a whole one from the first mark on; two at a time may delete
what the other one builds on, and then neither says anything that is not so.

Rows have no keys of their own: a batch that was not finished would have replaced the rows of the former state. And they
would take ten times the space, since rows that lie together pack well.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest

import attrs
import orjson
from attrs import frozen
from cattrs.errors import ClassValidationError

from mesaya_ws.core.feed.checkpoint import NOT_IN_CHECKPOINTS
from mesaya_ws.core.log.records import NewRecord, Partition, PartitionPosition, Record
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.wire.structuring import strict_converter

FORMAT = 3
"""To be raised when rows or batches of the former shape would be misunderstood; what has another format is not read."""

FORMER = 2
"""The format of before there were batches: each of two slots had all that was known, with its own keys. It is read."""

MAX_AFTER = 40
"""Batches that another one may be after; then, all that is known is written again."""

_KEY = re.compile(rb"batch/([0-9A-Za-z.]{1,80})(?:/(\d{1,9}))?")
_FORMER_KEY = re.compile(rb"([01])(?:/(\d{1,9}))?")
_CONVERTER = strict_converter()


@frozen
class Mark:
    """What is written last of a batch: what it is, and of which place in the log.

    It was `taken` (ms since the epoch) when the log had been read up to the `cut`, and has so many `parts` and `rows`.
    `after` are the ids of the batches that it continues, the first of which has all that was known. The `epochs` are
    those of the `places`, in their order.
    """

    format: int
    id: str
    parts: int
    rows: int
    taken: int
    time: int
    unread: list[str]
    places: list[tuple[str, int, str, int]]
    epochs: list[int | None] = attrs.field(factory=list)
    after: list[str] = attrs.field(factory=list)
    slot: int | None = None

    @property
    def cut(self) -> Cut:
        """The place in the log of which the state is."""
        places = {
            Partition(topic, number): PartitionPosition(id, offset, epoch)
            for (topic, number, id, offset), epoch in zip_longest(self.places, self.epochs[: len(self.places)])
        }
        # Those of before said more, which is not read any more.
        return Cut(places, self.time, frozenset(self.unread)).without(NOT_IN_CHECKPOINTS)


def make_mark(id: str, parts: int, rows: int, taken: int, cut: Cut, after: Iterable[str] = ()) -> Mark:
    """Return the mark of a batch whose parts have been written. Its `id` is of letters, digits and dots."""
    places = [(*partition, place.topic_id, place.next) for partition, place in cut.places.items()]
    epochs = [place.epoch for place in cut.places.values()]
    return Mark(FORMAT, id, parts, rows, taken, cut.time, sorted(cut.unread), places, epochs, list(after))


def mark_record(topic: str, mark: Mark) -> NewRecord:
    """Return a mark as a record."""
    content = attrs.asdict(mark, filter=attrs.filters.exclude("slot"))
    return NewRecord(topic, orjson.dumps(content), b"batch/%b" % mark.id.encode())


def part_record(topic: str, id: str, number: int, part: bytes) -> NewRecord:
    """Return a part of the batch called `id` as a record."""
    return NewRecord(topic, part, b"batch/%b/%d" % (id.encode(), number))


@frozen
class Part:
    """A part of a batch: the `key` of its record, where that is, and its `content`, unless that was forgotten."""

    key: bytes
    partition: int
    offset: int
    content: bytes | None


class Changelog:
    """What the records of the topic say, the last one of every key."""

    def __init__(self) -> None:
        # By the key of its record: a mark, and where that is: its partition, and its offset there.
        self._marks: dict[bytes, tuple[Mark, int, int]] = {}
        # By the id of a batch, by number.
        self._parts: dict[str, dict[int, Part]] = {}
        # By key, whose part it is, and which one.
        self._parts_by_key: dict[bytes, tuple[str, int]] = {}
        self.foreign: dict[bytes, Mark] = {}
        """Marks of another format, which this version cannot read, by key."""

    def take(self, record: Record) -> None:
        """Take note of the next record; one that is not ours says nothing."""
        key = record.key or b""
        match, former = _KEY.fullmatch(key), _FORMER_KEY.fullmatch(key)
        if match is None and former is None:
            return
        self._forget(key)
        value = record.value if isinstance(record.value, bytes) else None
        if value is None:
            return
        if match is not None:
            if match[2] is None:
                self._take_mark(record, key, value)
            else:
                self._take_part(match[1].decode(), int(match[2]), Part(key, record.partition, record.offset, value))
        elif former is not None and former[2] is None:
            self._take_mark(record, key, value)
        elif former is not None:
            id, _, content = value.partition(b" ")
            part = Part(key, record.partition, record.offset, content)
            self._take_part(id.decode("latin-1"), int(former[2]), part)

    def _forget(self, key: bytes) -> None:
        self._marks.pop(key, None)
        self.foreign.pop(key, None)
        if (place := self._parts_by_key.pop(key, None)) is not None:
            id, number = place
            parts = self._parts[id]
            del parts[number]
            if not parts:
                del self._parts[id]

    def _take_part(self, id: str, number: int, part: Part) -> None:
        if (other := self._parts.get(id, {}).get(number)) is not None:
            self._forget(other.key)
        self._parts.setdefault(id, {})[number] = part
        self._parts_by_key[part.key] = id, number

    def _take_mark(self, record: Record, key: bytes, value: bytes) -> None:
        mark = _mark_in(value)
        if mark is None:
            return
        own = b"%d" % mark.slot if mark.slot is not None else b"batch/%b" % mark.id.encode()
        if own != key:
            return
        if mark.format == (FORMAT if mark.slot is None else FORMER):
            self._marks[key] = mark, record.partition, record.offset
        else:
            self.foreign[key] = mark

    @property
    def by_id(self) -> Mapping[str, Mark]:
        """All marks by the ids of their batches."""
        return {mark.id: mark for mark, _, _ in self._marks.values()}

    def whole(self) -> list[Mark]:
        """Return the marks of the batches that are whole, the newest first."""
        # Those of which all parts are there: thousands, which are looked at once.
        complete = {id: mark for id, mark in self.by_id.items() if self._has_parts(mark)}
        whole: list[tuple[Mark, int, int]] = []
        for found in self._marks.values():
            if _is_whole(found[0], complete):
                at = len(whole)
                while at and not self._is_newer(whole[at - 1], found):
                    at -= 1
                whole.insert(at, found)
        return [mark for mark, _, _ in whole]

    def _is_newer(self, one: tuple[Mark, int, int], other: tuple[Mark, int, int]) -> bool:
        """Return whether a mark was written after another one; in several partitions, whether it says more."""
        return one[2] > other[2] if one[1] == other[1] else one[0].cut.says_more_than(other[0].cut)

    def _has_parts(self, mark: Mark) -> bool:
        parts = self._parts.get(mark.id, {})
        return all(number in parts for number in range(mark.parts))

    def newest(self) -> Mark | None:
        """Return the mark of the newest batch that is whole, if there is one."""
        return next(iter(self.whole()), None)

    def chain(self, mark: Mark) -> list[Mark]:
        """Return the marks of the batches that make a whole one, the first one first, and itself."""
        marks = self.by_id
        return [*(marks[id] for id in mark.after), mark]

    def parts(self, mark: Mark) -> list[Part]:
        """Return the parts of a batch that is whole, in their order."""
        parts = self._parts.get(mark.id, {})
        return [parts[number] for number in range(mark.parts)]

    def forget_contents(self) -> None:
        """Give back the memory of the parts; that they are there stays known."""
        for parts in self._parts.values():
            for number, part in parts.items():
                if part.content is not None:
                    parts[number] = attrs.evolve(part, content=None)

    def unfinished(self) -> set[str]:
        """Return the ids of the batches that have parts, and no mark."""
        return self._parts.keys() - self.by_id.keys()

    def keys_without(self, kept: Iterable[Mark], spared: Iterable[str]) -> list[bytes]:
        """Return the keys of all but the batches of what is `kept`, and of batches called as those `spared`.

        Marks come first: nothing must look whole that is not.
        """
        ids = {each for mark in kept for each in (*mark.after, mark.id)} | set(spared)
        keys = [key for key, (mark, _, _) in self._marks.items() if mark.id not in ids]
        return keys + [part.key for id, parts in self._parts.items() if id not in ids for part in parts.values()]


def _is_whole(mark: Mark, complete: Mapping[str, Mark]) -> bool:
    """Return whether a batch and all that it is after are `complete`, and the first one is after none."""
    chain = [*mark.after, mark.id]
    return all(id in complete for id in chain) and not complete[chain[0]].after


def _mark_in(value: bytes) -> Mark | None:
    try:
        return _CONVERTER.structure(orjson.loads(value), Mark)
    except (orjson.JSONDecodeError, ClassValidationError, TypeError, ValueError):
        return None
