"""How the state store is written: the keys of its tables, and its values.

    meta      name                                       a value
    entities  table, 0, id                               value
    members   index, 0, parent                           members, sorted
    log       serial of the first one                    publications that follow one another (see `blocks`)
    lines     channel, 0, partition, place               places, as many as were committed at once
    marks     serial                                     a pair, or a note
    pairs     channel, 0, two partitions                 first offset, second offset, serial; sorted
    notes     channel                                    serials, sorted
    window    serial of the first one                    publications of the window that follow one another, likewise
    recent    number                                     a note that belongs to the window

A place is the offset of a record and the serial of the publication that it became; that in a key is the first one of
its value. A partition is its topic, 0, and its number in 4 bytes; offsets and serials have 8 bytes; all numbers begin
with the highest byte, so that keys sort as they do. An id that is too long for a key is in its value. Every value of
`meta`, `entities`, `marks` and `recent` begins with the CRC-32 of the rest, and so does what `log` and `window` have: a
page that the disk has changed is noticed when it is used.
"""

import struct
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from zlib import crc32

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import StoredNote, StoredPair
from mesaya_ws.core.state.interface import (
    CorruptStateError,
)

FORMAT = b"mesaya-ws state 6"
"""To be changed when stores of the former layout would be misunderstood: those are set aside."""

MAX_KEY = 511
"""Bytes that LMDB allows for a key."""

TABLES: dict[str, dict[str, Any]] = {
    "meta": {},
    "entities": {},
    "members": {"dupsort": True},
    "log": {},
    "lines": {},
    "marks": {},
    "pairs": {"dupsort": True, "dupfixed": True},
    "notes": {"dupsort": True, "dupfixed": True},
    "window": {},
    "recent": {},
}
"""The tables, each with what LMDB is to be asked for."""

ENTITY_TABLES = ("entities", "members")
"""Those of what is known."""

ENTRY_TABLES = ("log", "lines", "marks", "pairs", "notes")
"""Those whose values are forgotten in time."""

WINDOW_TABLES = ("window", "recent")
"""Those of the copy of the window."""

PLACE = struct.Struct(">QQ")
PAIR = struct.Struct(">QQQ")
SERIAL = struct.Struct(">Q")
_CHECK = struct.Struct(">I")
_NUMBER = struct.Struct(">I")
# The kind of the mark, the length of its channel's name, and its time.
_MARK = struct.Struct(">BHq")
_PAIR, _NOTE = range(2)
_LONG = b"\xff"  # no text begins with it
_LARGEST = (1 << 64) - 1


class KeyTooLongError(ValueError):
    """A name that has no place in a key."""


def sealed(value: bytes) -> bytes:
    """Return a value with its check."""
    return _CHECK.pack(crc32(value)) + value


def unsealed(value: bytes) -> bytes:
    """Return what was sealed. Raises `CorruptStateError` when it has changed since."""
    if len(value) < 4 or crc32(memoryview(value)[4:]) != _CHECK.unpack_from(value)[0]:
        raise CorruptStateError("The state holds a value that is not what was written.")
    return value[4:]


def joined(*names: str) -> bytes:
    """Return the key of an entity, of a parent, or of a channel. Raises `KeyTooLongError`."""
    key = b"\0".join(name.encode("utf-8", "surrogatepass") for name in names)
    if len(key) > MAX_KEY:
        raise KeyTooLongError(f"{names[0]}: a name of {len(key)} bytes is too long")
    return key


def entity_key(table: str, id: str) -> bytes:
    """Return the key of an entity; where its id is too long for one, a digest stands for it."""
    name = id.encode("utf-8", "surrogatepass")
    prefix = table.encode() + b"\0"
    if len(prefix) + len(name) > MAX_KEY:
        return prefix + _LONG + sha256(name).digest()
    return prefix + name


def entity_value(key: bytes, id: str, value: bytes) -> bytes:
    """Return the value of an entity that has such a key."""
    if not _is_long(key):
        return sealed(value)
    name = id.encode("utf-8", "surrogatepass")
    return sealed(_NUMBER.pack(len(name)) + name + value)


