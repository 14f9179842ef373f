"""How much is done for many at once in one turn of the event loop, so that everybody else has their turn."""

import trio

LONG_TURN = 0.005
"""Seconds that a turn of the event loop may take while many wait. Of these, live delivery takes some milliseconds for
one step; those who wait have the remainder."""


class AdaptiveBatch:
    """How many of those who wait for the same have their turn together: `most`, or `least` as long as turns are long.

    A turn is long if it takes more than `long_turn` seconds.

    A count alone would not do: when the machine, or live delivery, has much to do, so many would still hold it up.
    """

    def __init__(self, most: int, least: int, long_turn: float) -> None:
        self._most = self._share = most
        self._least = least
        self._long_turn = long_turn
        self._began = 0.0

    def next(self, *, follows: bool) -> int:
        """Return how many it is in the turn that begins, which `follows` the last one that was asked for, or is new."""
        now = trio.current_time()
        if follows and now - self._began > self._long_turn:
            self._share = max(self._least, self._share // 2)
        elif follows:
            self._share = min(self._most, self._share + 1)
        self._began = now
        return self._share
