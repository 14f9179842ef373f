"""Whether a worker that ended by itself is followed by another, and when."""

DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait before each next worker, while they keep ending at once."""

LEAST_SERVICE = 10.0
"""Seconds of service; a worker that ends within them ended at once."""


class RestartPolicy:
    """Counts the workers, whichever they are, that ended at once with none between them that served for longer."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def delay(self, served: float) -> float | None:
        """Return how many seconds to wait after a worker that served for so many; None: give up."""
        if served >= LEAST_SERVICE:
            self._in_a_row = 0
            return DELAYS[0]
        if self._in_a_row == len(DELAYS):
            return None
        delay = DELAYS[self._in_a_row]
        self._in_a_row += 1
        return delay
