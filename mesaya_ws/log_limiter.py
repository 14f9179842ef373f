"""Keeps what strangers can cause to be logged from filling the log: one line a minute for each kind of thing."""

from collections.abc import Callable, Hashable
from math import inf
from time import monotonic

INTERVAL = 60.0
"""Seconds between two lines about the same."""

MAX_KEYS = 1000
"""What is told apart; beyond that, all that is new counts as the same until something is an interval old."""


class LogLimiter:
    """Says of each occurrence, by its key, whether to log it: the first one, and then one every `interval` seconds.

    Holds `max_keys` keys; `clock` tells seconds and is never set back.
    """

    def __init__(
        self, interval: float = INTERVAL, max_keys: int = MAX_KEYS, clock: Callable[[], float] = monotonic
    ) -> None:
        self._interval = interval
        self._max_keys = max_keys
        self._clock = clock
        self._since: dict[Hashable, tuple[float, int]] = {}
        """When each key was last logged, in that order, and how often it was not since then."""

    def admit(self, *key: Hashable) -> int | None:
        """Return how many occurrences were not logged since the last that was; None if this one is not to be, either.

        So a line that is admitted may say `suppressed=…`.
        """
        now = self._clock()
        if key not in self._since and not self._has_room(now):
            key = ()
        logged_at, suppressed = self._since.get(key, (-inf, 0))
        if now - logged_at < self._interval:
            self._since[key] = logged_at, suppressed + 1
            return None
        self._since.pop(key, None)
        self._since[key] = now, 0
        return suppressed

    def _has_room(self, now: float) -> bool:
        """Forget what is an interval old, if there is no room otherwise; return whether there is."""
        while len(self._since) >= self._max_keys:
            oldest = next(iter(self._since))
            if now - self._since[oldest][0] < self._interval:
                return False
            del self._since[oldest]
        return True
