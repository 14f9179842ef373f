"""How a position is written: the layout of its bytes, and their text.

    1 byte   version; its lowest bit says that every topic has exactly one partition, or does not exist yet
    2 bytes  check of the channel's name
    2 bytes  check of the ids of the topics that exist (a topic that is created again re-uses its offsets)
    then for each topic of `Kind.topics`, in that order, where the bit is set:
      number   next offset + 1, and the tag of its epoch in the lowest 7 bits; 0 if the topic does not exist
    and where it is not:
      number   number of partitions; 0 if the topic does not exist
      number   next offset, and the tag of its epoch in the lowest 7 bits, for each of them
    Of topics of our own, which come last, those at the end are left out that do not exist.

All of it is in base64url without padding. A number's first three bits say how many bytes follow the first. So with one
partition a topic, the longest are of 40 characters, up to offsets of a billion.

Positions of the version before have no tags, and numbers as in Protocol Buffers; they are still read.
"""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.platform.topics import OWN_TOPICS

LONGEST = 16_384
"""Characters that a position may have: with the largest offsets, those of some 300 partitions a topic."""

MOST_NUMBERS = 4096
"""Numbers that a position may hold: some 680 partitions of each of six topics. A single byte can name a partition, and
to understand twelve thousand of them takes 6 ms."""

TAG_BITS = 7

_VERSION, _FORMER_VERSION = 0x40, 0x20
_SINGLE = 0x01
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_LENGTHS = [0, *(length << 8 * length + 5 for length in range(9))]  # by how many bytes there are in all


class BadPositionError(Exception):
    """A text that cannot be a position of this channel."""


class Read(NamedTuple):
    """What a position says: the check of the topics' ids, and of each topic the next offsets, with their tags.

    One of the version before says nothing of epochs: `has_epochs` is false, and all tags are 0.
    """

    check: bytes
    topics: list[list[tuple[int, int]]]
    has_epochs: bool


@lru_cache(16_384)
def beginning(channel: str, single: bool) -> str:
    """Return what all positions of a channel begin with: three bytes, so that what follows is encoded for itself."""
    return encode((_VERSION | single).to_bytes() + _check(channel))


def encode(raw: bytes) -> str:
    """Return bytes as text."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def number(value: int) -> bytes:
    """Return a number below 2**61 as bytes."""
    size = value.bit_length() + 10 >> 3
    return (_LENGTHS[size] | value).to_bytes(size)


def check_ids(ids: Iterable[str]) -> bytes:
    """Return the check of topics' ids."""
    return _check(" ".join(ids))


def _check(text: str) -> bytes:
    """Return two bytes that differ for different texts, all but once in 65,535 times; never two zeros."""
    return (crc32(text.encode()) % 65_535 + 1).to_bytes(2)


def decode(text: str, channel: Channel) -> Read:
    """Return what a position says. Raises `BadPositionError`."""
    if len(text) > LONGEST:
        raise BadPositionError("A position is never that long.")
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        version = raw[0] & ~_SINGLE
        if version not in (_VERSION, _FORMER_VERSION):
            raise BadPositionError("The position is of a kind that this version does not know.")
        if raw[1:3] != _check(channel.name):
            raise BadPositionError("The position belongs to another channel.")
        bits = TAG_BITS if version == _VERSION else 0
        numbers = _not_too_many(_numbers(raw) if bits else _varints(raw[5:]))
        topics = [_topic(numbers, topic, bits, single=bool(raw[0] & _SINGLE)) for topic in channel.kind.topics]
        if next(numbers, None) is not None:
            raise BadPositionError("The position is damaged.")
    except (Base64Error, UnicodeEncodeError, IndexError, StopIteration):
        raise BadPositionError("The position is damaged.") from None
    return Read(raw[3:5], topics, version == _VERSION)


def _topic(numbers: Iterator[int], topic: str, bits: int, *, single: bool) -> list[tuple[int, int]]:
    """Take the next offsets of a topic, and their tags, from the numbers. Raises `StopIteration`."""
    tag = (1 << bits) - 1
    first = next(numbers, 0) if topic in OWN_TOPICS else next(numbers)
    if not single:
        values = [next(numbers) for _ in range(first)]
        return [(value >> bits, value & tag) for value in values]
    return [((first >> bits) - 1, first & tag)] if first >> bits else []


def _not_too_many(numbers: Iterator[int]) -> Iterator[int]:
    """Yield the numbers. Raises `BadPositionError` past `MOST_NUMBERS`."""
    for count, value in enumerate(numbers):
        if count == MOST_NUMBERS:
            raise BadPositionError("A position never names that many partitions.")
        yield value


def _numbers(raw: bytes) -> Iterator[int]:
    """Yield all numbers in `raw`, from its sixth byte on. Raises `BadPositionError` when the last one is cut off."""
    at, end = 5, len(raw)
    while at < end:
        size = (raw[at] >> 5) + 1
        if at + size > end:
            raise BadPositionError("The position is damaged.")
        yield int.from_bytes(raw[at : at + size]) & (1 << 8 * size - 3) - 1
        at += size


def _varints(raw: bytes) -> Iterator[int]:
    """Yield all numbers that were encoded as in Protocol Buffers: seven bits a byte, the lowest first.

    Raises `BadPositionError` when the last one is cut off.
    """
    value = shift = 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 63:
                raise BadPositionError("The position is damaged.")
        else:
            yield value
            value = shift = 0
    if shift:
        raise BadPositionError("The position is damaged.")
