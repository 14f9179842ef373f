"""Rows of messages that are forgotten, and swept up a few at a time: nobody finds them any more."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from mesaya_ws.core.interactions.chat_messages import ChatMessages
from mesaya_ws.core.state.tracking import Tracked

SWEEPING = "chat/sweeping"
"""The table that says which rows."""

SWEPT_AT_ONCE = 100
"""Rows that are swept up with one record: a millisecond of work."""


class Sweeping:
    """By conversation, the numbers of forgotten messages whose rows are still there."""

    def __init__(self, messages: ChatMessages, tracked: Tracked) -> None:
        self._messages = messages
        self._tracked = tracked
        # The first one is found at once, however many were before it.
        self._numbers: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def add(self, conversation: int, start: int, end: int) -> None:
        """Have the rows of these numbers swept up, which follow those that are to be already."""
        if conversation in self._numbers:
            start = self._numbers[conversation][0]
        if start < end:
            self._set(conversation, start, end)

    def _set(self, conversation: int, start: int, end: int) -> None:
        self._numbers[conversation] = start, end
        self._tracked.note(str(conversation), (start, end))

    def sweep(self, most: int) -> int:
        """Remove rows, at most so many; return how many more might have been removed."""
        while self._numbers and most > 0:
            conversation, (start, end) = next(iter(self._numbers.items()))
            until = min(end, start + most)
            most -= until - start
            for number in range(start, until):
                self._messages.remove(conversation, number)
            if until < end:
                self._set(conversation, until, end)
            else:
                del self._numbers[conversation]
                self._tracked.note(str(conversation), None)
        return most

    def discard(self) -> Iterator[None]:
        """Let go of all, yielding after some."""
        return self._tracked.emptied(map(str, self._numbers))

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield all, as rows."""
        for conversation, numbers in self._numbers.items():
            yield SWEEPING, str(conversation), numbers

    def load(self, id: str, value: Any) -> None:
        """Take in one of the rows. Raises `ValueError` or `TypeError` if it is none."""
        start, end = map(int, value)
        self._numbers[int(id)] = start, end
