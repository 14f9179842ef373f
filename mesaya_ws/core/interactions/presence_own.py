"""What this process says of presence: its own table, of which the parts that have changed are to be appended."""

from collections.abc import Iterator
from math import inf

from attrs import define, field

from mesaya_ws.core.interactions.presence_records import (
    MAX_PART_CHANNELS,
    NO_SIDE,
    PART_CHANNELS,
    Level,
    Part,
    Sides,
    nobody,
    part_of,
    part_record,
)
from mesaya_ws.core.log.records import NewRecord

OFTEN, EVERY = 2_000, 5_000
"""Milliseconds between two appends: at least, and at most as long as there is anything to say."""

MAX_TYPING = 1_000
"""Conversations of one process of which it says that somebody is typing."""


@define
class _OwnPart:
    asked: dict[str, Level] = field(factory=dict)
    seen: dict[str, Level] = field(factory=dict)
    typing: dict[str, Sides] = field(factory=dict)
    has_changed: bool = False
    is_written: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.asked or self.seen or self.typing)


class OwnTable:
    """The table of this process, which is called `process`; of `most` channels at a time. Times are ms."""

    def __init__(self, process: str, most: int) -> None:
        self.process = process
        self.left_out = 0
        """How many channels there was no room for so far."""
        self._most = most
        self._parts = [_OwnPart()]
        self._channels = self._typing = 0
        self._appended_at = -inf
        self._n = 0

    def has(self, channel: str) -> bool:
        """Return whether the table says who is on a channel."""
        part = self._part(channel)
        return channel in part.asked or channel in part.seen

    def put(self, channel: str, level: Level, *, is_asked: bool) -> None:
        """Say who is on a channel, and whether somebody here asks about it; if nobody does either, say nothing."""
        part = self._part(channel)
        into, other = (part.asked, part.seen) if is_asked else (part.seen, part.asked)
        if not is_asked and level == nobody(channel):
            self.remove(channel)
            return
        if channel not in into and channel not in other:
            if self._channels >= self._most:
                self.left_out += 1
                return
            self._channels += 1
        part.has_changed |= other.pop(channel, None) is not None or into.get(channel) != level
        into[channel] = level
        if self._channels > PART_CHANNELS * len(self._parts):
            self._divide()

    def remove(self, channel: str) -> None:
        """Say nothing more of who is on a channel."""
        part = self._part(channel)
        if part.asked.pop(channel, None) is not None or part.seen.pop(channel, None) is not None:
            self._channels -= 1
            part.has_changed = True

    def type(self, channel: str, sides: Sides) -> None:
        """Say which sides are typing in a conversation."""
        part = self._part(channel)
        if part.typing.get(channel, NO_SIDE) == sides:
            return
        if not sides:
            del part.typing[channel]
            self._typing -= 1
        elif channel in part.typing:
            part.typing[channel] = sides
        elif self._typing < MAX_TYPING and len(part.typing) < MAX_PART_CHANNELS // 4:
            part.typing[channel] = sides
            self._typing += 1
        else:
            return
        part.has_changed = True

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to say, and nothing was said."""
        return not any(part.has_changed or part.is_written for part in self._parts)

    def due_at(self, *, changes: bool = False) -> float:
        """Return when something is to be appended, now or after `changes`; `inf`: there is nothing to say."""
        if changes or any(part.has_changed for part in self._parts):
            return self._appended_at + OFTEN
        return self._appended_at + EVERY if any(part.is_written for part in self._parts) else inf

    def take(self, now: int) -> Iterator[NewRecord]:
        """Yield what is to be appended now: the parts that have changed; and all, when they are due again.

        Between two of them, only who is typing may change. Each takes half a millisecond.
        """
        is_due = now >= self._appended_at + EVERY
        for number, part in enumerate(self._parts):
            is_empty = part.is_empty
            said = part.is_written if is_empty else part.has_changed or is_due
            part.has_changed = False
            if said:
                part.is_written, self._appended_at = not is_empty, now
                yield part_record(self.process, number, None if is_empty else self._said(part))

    def not_appended(self) -> None:
        """Note that what was taken last may not be in the log: all of it is to be appended again."""
        for part in self._parts:
            part.has_changed = True
            part.is_written = True  # it may be, from before

    def tombstones(self) -> list[NewRecord]:
        """Return what is to be appended at the end of the process."""
        return [part_record(self.process, number, None) for number, part in enumerate(self._parts) if part.is_written]

    def _said(self, part: _OwnPart) -> Part:
        self._n += 1
        return Part(self._n, part.asked, part.seen, part.typing)

    def _part(self, channel: str) -> _OwnPart:
        return self._parts[part_of(channel, len(self._parts))]

    def _divide(self) -> None:
        """Divide the table into twice as many parts: what is in the part `i` goes to `i` and to `i + len`."""
        former = self._parts
        self._parts = [_OwnPart(has_changed=True, is_written=part.is_written) for part in former]
        self._parts += [_OwnPart(has_changed=True) for _ in former]
        for part in former:
            for channel, level in part.asked.items():
                self._part(channel).asked[channel] = level
            for channel, level in part.seen.items():
                self._part(channel).seen[channel] = level
            for channel, sides in part.typing.items():
                self._part(channel).typing[channel] = sides
