"""How often each client may do something that is costly."""

from collections import deque
from collections.abc import Hashable
from weakref import WeakKeyDictionary


class Quota:
    """Allows each client something `most` times in so many `seconds`; it holds no client, only a weak reference.

    Times are in seconds by any clock that only goes forward.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._most = most
        self._taken: WeakKeyDictionary[Hashable, deque[float]] = WeakKeyDictionary()

    def __len__(self) -> int:
        """Return how many clients are remembered."""
        return len(self._taken)

    def take(self, who: Hashable, now: float) -> bool:
        """Take one of the times that `who` has; return False when none is left."""
        taken = self._taken.setdefault(who, deque(maxlen=self._most))
        if len(taken) == self._most and (not self._most or now - taken[0] < self._seconds):
            return False
        taken.append(now)
        return True
