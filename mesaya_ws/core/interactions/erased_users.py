"""Users who were erased: what they had said until then is forgotten, and they have no name beside it.

The last `MAX_ERASED` are remembered; retention has removed what older ones had said.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from mesaya_ws.core.state.tracking import Tracked

ERASED = "chat/erased"
"""The table of the rows."""

MAX_ERASED = 100_000
"""Users of whom it is remembered that they were erased, at some 200 bytes each."""


_Place = tuple[int, int, int, int]


class ErasedUsers:
    """By user, where it was erased last: partition, offset and append time, and the place of that among all."""

    def __init__(self, tracked: Tracked, original: "ErasedUsers | None" = None) -> None:
        self._tracked = tracked
        self._original = original
        # The first one is found at once, however many were before it.
        self._erased: OrderedDict[str, _Place] = OrderedDict()

    def draft(self, tracked: Tracked) -> "ErasedUsers":
        """Return the same, for one record that is not to change this."""
        return ErasedUsers(tracked, self)

    def add(self, user: str, partition: int, offset: int, at: int, place: int) -> None:
        """Take note that a user was erased by the record at an offset, which was appended `at` some time (ms)."""
        self._erased.pop(user, None)
        self._erased[user] = partition, offset, at, place
        self._tracked.note(user, self._erased[user])
        if len(self._erased) > MAX_ERASED:
            oldest = next(iter(self._erased))
            del self._erased[oldest]
            self._tracked.note(oldest, None)

    def is_erased(self, user: str, partition: int, offset: int, at: int) -> bool:
        """Return whether a user was erased after the record at an offset, which was appended `at` some time."""
        place = self._place(user)
        if place is None:
            return False
        return offset < place[1] if place[0] == partition else at <= place[2]

    def _place(self, user: str) -> _Place | None:
        place = self._erased.get(user)
        return self._original._place(user) if place is None and self._original is not None else place

    def discard(self) -> Iterator[None]:
        """Let go of all, yielding after some."""
        return self._tracked.emptied(self._erased)

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield all, as rows."""
        for user, place in self._erased.items():
            yield ERASED, user, place

    def load(self, user: str, value: Any) -> None:
        """Take in one of the rows, in their order. Raises `ValueError` or `TypeError` if it is none."""
        partition, offset, at, place = map(int, value)
        self._erased[user] = partition, offset, at, place
