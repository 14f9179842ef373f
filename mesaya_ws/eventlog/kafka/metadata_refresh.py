"""A follower's looks at the whole log: when they are taken, and what it means that they are not answered.

The time is that of the monotonic clock, and handed in.
"""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from math import inf

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.eventlog.availability import Availability
from mesaya_ws.eventlog.kafka.metadata import Metadata

LOOK_INTERVAL = 3.0
"""Seconds between two looks at the whole log, which find new topics and partitions, and whether it answers."""

RETRY_INTERVAL = 0.5
"""Seconds between two tries while it does not answer."""

OUTAGE_AFTER = 5.0
"""Seconds without an answer that are told. Less is every restart of a broker, and nothing is lost by it."""

RENEW_AFTER = 15.0
"""Seconds without an answer after which the clients are replaced: they never go back to KAFKA_BROKERS by themselves, so
they do not find a cluster all of whose addresses are new."""


class Outages:
    """Whether the log can be read, of which the beginning and the end of trouble are told.

    `why` is asked, with the time of the last answer, why there has been none since.
    """

    def __init__(self, why: Callable[[float], str], now: float) -> None:
        self._why = why
        self._answered_at = now
        self._availability = Availability()

    def answered(self, now: float) -> Iterator[LogEvent]:
        """Take note that the log has answered, whatever it said of its parts."""
        self._answered_at = now
        yield from self._availability.changes(None)

    def no_answer(self, now: float) -> Iterator[LogEvent]:
        """Take note that it does not answer at present."""
        if now - self._answered_at > OUTAGE_AFTER:
            yield from self._availability.changes(self._why(self._answered_at))


class MetadataRefresh:
    """The looks that are taken with one set of clients, one after the other.

    `take` begins one aside, for it takes 30 ms, and more of many partitions. `began_at` is when the last one began.
    """

    def __init__(self, take: Callable[[], Future[Metadata]], outages: Outages, now: float) -> None:
        self._take = take
        self._outages = outages
        self._under_way: Future[Metadata] | None = None
        self._next_at = -inf
        self._answered_at = self.began_at = now

    def begin(self, now: float) -> bool:
        """Begin a look, when it is time for one and none is under way; return whether that was so."""
        if self._under_way is not None or now < self._next_at:
            return False
        self.began_at, self._under_way = now, self._take()
        return True

    def hurry(self) -> None:
        """Let the next look begin as soon as none is under way."""
        self._next_at = -inf

    def found(self, now: float) -> Generator[LogEvent, None, Metadata | None]:
        """Return what the look has found that was under way, once; None as long as there is nothing.

        Tells of an outage, and raises whatever is the reason, when it is time to try with other clients.
        """
        look = self._under_way
        if look is None:
            return None
        if not look.done():
            if now - self.began_at > OUTAGE_AFTER:
                yield from self._outages.no_answer(now)
            if now - self.began_at > RENEW_AFTER:
                raise TimeoutError
            return None
        self._under_way = None
        try:
            survey = look.result()
        except Exception:
            if now - self._answered_at > RENEW_AFTER:
                raise
            self._next_at = now + RETRY_INTERVAL
            yield from self._outages.no_answer(now)
            return None
        # What cannot be seen now, a new leader may soon tell.
        self._next_at = now + (RETRY_INTERVAL if survey.is_partial else LOOK_INTERVAL)
        self._answered_at = now
        return survey

    def wait(self, seconds: float) -> None:
        """Block until the look that is under way has ended, or for so long."""
        if self._under_way is None:
            time.sleep(seconds)
        else:
            wait([self._under_way], seconds)
