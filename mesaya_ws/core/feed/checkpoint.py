"""A checkpoint: what all records up to a place in the log mean, kept so that nobody has to read them again.

It is kept in a topic of our own, of which the log holds the last record of every key (it is compacted): rows, packed
into parts with the keys `<slot>/<number>`, and then a marker with the key `<slot>`. Each of them bears the checkpoint's
id. A checkpoint of which a part is missing, because it was not finished or because another one is
being written over it, is none; so there are two slots, and the one that holds the newest whole checkpoint is never
written to. The newest is the one that was written last, for no other is written that says less: clocks say nothing.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

import attrs
import orjson
from attrs import frozen
from cattrs.errors import ClassValidationError

from mesaya_ws.core.log.records import NewRecord, Partition, PartitionPosition, Record
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.wire.structuring import strict_converter

FORMAT = 2
"""To be raised when tables of the former shape would be misunderstood; what has another format is not read.

1 did not say of which records an entity's state is made, and held what was deleted whole.
"""

PART_BYTES = 64 * 1024
"""Size of a part; unpacking one takes a few milliseconds."""

ROWS = 500
"""Rows that are taken or packed in one go, which takes a millisecond or two."""

TEXT_BYTES = 128 * 1024
"""Size of the text that is unpacked in one go, likewise."""


_KEY = re.compile(rb"([01])(?:/(\d{1,9}))?")
_CONVERTER = strict_converter()


class CorruptCheckpointError(Exception):
    """What should be a checkpoint cannot be decoded."""


@frozen
class Marker:
    """What is written last of a checkpoint: where it is, and what it is about.

    It was `taken` (ms since the epoch) when the log had been read up to the `cut`, and is whole when there are all of
    its `parts` in its `slot`. The `epochs` are those of the `places`, in their order; instances of before write none.
    """

    format: int
    id: str
    slot: int
    parts: int
    rows: int
    taken: int
    time: int
    unread: list[str]
    places: list[tuple[str, int, str, int]]
    epochs: list[int | None] = attrs.field(factory=list)

    @property
    def cut(self) -> Cut:
        """The place in the log of which the checkpoint is."""
        places = {
            Partition(topic, number): PartitionPosition(id, offset, epoch)
            for (topic, number, id, offset), epoch in zip_longest(self.places, self.epochs[: len(self.places)])
        }
        return Cut(places, self.time, frozenset(self.unread))


def make_marker(id: str, slot: int, parts: int, rows: int, taken: int, cut: Cut) -> Marker:
    """Return the marker of a checkpoint that has been written."""
    places = [(*partition, place.topic_id, place.next) for partition, place in cut.places.items()]
    epochs = [place.epoch for place in cut.places.values()]
    return Marker(FORMAT, id, slot, parts, rows, taken, cut.time, sorted(cut.unread), places, epochs)


def marker_record(topic: str, marker: Marker) -> NewRecord:
    """Return a marker as a record."""
    return NewRecord(topic, orjson.dumps(attrs.asdict(marker)), b"%d" % marker.slot)


def part_record(topic: str, id: str, slot: int, number: int, part: bytes) -> NewRecord:
    """Return a part of the checkpoint called `id` (without blanks) as a record."""
    return NewRecord(topic, b"%b %b" % (id.encode(), part), b"%d/%d" % (slot, number))


def in_pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield `rows`, some of them at a time."""
    while piece := list(islice(rows, ROWS)):
        yield piece


def pack(pieces: Iterable[list[Row]]) -> Iterator[bytes]:
    """Yield the parts that hold the rows of all `pieces`; in between, whenever others should run, nothing (`b""`)."""
    compressor = zlib.compressobj(1)
    packed = bytearray()
    for piece in pieces:
        for text in _texts(piece):
            packed += compressor.compress(text)
            while len(packed) >= PART_BYTES:
                yield bytes(packed[:PART_BYTES])
                del packed[:PART_BYTES]
            yield b""
    packed += compressor.flush()
    for start in range(0, len(packed), PART_BYTES):
        yield bytes(packed[start : start + PART_BYTES])


