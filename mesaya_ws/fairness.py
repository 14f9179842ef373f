"""How much is done for many at once in one turn of the event loop, so that everybody else has their turn."""

import trio

LONG_TURN = 0.005
"""Seconds that a turn may take while many wait. In each, live delivery takes one step of some milliseconds, of the many
that it needs for what the log brings; those who wait get the rest, but one of them has its turn at least."""


class Share:
    """How many of those who wait for the same have their turn together: `most`, and fewer as long as turns are long.

    A count alone would not do: when the machine, or live delivery, has much to do, so many would still hold it up.
    """

    def __init__(self, most: int) -> None:
        self._most = self._share = most
        self._began = 0.0

    def next(self, *, follows: bool) -> int:
        """Return how many it is in the turn that begins, which `follows` the last one that was asked for, or is new."""
        now = trio.current_time()
        if follows:
            self._share = fair_share(self._share, now - self._began, self._most)
        self._began = now
        return self._share


def fair_share(share: int, took: float, most: int) -> int:
    """Return how many may have their turn after one in which `share` had, and which `took` so many seconds."""
    return max(1, share // 2) if took > LONG_TURN else min(most, share + 1)
