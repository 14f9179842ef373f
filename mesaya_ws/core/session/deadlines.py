"""One time at which something is due, for each of many: a heap, rather than a timer for each."""

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

from attrs import define, field

K = TypeVar("K", bound=Hashable)

SPARE = 64
"""Entries that may be out of date, beside as many as count: then the heap is made anew. Who renews a token again and
again, or connects again and again, leaves no more than that."""


@define(eq=False)
class _Entry(Generic[K]):
    """`key` is None once the entry is out of date."""

    key: K | None


@define(eq=False)
class Deadlines(Generic[K]):
    """When each key is due, by one clock; a key has one time at most.

    `on_earlier` is called when something is due before everything else that was set: whoever sleeps until the `next`
    must wake up.
    """

    on_earlier: Callable[[], None] = lambda: None
    _heap: list[tuple[float, int, _Entry[K]]] = field(factory=list)
    _entries: dict[K, _Entry[K]] = field(factory=dict)
    _number: "count[int]" = field(factory=count)

    def __len__(self) -> int:
        """Return how many keys are due at some time."""
        return len(self._entries)

    @property
    def size(self) -> int:
        """How many entries there are, those out of date included."""
        return len(self._heap)

    @property
    def next(self) -> float:
        """When the next key is due, or a little before; `inf` if none is."""
        return self._heap[0][0] if self._heap else inf

    def set(self, key: K, due: float) -> None:
        """Let a key be due then, and no more when it was before; `inf`: never."""
        if key in self._entries:
            self.cancel(key)
        if due == inf:
            return
        heap = self._heap
        earlier = not heap or due < heap[0][0]
        entry = self._entries[key] = _Entry(key)
        heappush(heap, (due, next(self._number), entry))
        if earlier:
            self.on_earlier()

    def cancel(self, key: K) -> None:
        """Let a key be due no more."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        entry.key = None
        if len(self._heap) > 2 * len(self._entries) + SPARE:
            self._heap = [each for each in self._heap if each[2].key is not None]
            heapify(self._heap)

    def pop(self, now: float) -> K | None:
        """Return a key that is due, the first one first, and let it be due no more; None if none is."""
        while self._heap and self._heap[0][0] <= now:
            key = heappop(self._heap)[2].key
            if key is not None:
                del self._entries[key]
                return key
        return None
