"""Keeps what strangers can cause to be logged from filling the log: one line a minute for each kind of thing."""

from collections.abc import Callable, Hashable
from math import inf
from time import monotonic

INTERVAL = 60.0
"""Seconds between two lines about the same."""

MAX_KEYS = 1000
"""What is told apart; beyond that, all that is new counts as the same until something is an interval old."""


class LogLimiter:
    """Says of each occurrence, by its key, whether to log it: `burst` of them in each `interval` seconds.

    Holds `max_keys` keys; `clock` tells seconds and is never set back. For one thread at a time.
    """

    def __init__(
        self,
        interval: float = INTERVAL,
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = monotonic,
        *,
        burst: int = 1,
    ) -> None:
        self._interval = interval
        self._max_keys = max_keys
        self._clock = clock
        self._burst = burst
        self._since: dict[Hashable, tuple[float, int, int]] = {}
        """When the present interval of each key began, in that order, and how many were logged in it, and were not."""

    def admit(self, *key: Hashable) -> int | None:
        """Return how many occurrences were not logged since the last that was; None if this one is not to be, either.

        So a line that is admitted may say `suppressed=…`.
        """
        now = self._clock()
        if key not in self._since and not self._has_room(now):
            key = ()
        began_at, logged, suppressed = self._since.get(key, (-inf, 0, 0))
        if now - began_at >= self._interval:
            self._since.pop(key, None)
            self._since[key] = now, 1, 0
            return suppressed
        if logged < self._burst:
            self._since[key] = began_at, logged + 1, 0
            return suppressed
        self._since[key] = began_at, logged, suppressed + 1
        return None

    def is_spent(self, *key: Hashable) -> bool:
        """Return whether the next occurrence will not be admitted, unless it comes an interval later."""
        return self._since.get(key, (0.0, 0, 0))[1] >= self._burst

    def _has_room(self, now: float) -> bool:
        """Forget what is an interval old, if there is no room otherwise; return whether there is."""
        while len(self._since) >= self._max_keys:
            oldest = next(iter(self._since))
            if now - self._since[oldest][0] < self._interval:
                return False
            del self._since[oldest]
        return True
