"""A place in the log, as clients carry it: what of a channel's feeding partitions has been taken.

A position is a vector of next offsets, one for each partition that feeds the channel's kind, and says the same on
every replica. It is opaque to clients, and never a permission. Layout, before base64url without padding:

    1 byte   version; its lowest bit says that every topic has exactly one partition, or does not exist yet
    2 bytes  check of the channel's name
    2 bytes  check of the ids of the topics that exist (a topic that is created again re-uses its offsets)
    then for each topic of `Kind.topics`, in that order, where the bit is set:
      varint   next offset + 1; 0 if the topic does not exist
    and where it is not:
      varint   number of partitions; 0 if the topic does not exist
      varint   next offset, for each of them
    The topic of our own, the last, is left out if it does not exist.

So with one partition a topic, the longest are of 40 characters, up to offsets of 34 billion.
"""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from zlib import crc32

from mesaya_ws.core.channels import Channel, Kind
from mesaya_ws.core.event_log import PARENTS, Extent, Partition, Place

_VERSION = 0x20
_SINGLE = 0x01
_LONGEST = 4096  # some 600 partitions
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

Vector = Mapping[Partition, int]


class BadPositionError(Exception):
    """A text that cannot be a position of this channel."""


class ReplacedTopicError(Exception):
    """A position in an earlier life of a topic that has been deleted and created again since."""


class Cursor:
    """Where this instance is in the log: what it has taken of every partition, and under which topic ids."""

    def __init__(self) -> None:
        self.next: dict[Partition, int] = {}
        self._ids: dict[str, str] = {}
        self._partitions: dict[str, list[Partition]] = {}
        # By kind, what follows the beginning of its positions: the check, and a part for each of its topics; and by
        # topic, where its part stands. Nearly always one topic has moved since the last position.
        self._layouts: dict[str, list[bytes]] = {}
        self._parts: dict[str, list[tuple[list[bytes], int]]] = {}
        self._single = True

    def found(self, extents: Mapping[Partition, Extent]) -> None:
        """Take note of partitions that exist; those not seen before are to be taken from their beginning."""
        for partition in extents.keys() - self.next.keys():
            self.next[partition] = extents[partition].begin
            self._ids[partition.topic] = extents[partition].topic_id
            insort(self._partitions.setdefault(partition.topic, []), partition)
        self._lay_out()

    def replaced(self, topic: str, topic_id: str) -> None:
        """Start anew with a topic that was created again."""
        for partition in self._partitions.pop(topic, []):
            del self.next[partition]
        self._ids[topic] = topic_id
        self._lay_out()

    def places(self) -> dict[Partition, Place]:
        """Return where this is in every partition."""
        return {partition: Place(self._ids[partition.topic], offset) for partition, offset in self.next.items()}

    def _lay_out(self) -> None:
        self._single = all(partitions == [Partition(topic, 0)] for topic, partitions in self._partitions.items())
        self._layouts.clear()
        self._parts.clear()

    def advance(self, partition: Partition, next_offset: int) -> None:
        """Note that everything before `next_offset` of `partition` has been taken."""
        self.next[partition] = next_offset
        parts = self._parts.get(partition.topic)
        if parts is not None:
            part = _varint(next_offset + 1) if self._single else self._part(partition.topic)
            for layout, at in parts:
                layout[at] = part

    def position(self, channel: str, kind: Kind) -> str:
        """Return the present place of a channel, given by its name and kind."""
        layout = self._layouts.get(kind.name) or self._lay_out_kind(kind)
        return _beginning(_VERSION | self._single, channel) + _encode(b"".join(layout))

    def _lay_out_kind(self, kind: Kind) -> list[bytes]:
        existing = [topic for topic in kind.topics if topic in self._partitions]
        layout = self._layouts[kind.name] = [self._check_ids(existing), *map(self._part, kind.topics)]
        for at, topic in enumerate(kind.topics, 1):
            if topic in self._partitions:
                self._parts.setdefault(topic, []).append((layout, at))
        return layout

    def _check_ids(self, topics: Iterable[str]) -> bytes:
        return _check(" ".join(self._ids[topic] for topic in topics))

    def _part(self, topic: str) -> bytes:
        partitions = self._partitions.get(topic)
        if partitions is None:
            return b"" if topic == PARENTS else b"\0"
        if self._single:
            return _varint(self.next[partitions[0]] + 1)
        count = partitions[-1].number + 1
        # One that is missing, as it has no leader, has been taken up to its beginning.
        return _varint(count) + b"".join(_varint(self.next.get(Partition(topic, n), 0)) for n in range(count))

    def read(self, text: str, channel: Channel) -> Vector:
        """Return the vector that a position of `channel` stands for.

        A partition that it does not name, because it appeared later, counts from its beginning: it is left out. Raises
        `BadPositionError` when the text is not a position of this channel, `ReplacedTopicError` when a topic has been
        created again since.
        """
        vector: dict[Partition, int] = {}
        existing = []
        check, offsets_by_topic = _decode(text, channel)
        for topic, offsets in zip(channel.kind.topics, offsets_by_topic, strict=True):
            if offsets:
                existing.append(topic)
            vector.update((Partition(topic, number), offset) for number, offset in enumerate(offsets))
        # While one of them is not known here, the place is ahead; its topics are compared when it has been reached.
        if all(topic in self._ids for topic in existing) and check != self._check_ids(existing):
            raise ReplacedTopicError
        return vector


@lru_cache(16_384)
def _beginning(version: int, channel: str) -> str:
    """Return what all positions of a channel begin with: three bytes, so that what follows is encoded for itself."""
    return _encode(version.to_bytes() + _check(channel))


def _encode(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def _decode(text: str, channel: Channel) -> tuple[bytes, list[list[int]]]:
    """Return the check of the topics' ids, and the next offsets of each topic."""
    if len(text) > _LONGEST:
        raise BadPositionError("A position is never that long.")
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        version = raw[0]
        if version & ~_SINGLE != _VERSION:
            raise BadPositionError("The position is of a kind that this version does not know.")
        if raw[1:3] != _check(channel.name):
            raise BadPositionError("The position belongs to another channel.")
        numbers = _varints(raw[5:])
        offsets = []
        for topic in channel.kind.topics:
            number = next(numbers, 0) if topic == PARENTS else next(numbers)
            if version & _SINGLE:
                offsets.append([number - 1] if number else [])
            else:
                offsets.append([next(numbers) for _ in range(number)])
        if next(numbers, None) is not None:
            raise BadPositionError("The position is damaged.")
    except (Base64Error, UnicodeEncodeError, IndexError, StopIteration):
        raise BadPositionError("The position is damaged.") from None
    return raw[3:5], offsets


def _check(text: str) -> bytes:
    """Return two bytes that differ for different texts, all but once in 65,535 times; never two zeros."""
    return (crc32(text.encode()) % 65_535 + 1).to_bytes(2)


def _varint(number: int) -> bytes:
    """Encode as in Protocol Buffers: seven bits a byte, the lowest first, the high bit says that more follow."""
    if number <= 0x7F:
        return number.to_bytes()
    return (number & 0x7F | 0x80).to_bytes() + _higher_bits(number >> 7)


_higher_bits = lru_cache(1024)(_varint)  # of the next offset of a partition they are the same, 127 times in 128


def _varints(raw: bytes) -> Iterator[int]:
    """Yield all numbers that are encoded in `raw`. Raises `BadPositionError` when the last one is cut off."""
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 63:
                raise BadPositionError("The position is damaged.")
        else:
            yield number
            number = shift = 0
    if shift:
        raise BadPositionError("The position is damaged.")
