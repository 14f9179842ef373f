"""How many messages of each side there are in a stretch of a conversation, without looking at each of them.

    messages   0 1 2 … 63 │ 64 … 127 │ …        looked at one by one, at both ends of the stretch
    blocks         0      │     1    │ …        64 messages each, which are counted; then 64 such blocks, and so on

A block is counted when its last message comes. Deleted messages do not count. Where a block is missing, what it would
be made of is counted instead.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mesaya_ws.core.interactions.chat_records import GUEST
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.stored_rows import StoredRows
from mesaya_ws.core.state.tracking import Tracked

COUNTS = "chat/count"
"""The table of the blocks."""

_BITS = 6
_LEVELS = 5
"""The largest blocks have a thousand million messages."""

_BYTES = 300
"""About how much memory a block takes."""


class Count(NamedTuple):
    """How many messages there are of each side."""

    guest: int = 0
    restaurant: int = 0

    def of(self, side: str) -> int:
        """Return how many a side has sent."""
        return self.guest if side == GUEST else self.restaurant


class MessageCounts:
    """Blocks by conversation, level and number. `look` counts a single message of a conversation."""

    def __init__(
        self,
        stored: Stored,
        tracked: Tracked,
        look: Callable[[int, int], Count],
        *,
        anew: bool = False,
        under: "MessageCounts | None" = None,
    ) -> None:
        self.rows: StoredRows[Count] = StoredRows(
            COUNTS,
            stored,
            tracked,
            lambda _, row: Count(*map(int, row)),
            tuple,
            lambda _: _BYTES,
            anew=anew,
            under=None if under is None else under.rows,
        )
        self._look = look

    def count(self, conversation: int, start: int, end: int) -> Count:
        """Count the messages with the numbers from `start` to before `end`, all of which are there."""
        guest = restaurant = 0
        while start < end:
            known, size = None, 1
            for name, block_size in _blocks_from(conversation, start):
                if start + block_size > end:
                    break
                if (block := self.rows.get(name)) is not None:
                    known, size = block, block_size
            found = self._look(conversation, start) if known is None else known
            guest, restaurant, start = guest + found.guest, restaurant + found.restaurant, start + size
        return Count(guest, restaurant)

    def added(self, conversation: int, number: int, first: int) -> None:
        """Take note of a new message; that number `first` is the first that is known."""
        for name, size in _blocks_until(conversation, number + 1):
            if number + 1 - size < first:
                break
            self.rows.put(name, self.count(conversation, number + 1 - size, number + 1))

    def deleted(self, conversation: int, number: int, side: str, end: int) -> None:
        """Take note that a message of a side is deleted; `end` is the number of the next message."""
        lost = Count(-1, 0) if side == GUEST else Count(0, -1)
        for level in range(1, _LEVELS + 1):
            block = number >> level * _BITS
            if block + 1 << level * _BITS > end:
                break
            name = _id(conversation, level, block)
            if (known := self.rows.get(name)) is not None:
                self.rows.put(name, Count(known.guest + lost.guest, known.restaurant + lost.restaurant))

    def removed(self, conversation: int, number: int) -> None:
        """Take note that a message is forgotten: so are the blocks whose last one it is."""
        for name, _ in _blocks_until(conversation, number + 1):
            if self.rows.get(name) is not None:
                self.rows.put(name, None)


def _blocks_from(conversation: int, start: int) -> Iterator[tuple[str, int]]:
    """Yield the names and sizes of the blocks that begin with a number, the smallest one first."""
    for level in range(1, _LEVELS + 1):
        if start & (1 << level * _BITS) - 1:
            break
        yield _id(conversation, level, start >> level * _BITS), 1 << level * _BITS


def _blocks_until(conversation: int, end: int) -> Iterator[tuple[str, int]]:
    """Yield the names and sizes of the blocks that end before a number, the smallest one first."""
    for level in range(1, _LEVELS + 1):
        if end & (1 << level * _BITS) - 1:
            break
        yield _id(conversation, level, (end >> level * _BITS) - 1), 1 << level * _BITS


def _id(conversation: int, level: int, block: int) -> str:
    return f"{conversation:010x}{level:x}{block:08x}"
