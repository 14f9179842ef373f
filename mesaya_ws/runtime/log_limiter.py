"""Rate limit for lines that strangers can cause: one a minute for each kind of event."""

from collections.abc import Callable, Hashable
from math import inf
from time import monotonic

INTERVAL = 60.0
"""Seconds between two lines of one kind."""

MAX_KEYS = 1000
"""Kinds that are distinguished; beyond that, all new ones count as one kind, until an old one has expired."""


class LogLimiter:
    """Decides for each occurrence, by its key, whether to log it: `burst` of them in each `interval` seconds.

    Holds `max_keys` keys; `clock` returns seconds and is never set back. For one thread at a time.
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
        """When the present interval of each key began, in that order; how many were logged in it, and suppressed."""

    def admit(self, *key: Hashable) -> int | None:
        """Return how many occurrences were suppressed since the last logged one; None to suppress this one, too.

        An admitted line may say so, as `suppressed=…`.
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
        """Return whether the next occurrence in this interval will be suppressed."""
        return self._since.get(key, (0.0, 0, 0))[1] >= self._burst

    def _has_room(self, now: float) -> bool:
        """Forget expired keys if there is no room otherwise; return whether there is room."""
        while len(self._since) >= self._max_keys:
            oldest = next(iter(self._since))
            if now - self._since[oldest][0] < self._interval:
                return False
            del self._since[oldest]
        return True
