"""How much memory the entities take that have been read: estimated from the records about them."""

from collections.abc import Iterator

from mesaya_ws.core.platform.emptying import DISCARDED_AT_ONCE
from mesaya_ws.core.platform.envelope import Event

MEMORY_PER_BYTE = 5
"""Bytes of memory that an entity takes for each byte of its record, with all that leads to it: measured with reviews
and reservations, of which each record has some 300 bytes."""


class Weights:
    """The entities that records were about, each with its largest record; `bytes` is what they take all together."""

    def __init__(self) -> None:
        self.bytes = 0
        self._largest: dict[tuple[str, str], int] = {}

    def note(self, event: Event, size: int) -> None:
        """Take note of an event whose record has `size` bytes."""
        key = event.entity, event.id
        known = self._largest.get(key, 0)
        if size > known:
            self._largest[key] = size
            self.bytes += (size - known) * MEMORY_PER_BYTE

    def discard(self) -> Iterator[None]:
        """Let go of all, yielding after some of it."""
        while self._largest:
            for _ in range(min(DISCARDED_AT_ONCE, len(self._largest))):
                self._largest.popitem()
            yield
        self.bytes = 0
