"""How often the same may be logged, so that strangers cannot fill the log."""

from collections.abc import Hashable

PERIOD = 60.0
"""Seconds in which the same is logged once."""

MOST = 100
"""Different things of a kind that are logged in one period."""


class LogRate:
    """Permits one line for each key in `period` seconds, and no more than `most` lines for all keys together."""

    def __init__(self, period: float = PERIOD, most: int = MOST) -> None:
        self._period = period
        self._most = most
        # When each key was last permitted, the oldest first.
        self._permitted: dict[Hashable, float] = {}

    def permits(self, key: Hashable, now: float) -> bool:
        """Return whether `key` may be logged at `now`, in seconds of a clock that never goes back."""
        permitted = self._permitted
        while permitted and now - next(iter(permitted.values())) >= self._period:
            del permitted[next(iter(permitted))]
        if key in permitted or len(permitted) >= self._most:
            return False
        permitted[key] = now
        return True
