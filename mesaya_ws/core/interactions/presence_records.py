"""What a process says of presence: who is on the channels that somebody asks about, and who is typing, as records.

A process's table is divided into parts by the names of the channels, each a record of its own that replaces the one
before it; so none grows too large, and no channel is ever in two. There is one part, and twice as many whenever they
are full: then, until all are appended, some channels are missing or counted twice, which the wait of a fall hides.
"""

import binascii
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from attrs import field, frozen

from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT, SIDES
from mesaya_ws.core.interactions.strict import BadFieldError, read_object, whole
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.records import NewRecord, Record

EXACT = 20
"""Viewers up to which their number is exact, also where one user is on several processes: their names are compared."""

PART_CHANNELS = 400
"""Channels of a part, on average, past which there are twice as many parts."""

MAX_PART_CHANNELS, MAX_PART_BYTES, MAX_PART_NODES = 1_000, 512 * 1024, 25_000
"""Bounds of a record that is read: more than any that is written here."""

LONGEST_NAME, LONGEST_KEY = 512, 160


class Viewers(NamedTuple):
    """Who is on a channel: so many who cannot be compared with those of other processes, and `users`, by `name_of`."""

    unnamed: int = 0
    users: frozenset[str] = frozenset()

    @property
    def number(self) -> int:
        """How many there are."""
        return self.unnamed + len(self.users)


Sides = frozenset[str]
"""Which sides are in a conversation, `guest` and `restaurant`."""

NOBODY_VIEWS, NO_SIDE = Viewers(), Sides()

Level = Viewers | Sides
"""What is known of a channel; of a conversation, its sides."""


@frozen
class Part:
    """A part of a process's table, in the process's record number `n`.

    It holds the channels that its own clients ask about (`asked`); those that clients of others ask about, where it has
    viewers (`seen`); and which sides are `typing` where.
    """

    n: int
    asked: Mapping[str, Level] = field(factory=dict)
    seen: Mapping[str, Level] = field(factory=dict)
    typing: Mapping[str, Sides] = field(factory=dict)


def is_conversation(channel: str) -> bool:
    """Return whether a channel is a conversation, by its name."""
    return channel.count(":") == 3


def guest_of(channel: str) -> str:
    """Return the guest of a conversation."""
    return channel.rpartition(":")[2]


def nobody(channel: str) -> Level:
    """Return what is known of a channel where nobody is."""
    return NO_SIDE if is_conversation(channel) else NOBODY_VIEWS


@lru_cache(8192)
def name_of(user: str) -> str:
    """Return what a user is called in records: 48 bits of a hash are enough for those of one channel."""
    return urlsafe_b64encode(blake2b(user.encode(), digest_size=6).digest()).decode()


def level_of(channel: str, users: Iterable[str | None]) -> Level:
    """Return what there is to know of a channel with these viewers, None for each who is not signed in.

    In a conversation, who is not signed in is on no side.
    """
    everybody = list(users)
    known = set(everybody)
    if is_conversation(channel):
        known.discard(None)
        guest = guest_of(channel)
        return Sides(GUEST if user == guest else RESTAURANT for user in known)
    known.discard(None)
    anonymous = everybody.count(None)
    if anonymous + len(known) > EXACT:
        return Viewers(anonymous + len(known))
    return Viewers(anonymous, frozenset(name_of(user) for user in known if user is not None))


def joined(one: Level, other: Level) -> Level:
    """Return what two processes know together; levels of a different sort are not taken into account."""
    if isinstance(one, Viewers):
        if not isinstance(other, Viewers):
            return one
        return Viewers(one.unnamed + other.unnamed, one.users | other.users)
    return one if isinstance(other, Viewers) else one | other


def part_of(channel: str, parts: int) -> int:
    """Return the number of the part, of so many, that a channel is in."""
    return binascii.crc32(channel.encode()) % parts


def key_of(process: str, part: int) -> bytes:
    """Return the key of the records of a part of a process's table."""
    return f"{process}/{part}".encode()


def part_record(process: str, number: int, part: Part | None) -> NewRecord:
    """Return the record of a part of a process's table; None: there is nothing in it any more."""
    value = None
    if part is not None:
        fields = {
            "n": part.n,
            "asked": {name: _written(level) for name, level in part.asked.items()},
            "seen": {name: _written(level) for name, level in part.seen.items()},
            "typing": {name: sorted(sides) for name, sides in part.typing.items()},
        }
        value = orjson.dumps({name: said for name, said in fields.items() if said or name == "n"})
    return NewRecord(PRESENCE, value, key_of(process, number))


def _written(level: Level) -> list[Any]:
    return [level.unnamed, *sorted(level.users)] if isinstance(level, Viewers) else sorted(level)


def read_key(record: Record) -> str:
    """Return the key of a record. Raises `BadFieldError`."""
    try:
        key = (record.key or b"").decode("ascii")
    except UnicodeDecodeError:
        key = ""
    process, _, number = key.rpartition("/")
    if not (process and number.isdigit() and len(key) <= LONGEST_KEY):
        raise BadFieldError("its key is no part of a process")
    return key


def read_part(record: Record) -> Part | None:
    """Return the part that a record holds; None if that is gone. Raises `BadFieldError`."""
    if record.value is None:
        return None
    fields = read_object(record, MAX_PART_BYTES, MAX_PART_NODES)
    part = Part(
        whole(fields, "n"),
        _read(fields, "asked", _read_level),
        _read(fields, "seen", _read_level),
        _read(fields, "typing", _read_sides),
    )
    if len(part.asked) + len(part.seen) + len(part.typing) > MAX_PART_CHANNELS:
        raise BadFieldError(f"it has more than {MAX_PART_CHANNELS} channels")
    return part


def _read(fields: dict[str, Any], name: str, read: Callable[[str, Any], Any]) -> dict[str, Any]:
    levels = fields.get(name, {})
    if type(levels) is not dict:
        raise BadFieldError(f"{name} is no object")
    for channel in levels:
        if len(channel) > LONGEST_NAME:
            raise BadFieldError("a name is too long for a channel")
    return {channel: read(channel, level) for channel, level in levels.items()}


def _read_level(channel: str, level: Any) -> Level:
    if is_conversation(channel):
        return _read_sides(channel, level)
    if type(level) is not list or not level or type(level[0]) is not int or not 0 <= level[0] <= 10_000_000:
        raise BadFieldError("viewers are a number, and names")
    if len(level) > 1 + EXACT or any(type(name) is not str or len(name) > 32 for name in level[1:]):
        raise BadFieldError(f"viewers are a number, and {EXACT} names at most")
    return Viewers(level[0], frozenset(level[1:]))


def _read_sides(_: str, sides: Any) -> Sides:
    if type(sides) is not list or any(side not in SIDES for side in sides):
        raise BadFieldError("the sides of a conversation are guest and restaurant")
    return frozenset(sides)
