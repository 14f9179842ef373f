"""A place in the log, as clients carry it: what of a channel's feeding partitions has been taken.

A position is a vector of next offsets, one for each partition that feeds the channel's kind, and says the same on
every replica. It is opaque to clients, and never a permission. Layout, before base64url without padding:

    1 byte   version; its lowest bit says that every topic has exactly one partition, or does not exist yet
    2 bytes  check of the channel's name
    then for each topic of `Kind.topics`, in that order:
      varint   number of partitions (left out when the lowest bit is set)
      2 bytes  check of the topic's id (a topic that is created again re-uses its offsets)
      varint   next offset, for each partition

A topic that does not exist (yet) has the check 0 and, when the bit is set, the offset 0.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from zlib import crc32

from mesaya_ws.core.channels import Channel, Kind
from mesaya_ws.core.event_log import Extent, Partition

_VERSION = 0x10
_SINGLE = 0x01
_LONGEST = 4096

Vector = Mapping[Partition, int]


class BadPositionError(Exception):
    """A text that cannot be a position of this channel."""


class ReplacedTopicError(Exception):
    """A position in an earlier life of a topic that has been deleted and created again since."""


class Cursor:
    """Where this instance is in the log: what it has taken of every partition, and under which topic ids."""

    def __init__(self) -> None:
        self.next: dict[Partition, int] = {}
        self._ids: dict[str, bytes] = {}
        self._partitions: dict[str, list[Partition]] = {}
        self._parts: dict[str, bytes] = {}
        self._single = True

    def found(self, extents: Mapping[Partition, Extent]) -> None:
        """Take note of partitions that exist; those not seen before are to be taken from their beginning."""
        for partition in sorted(extents.keys() - self.next.keys()):
            self.next[partition] = extents[partition].begin
            self._ids[partition.topic] = _check(extents[partition].topic_id)
            self._partitions.setdefault(partition.topic, []).append(partition)
        self._lay_out()

    def replaced(self, topic: str, topic_id: str) -> None:
        """Start anew with a topic that was created again."""
        for partition in self._partitions.pop(topic, []):
            del self.next[partition]
        self._ids[topic] = _check(topic_id)
        self._lay_out()

    def _lay_out(self) -> None:
        self._single = all(len(partitions) == 1 for partitions in self._partitions.values())
        self._parts.clear()

    def advance(self, partition: Partition, next_offset: int) -> None:
        """Note that everything before `next_offset` of `partition` has been taken."""
        self.next[partition] = next_offset
        self._parts.pop(partition.topic, None)

    def position(self, channel: str, kind: Kind) -> str:
        """Return the present place of a channel, given by its name and kind."""
        parts = self._parts
        pieces = [(_VERSION | self._single).to_bytes(), _check(channel)]
        for topic in kind.topics:
            part = parts.get(topic)
            if part is None:
                part = parts[topic] = self._part(topic)
            pieces.append(part)
        return urlsafe_b64encode(b"".join(pieces)).rstrip(b"=").decode()

    def _part(self, topic: str) -> bytes:
        partitions = self._partitions.get(topic)
        if not partitions:
            return b"\0\0\0"  # in both layouts
        count = b"" if self._single else _varint(len(partitions))
        return count + self._ids[topic] + b"".join(_varint(self.next[partition]) for partition in partitions)

    def read(self, text: str, channel: Channel) -> Vector:
        """Return the vector that a position of `channel` stands for.

        A partition that it does not name, because it appeared later, counts from its beginning: it is left out. Raises
        `BadPositionError` when the text is not a position of this channel, `ReplacedTopicError` when a topic has been
        created again since.
        """
        vector: dict[Partition, int] = {}
        for topic, check, offsets in _decode(text, channel):
            if not any(check) and not any(offsets):
                continue
            if topic in self._ids and self._ids[topic] != check:
                raise ReplacedTopicError(topic)
            vector.update((Partition(topic, number), offset) for number, offset in enumerate(offsets))
        return vector


def _decode(text: str, channel: Channel) -> Iterator[tuple[str, bytes, list[int]]]:
    if len(text) > _LONGEST:
        raise BadPositionError("A position is never that long.")
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        version, check = raw[0], raw[1:3]
        if version & ~_SINGLE != _VERSION:
            raise BadPositionError("The position is of a kind that this version does not know.")
        if check != _check(channel.name):
            raise BadPositionError("The position belongs to another channel.")
        at = 3
        for topic in channel.kind.topics:
            count = 1
            if not version & _SINGLE:
                count, at = _read_varint(raw, at)
            topic_check, at = raw[at : at + 2], at + 2
            offsets = []
            for _ in range(count):
                offset, at = _read_varint(raw, at)
                offsets.append(offset)
            yield topic, topic_check, offsets
    except (Base64Error, UnicodeEncodeError, IndexError):
        raise BadPositionError("The position is damaged.") from None
    if at != len(raw):
        raise BadPositionError("The position is damaged.")


def _check(text: str) -> bytes:
    """Return two bytes that differ for different texts, all but once in 65,535 times; never two zeros."""
    return (crc32(text.encode()) % 65_535 + 1).to_bytes(2)


def _varint(number: int) -> bytes:
    """Encode as in Protocol Buffers: seven bits a byte, the lowest first, the high bit says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while raw[at] & 0x80:
        number |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 63:
            raise BadPositionError("The position is damaged.")
    return number | raw[at] << shift, at + 1
