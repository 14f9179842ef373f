"""When a follower fetches metadata, and what it means that the brokers do not answer.

    state      event                                     next state
    idle       the interval is over, or `expedite`       under way (`begin`)
    under way  answered                                  idle, for `refresh_interval` (RETRY_INTERVAL if partial)
    under way  failed                                    idle, for RETRY_INTERVAL
    under way  no answer for `outage_after`              under way; the outage is reported
    any        no answer for `renew_after`               the clients are replaced (`result` raises)

Times are those of the monotonic clock, and passed in. How long is waited for what is in `timings`.
"""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from math import inf

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.eventlog.availability import Availability
from mesaya_ws.eventlog.kafka.metadata import Metadata
from mesaya_ws.eventlog.kafka.timings import Timings

RETRY_INTERVAL = 0.5
"""Seconds between two attempts while they do not answer."""

CAUSE_INTERVAL = 1.0
"""Seconds between two searches for the cause of an outage."""


class Outages:
    """Yields `Unavailable` when an outage begins and when its cause changes, and `Available` when it ends.

    `why` is called with a time, and returns why there has been no answer since then.
    """

    def __init__(self, why: Callable[[float], str], now: float, timings: Timings) -> None:
        self._why = why
        self.timings = timings
        self._answered_at = now
        self._searched_at = -inf
        self._availability = Availability()

    def answered(self, now: float) -> Iterator[LogEvent]:
        """Note that the brokers have answered, even if not for all partitions."""
        self._answered_at = now
        yield from self._availability.changes(None)

    def no_answer(self, now: float) -> Iterator[LogEvent]:
        """Note that they do not answer at present."""
        if now - self._answered_at > self.timings.outage_after and now - self._searched_at >= CAUSE_INTERVAL:
            self._searched_at = now
            yield from self._availability.changes(self._why(max(self._answered_at, now - self.timings.cause_period)))


class MetadataRefresh:
    """The refreshes of one set of clients, one after another.

    `fetch` starts one in another thread, since it takes 30 ms, and longer with many partitions. `began_at` is when the
    last one began.
    """

    def __init__(self, fetch: Callable[[], Future[Metadata]], outages: Outages, now: float) -> None:
        self._fetch = fetch
        self._outages = outages
        self._timings = outages.timings
        self._under_way: Future[Metadata] | None = None
        self._next_at = -inf
        self._answered_at = self.began_at = now

    def begin(self, now: float) -> bool:
        """Begin a refresh if one is due and none is under way; return whether it has begun."""
        if self._under_way is not None or now < self._next_at:
            return False
        self.began_at, self._under_way = now, self._fetch()
        return True

    def expedite(self) -> None:
        """Make the next refresh due as soon as none is under way."""
        self._next_at = -inf

    def result(self, now: float) -> Generator[LogEvent, None, Metadata | None]:
        """Return the finished refresh, once; None while it is under way.

        Yields the events of an outage. Raises the cause when it is time for new clients.
        """
        refresh = self._under_way
        if refresh is None:
            return None
        if not refresh.done():
            if now - self.began_at > self._timings.outage_after:
                yield from self._outages.no_answer(now)
            if now - self.began_at > self._timings.renew_after:
                raise TimeoutError
            return None
        self._under_way = None
        try:
            metadata = refresh.result()
        except Exception:
            if now - self._answered_at > self._timings.renew_after:
                raise
            self._next_at = now + RETRY_INTERVAL
            yield from self._outages.no_answer(now)
            return None
        # A new leader may soon answer for what is missing.
        self._next_at = now + (RETRY_INTERVAL if metadata.is_partial else self._timings.refresh_interval)
        self._answered_at = now
        return metadata

    def wait(self, seconds: float) -> None:
        """Block until the refresh that is under way has ended, at most for so many seconds."""
        if self._under_way is None:
            time.sleep(seconds)
        else:
            wait([self._under_way], seconds)