def _texts(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the lines of `rows`, joined or cut so that none takes long to be packed."""
    text = bytearray()
    for row in rows:
        text += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        while len(text) >= TEXT_BYTES:
            yield bytes(text[:TEXT_BYTES])
            del text[:TEXT_BYTES]
    yield bytes(text)


def unpack(parts: Iterable[bytes]) -> Iterator[list[Row]]:
    """Yield the rows that were packed, some at a time. Raises `CorruptCheckpointError`."""
    decompressor = zlib.decompressobj()
    rest = b""
    try:
        for part in parts:
            while part:
                *lines, rest = (rest + decompressor.decompress(part, TEXT_BYTES)).split(b"\n")
                part = decompressor.unconsumed_tail
                yield list(map(_row, lines))
        *lines, rest = (rest + decompressor.flush()).split(b"\n")
        yield list(map(_row, lines))
    except (zlib.error, TypeError, ValueError) as error:
        raise CorruptCheckpointError(f"its parts are not what was packed: {error}") from error
    if rest or not decompressor.eof:
        raise CorruptCheckpointError("its last part is missing")


def _row(line: bytes) -> Row:
    name, id, value = orjson.loads(line)
    if type(name) is not str or type(id) is not str:
        raise TypeError("a row begins with its table and its id")
    return name, id, value


class Slots:
    """What the records of the topic say, the last one of every key."""

    def __init__(self) -> None:
        self._markers: dict[int, Marker] = {}
        # By slot, where the marker is: its partition, and its offset there.
        self._places: dict[int, tuple[int, int]] = {}
        self.foreign: dict[int, Marker] = {}
        """By slot, checkpoints of another format, which this version cannot read."""
        # By slot and number: whose part it is, and the part.
        self._parts: dict[tuple[int, int], tuple[str, bytes]] = {}

    def take(self, record: Record) -> None:
        """Take note of the next record; one that is not ours says nothing."""
        key = _KEY.fullmatch(record.key or b"")
        if key is None:
            return
        slot, value = int(key[1]), record.value if isinstance(record.value, bytes) else b""
        if key[2] is not None:
            id, _, part = value.partition(b" ")
            self._parts[slot, int(key[2])] = id.decode("latin-1"), part
        else:
            self._markers.pop(slot, None)
            self.foreign.pop(slot, None)
            marker = _marker_in(value)
            if marker is not None and marker.slot == slot:
                self._places[slot] = record.partition, record.offset
                (self._markers if marker.format == FORMAT else self.foreign)[slot] = marker

    def whole(self) -> list[Marker]:
        """Return the markers of the checkpoints that are whole, the newest first."""
        whole = [marker for marker in self._markers.values() if self._is_whole(marker)]
        if len(whole) == 2 and not self._is_newer(*whole):
            whole.reverse()
        return whole

    def _is_newer(self, marker: Marker, other: Marker) -> bool:
        """Return whether a checkpoint was written after another one; in several partitions, whether it says more."""
        (partition, offset), (others_partition, others_offset) = self._places[marker.slot], self._places[other.slot]
        return offset > others_offset if partition == others_partition else marker.cut.says_more_than(other.cut)

    def newest(self) -> Marker | None:
        """Return the marker of the newest checkpoint that is whole, if there is one."""
        return next(iter(self.whole()), None)

    def parts(self, marker: Marker) -> Iterator[bytes]:
        """Yield the parts of a whole checkpoint in their order."""
        for number in range(marker.parts):
            yield self._parts[marker.slot, number][1]

    def free(self) -> int:
        """Return the slot that the next checkpoint is to be written to."""
        newest = self.newest()
        return 0 if newest is None else 1 - newest.slot

    def forget_parts(self) -> None:
        """Give back the memory of the parts; whose they are stays known."""
        self._parts = {place: (id, b"") for place, (id, _) in self._parts.items()}

    def _is_whole(self, marker: Marker) -> bool:
        return all(self._parts.get((marker.slot, number), ("",))[0] == marker.id for number in range(marker.parts))


def _marker_in(value: bytes) -> Marker | None:
    try:
        return _CONVERTER.structure(orjson.loads(value), Marker)
    except (orjson.JSONDecodeError, ClassValidationError, TypeError, ValueError):
        return None
