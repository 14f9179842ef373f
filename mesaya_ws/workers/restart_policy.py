"""Whether a worker that ended by itself is followed by another, and when.

served >= MIN_SERVICE                 next worker at once; the count begins anew
served <  MIN_SERVICE, n-th in a row  next worker after DELAYS[n]
... and n == len(DELAYS)              none: give up
"""

from collections.abc import Sequence

DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before the next worker, for the first, second … worker in a row that ended at once."""

MIN_SERVICE = 10.0
"""Seconds of service; a worker that served for less ended at once."""


class RestartPolicy:
    """Counts workers that ended at once, over all numbers, since the last one that served for longer."""

    def __init__(self, delays: Sequence[float]) -> None:
        self._delays = delays
        self._in_a_row = 0

    def delay(self, served: float) -> float | None:
        """Return how many seconds to wait after a worker that served for so many; None: give up."""
        if served >= MIN_SERVICE:
            self._in_a_row = 0
            return self._delays[0]
        if self._in_a_row == len(self._delays):
            return None
        delay = self._delays[self._in_a_row]
        self._in_a_row += 1
        return delay