def entity_items(table: str, values: Mapping[str, bytes | None]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return the keys of the entities of a table, their values, and the keys of those that are no more.

    They are sorted, but for long ids. There are thousands in a commit, so it takes no call for each, but for these.
    """
    prefix, pack = table.encode() + b"\0", _CHECK.pack
    longest = MAX_KEY - len(prefix)
    keys, put, gone = [], [], []
    for id in sorted(values):  # as their bytes sort
        value, name = values[id], id.encode("utf-8", "surrogatepass")
        is_long = len(name) > longest
        key = entity_key(table, id) if is_long else prefix + name
        if value is None:
            gone.append(key)
        else:
            keys.append(key)
            put.append(entity_value(key, id, value) if is_long else pack(crc32(value)) + value)
    return keys, put, gone


def entity_in(key: bytes, value: bytes) -> tuple[str, bytes]:
    """Return the id of an entity, and what it is. Raises `CorruptStateError`."""
    value = unsealed(value)
    if not _is_long(key):
        return key.partition(b"\0")[2].decode("utf-8", "surrogatepass"), value
    end = _NUMBER.size + _NUMBER.unpack_from(value)[0]
    return value[_NUMBER.size : end].decode("utf-8", "surrogatepass"), value[end:]


def _is_long(key: bytes) -> bool:
    return key[key.index(b"\0") + 1 :][:1] == _LONG


def table_in(key: bytes) -> str:
    """Return the table in an entity's key."""
    return key.partition(b"\0")[0].decode()


def partition_key(partition: Partition) -> bytes:
    """Return a partition as a part of a key."""
    return partition.topic.encode() + b"\0" + _NUMBER.pack(partition.number)


def partition_in(key: bytes) -> tuple[Partition, bytes]:
    """Return the partition that a part of a key begins with, and the rest."""
    topic, _, rest = key.partition(b"\0")
    return Partition(topic.decode(), _NUMBER.unpack_from(rest)[0]), rest[4:]


def line_key(channel: str, partition: Partition) -> bytes:
    """Return the key of the publications on a channel of a partition's records."""
    return joined(channel, "") + partition_key(partition)


def pair_key(channel: str, first: Partition, second: Partition) -> bytes:
    """Return the key of the pairs on a channel between two partitions."""
    return joined(channel, "") + partition_key(first) + partition_key(second)


def place(offset: int, serial: int = 0) -> bytes:
    """Return an entry of a line; without its serial, where the entries at or after an offset begin."""
    return PLACE.pack(min(max(offset, 0), _LARGEST), serial)


def line_start(line: bytes, offset: int) -> bytes:
    """Return the key at which the places of a line begin that are at or after an offset, but for the value before."""
    return line + place(offset)


def line_end(line: bytes) -> bytes:
    """Return a key after all of a line."""
    return line + b"\xff" * PLACE.size


def places_in(value: bytes) -> Iterator[tuple[int, int]]:
    """Yield the offsets and serials in a value of a line."""
    return PLACE.iter_unpack(value)


def mark_value(mark: StoredPair | StoredNote) -> bytes:
    """Return a pair or a note as a value."""
    match mark:
        case StoredPair(channel, _, first, first_offset, second, second_offset, timestamp):
            kind = _PAIR
            content = PLACE.pack(first_offset, second_offset) + partition_key(first) + partition_key(second)
        case StoredNote(channel, _, timestamp, content):
            kind = _NOTE
    name = channel.encode()
    return sealed(_MARK.pack(kind, len(name), timestamp) + name + content)


def mark_in(serial: int, value: bytes) -> StoredPair | StoredNote:
    """Return the pair or the note in a value. Raises `CorruptStateError`."""
    value = unsealed(value)
    try:
        kind, length, timestamp = _MARK.unpack_from(value)
        start = _MARK.size + length
        channel = value[_MARK.size : start].decode()
        if kind == _PAIR:
            first_offset, second_offset = PLACE.unpack_from(value, start)
            first, rest = partition_in(value[start + 16 :])
            second, _ = partition_in(rest)
            return StoredPair(channel, serial, first, first_offset, second, second_offset, timestamp)
        return StoredNote(channel, serial, timestamp, value[start:])
    except (struct.error, UnicodeDecodeError) as error:
        raise CorruptStateError("The state holds an entry that cannot be read.") from error


def index_of(mark: StoredPair | StoredNote) -> tuple[str, bytes, bytes]:
    """Return the table, the key and the value by which a pair or a note is found."""
    match mark:
        case StoredPair():
            key = pair_key(mark.channel, mark.first, mark.second)
            return "pairs", key, PAIR.pack(mark.first_offset, mark.second_offset, mark.serial)
        case StoredNote():
            return "notes", joined(mark.channel, ""), SERIAL.pack(mark.serial)


def floors_value(floors: dict[Partition, int]) -> bytes:
    """Return the floors of partitions as one value."""
    return sealed(b"".join(place(offset) + partition_key(at) for at, offset in sorted(floors.items())))


def floors_in(value: bytes) -> Iterator[tuple[Partition, int]]:
    """Yield the partitions in such a value, and their floors. Raises `CorruptStateError`."""
    rest = unsealed(value)
    while rest:
        offset, _ = PLACE.unpack_from(rest)
        partition, rest = partition_in(rest[PLACE.size :])
        yield partition, offset
