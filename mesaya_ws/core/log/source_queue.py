"""What has come of one source of the log, and has not been taken."""

from collections import deque
from typing import Any, Generic, TypeVar

import attrs

from mesaya_ws.core.log.records import Partition, Record

Item = TypeVar("Item", bound=tuple[Record, Any])
"""A record, and what the caller has made of it."""


def size_of(item: tuple[Record, Any]) -> int:
    """Return the bytes of an item's record."""
    record = item[0]
    return len(record.value or b"") + len(record.key or b"")


@attrs.define(eq=False)
class SourceQueue(Generic[Item]):
    """What has come of one source and has not been taken; after it the source holds `lag` more."""

    place: Partition
    items: deque[Item] = attrs.field(factory=deque)
    lag: int = 0
    parent: str | None = None
    """What the head waits for; None when it does not wait."""
    arrivals: deque[tuple[int, int]] = attrs.field(factory=deque)
    """When the items came: up to which offset, and at which time. Kept for each push, not for each item."""
    bytes: int = 0
    """Of the records in `items`."""
    is_full: bool = False

    @property
    def starved(self) -> bool:
        """Whether the head is still to come."""
        return self.lag > 0 and not self.items

    @property
    def timestamp(self) -> int:
        """Of the head."""
        return self.items[0][0].timestamp

    @property
    def arrived(self) -> int:
        """When the head came."""
        self._forget_arrivals()
        return self.arrivals[0][1]

    def note_arrival(self, now: int) -> None:
        """Note that the last of the items came now."""
        if self.arrivals:
            self._forget_arrivals()
        self.arrivals.append((self.items[-1][0].offset, now))

    def _forget_arrivals(self) -> None:
        first = self.items[0][0].offset
        while self.arrivals and self.arrivals[0][0] < first:
            self.arrivals.popleft()
