"""How much one sender may write: limits of this gateway, which decide before anything is in the log, never after."""

from collections import OrderedDict, deque
from math import ceil

BURST, EVERY = 5, 1.0
"""Records that may be written at once; then one every so many seconds."""

PER_MINUTE = 60
NEW_CONVERSATIONS, HOUR = 5, 3600.0
MARK_EVERY = 2.0
"""Seconds between two read marks of one reader in one conversation."""

UNANSWERED = 20
"""Messages that a guest may write before the restaurant has ever answered."""

MAX_SENDERS = 50_000
"""Senders that are remembered, of each kind; the one that was allowed something longest ago gives way."""


class Rate:
    """At most so many in a span of seconds, for each of the latest `MAX_SENDERS` keys."""

    def __init__(self, most: int, span: float) -> None:
        self._most = most
        self._span = span
        # Whose first entry is found at once, however many were before it.
        self._times: OrderedDict[object, deque[float]] = OrderedDict()

    def wait(self, key: object, now: float) -> float:
        """Return in how many seconds one more is allowed; 0: now."""
        times = self._times.get(key)
        return 0.0 if times is None or len(times) < self._most else max(0.0, times[0] + self._span - now)

    def take(self, key: object, now: float) -> None:
        """Count one."""
        times = self._times.pop(key, None) or deque(maxlen=self._most)
        times.append(now)
        self._times[key] = times
        if len(self._times) > MAX_SENDERS:
            self._times.popitem(last=False)

    def reserve(self, key: object, now: float) -> float:
        """Count one at the next time that is allowed; return in how many seconds that is. Calls until then share it.

        Only for one in each span.
        """
        times = self._times.get(key)
        if times is None or now >= times[-1] + self._span:
            self.take(key, now)
            return 0.0
        if now >= times[-1]:
            self.take(key, times[-1] + self._span)
        return self._times[key][-1] - now


class SenderLimits:
    """The limits of all senders. All times are of one clock that never steps, in seconds."""

    def __init__(self) -> None:
        self._rates = Rate(BURST, BURST * EVERY), Rate(PER_MINUTE, 60.0)
        self._begun = Rate(NEW_CONVERSATIONS, HOUR)
        # Until its first record is read back, a conversation is begun by each of them, retries included.
        self._conversations = Rate(1, HOUR)
        self._marks = Rate(1, MARK_EVERY)

    def write(self, user: str, now: float, *, begins: str | None = None) -> float | None:
        """Count a record of a user, which may be the first one of a conversation (`begins`, its channel).

        Return None, or in how many seconds it is allowed. Each conversation counts once as a new one.
        """
        is_new = begins is not None and not self._conversations.wait(begins, now)
        rates = (*self._rates, self._begun) if is_new else self._rates
        wait = max(rate.wait(user, now) for rate in rates)
        if wait > 0:
            return _rounded(wait)
        for rate in rates:
            rate.take(user, now)
        if is_new:
            self._conversations.take(begins, now)
        return None

    def mark(self, user: str, channel: str, now: float) -> float:
        """Count a read mark; return after how many seconds it is to be written, with all others that come until then.

        0: now.
        """
        return self._marks.reserve((user, channel), now)


def _rounded(wait: float) -> float:
    """Return seconds in tenths, rounded up: whoever waits for so long is allowed."""
    return ceil(wait * 10) / 10
