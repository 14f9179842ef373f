"""The time of chat, as the append times of its records have it, and what they have made too old.

    append times   1 2 3 ‥ 4 │ 90 91 │ 5 6 ‥        the clock of a broker, or of a machine, was wrong for a while
    since          ‥‥‥‥‥‥‥‥‥ │ 60 61 │ ‥‥‥‥‥        conversations with no record from here on know what is after 61

What was too old once stays so, though the clock was wrong: much of it was removed. Where time goes back, the place is
noted, and for conversations without a record since, how old they could be then: whatever an instance had removed, and
whoever looked at them meanwhile, all know the same of them.
"""

from mesaya_ws.core.interactions.conversation import KEPT

CLOCK_ERROR = 24 * 60 * 60 * 1000
"""Milliseconds by which append times may go back without saying that the log's clock was wrong."""

MAX_RETURNS = 100
"""Places at which time has gone back that are told apart."""


class ChatClock:
    """The `now` of chat (ms)."""

    def __init__(self) -> None:
        self.now = 0
        # (place, since): a conversation whose last record has a lower place knows nothing older than `since`. Places go
        # up, and times down.
        self._returns: list[tuple[int, int]] = []

    def copy(self) -> "ChatClock":
        """Return the same, to be set without setting this one."""
        copied = ChatClock()
        copied.now, copied._returns = self.now, list(self._returns)
        return copied

    def set(self, at: int, place: int) -> bool:
        """Take note of a record that was appended `at` some time, and of its place; return whether anything changes."""
        if self.now - CLOCK_ERROR <= at <= self.now:
            return False
        if at < self.now:
            # Time goes back, too: or once the clock was years ahead, whatever is said for years would be too old.
            since = self.since(place)
            self._returns = [*(each for each in self._returns if each[1] > since), (place, since)]
            if len(self._returns) > MAX_RETURNS:
                (_, since), (place, _), *later = self._returns
                self._returns = [(place, since), *later]
        self.now = at
        self._returns = [each for each in self._returns if each[1] > at - KEPT]
        return True

    def since(self, place: int) -> int:
        """Return the time from which on it is known what was said in a conversation whose last record has a place."""
        return max([self.now - KEPT, *(since for before, since in self._returns if place < before)])

    def row(self) -> list[int]:
        """Return where time has gone back, as numbers."""
        return [number for each in self._returns for number in each]

    def load(self, now: int, row: list[int]) -> None:
        """Take in the time, and a row. Raises `ValueError` if that is none."""
        self.now, self._returns = now, list(zip(row[::2], row[1::2], strict=True))
