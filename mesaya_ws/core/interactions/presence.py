"""Presence: what the processes say of who is on which channel. Levels, never edges: nobody joins, nobody leaves.

| record | what follows |
|---|---|
| a part of a process's table | it replaces what that part said before, if it is a later one (`n`) |
| a tombstone | the part is gone |
| none for `DROPPED_AFTER` since the last one was read, by the reader's clock that never steps | the part is gone |
| any, read soon after a part's last one, and appended `DROPPED_AFTER` later, by the log's clock | the part is gone |

A process that does not read its own records (the log is away, or it was stopped) knows nothing of the others, and must
not drop them for that (`renew`).
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from math import inf
from typing import TypeVar

from attrs import define

from mesaya_ws.core.interactions.presence_records import (
    NO_SIDE,
    Level,
    Part,
    Sides,
    joined,
    nobody,
)

DROPPED_AFTER = 15_000
"""Milliseconds after which a process counts no more that says nothing."""

READ_BEFORE = 10_000
"""Milliseconds in which records are read one after the other, of whatever age, when a process starts."""

TYPING_FOR = 12_000
"""Milliseconds for which somebody is typing who does not say so again."""

MAX_PARTS = 1_000
"""Parts of tables that are known at a time; further ones are ignored."""

V = TypeVar("V")


@define
class _Known:
    part: Part
    appended_at: int
    read_at: int


class PresenceTable:
    """What the parts of all processes' tables say together. Times are ms of the reader's clock, but for the log's."""

    def __init__(self) -> None:
        self.silent: dict[str, None] = {}
        """The keys of parts that are gone, and have no tombstone: anybody may append it."""
        # Of parts that are gone, the last `n`: a record of before that is read again does not bring them back.
        self._ended: dict[str, int] = {}
        # The one that was read last comes last.
        self._parts: dict[str, _Known] = {}
        self._levels: dict[str, dict[str, Level]] = {}
        self._asked: dict[str, set[str]] = {}
        self._typing: dict[str, dict[str, Sides]] = {}

    def apply(self, key: str, part: Part | None, appended_at: int, now: int) -> set[str]:
        """Take a record of a part that was read `now`; return the channels of which something may have changed."""
        known = self._parts.get(key)
        if part is not None and part.n <= (self._ended.get(key, -1) if known is None else known.part.n):
            return set()
        concerned: set[str] = set()
        for other, last in list(self._parts.items()):
            is_history = last.appended_at + DROPPED_AFTER < appended_at and now < last.read_at + READ_BEFORE
            if is_history and other != key:
                concerned |= self._drop(other)
        self.silent.pop(key, None)
        if known is not None or len(self._parts) < MAX_PARTS:
            concerned |= self._replace(key, part, appended_at, now)
        return concerned

    def drop(self, now: int) -> Iterator[set[str]]:
        """Let go of the parts that have said nothing for too long; yields for each the channels concerned.

        Between two of them, records may be applied.
        """
        while (first := next(iter(self._parts.items()), None)) is not None:
            key, last = first
            if last.read_at + DROPPED_AFTER > now:
                break
            yield self._drop(key)

    def drops_at(self) -> float:
        """Return when the next part is to be dropped; `inf`: none is known."""
        first = next(iter(self._parts.values()), None)
        return inf if first is None else first.read_at + DROPPED_AFTER

    def renew(self, now: int, lost: int) -> None:
        """Do not count the last `lost` milliseconds as silence of anybody: nothing could be read in them."""
        for last in self._parts.values():
            last.read_at = min(now, last.read_at + lost)

    def level(self, channel: str) -> Level:
        """Return who is on a channel, as far as others say so."""
        return reduce(joined, self._levels.get(channel, {}).values(), nobody(channel))

    def is_asked(self, channel: str) -> bool:
        """Return whether clients of others ask about a channel."""
        return channel in self._asked

    def typing(self, channel: str, now: int) -> Sides:
        """Return which sides are typing in a conversation, as far as others have said so lately."""
        parts = self._typing.get(channel, {}).items()
        return NO_SIDE.union(*(sides for key, sides in parts if self._parts[key].read_at + TYPING_FOR > now))

    def _drop(self, key: str) -> set[str]:
        if len(self.silent) < MAX_PARTS:
            self.silent[key] = None
        return self._replace(key, None, 0, 0)

    def _replace(self, key: str, part: Part | None, appended_at: int, now: int) -> set[str]:
        known = self._parts.pop(key, None)
        former = Part(0) if known is None else known.part
        present = Part(0) if part is None else part
        if part is not None:
            self._parts[key] = _Known(part, appended_at, now)
        elif known is not None:
            self._ended[key] = known.part.n
            if len(self._ended) > MAX_PARTS:
                del self._ended[next(iter(self._ended))]
        concerned = former.asked.keys() ^ present.asked.keys()
        for channel in present.asked.keys() - former.asked.keys():
            self._asked.setdefault(channel, set()).add(key)
        for channel in former.asked.keys() - present.asked.keys():
            _discard(self._asked, channel, key)
        before, after = {**former.asked, **former.seen}, {**present.asked, **present.seen}
        concerned |= _put(self._levels, key, before, after)
        return concerned | _put(self._typing, key, former.typing, present.typing)


def _discard(index: dict[str, set[str]], channel: str, key: str) -> None:
    keys = index[channel]
    keys.discard(key)
    if not keys:
        del index[channel]


def _put(index: dict[str, dict[str, V]], key: str, before: Mapping[str, V], after: Mapping[str, V]) -> set[str]:
    """Put what one part says in the place of what it said before; return the channels where that differs."""
    changed = {channel for channel, value in after.items() if before.get(channel) != value}
    for channel in changed:
        index.setdefault(channel, {})[key] = after[channel]
    gone = before.keys() - after.keys()
    for channel in gone:
        said = index[channel]
        del said[key]
        if not said:
            del index[channel]
    return changed | gone
