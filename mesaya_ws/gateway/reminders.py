"""Proposes that new reservations are told again which nobody has acknowledged.

Every instance proposes, and the log judges (`core.interactions.acknowledgements`): of what several propose, the first
counts, and what is too early does not. So no clock need be right, and no instance need be there.

    a reservation is created ──▶ `open`
    an `open` or a `remind` was read ──▶ its time comes ──▶ `remind`, and again after 2, 4, 8 s … until it was read
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from math import inf

import trio

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.acknowledgements import REMINDERS, News, Open, Remind, ack_record, read_ack_record
from mesaya_ws.core.interactions.strict import PoisonError
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

JITTER = 1.0
"""Seconds over which instances spread their proposals: most then find that another one has made theirs."""

FIRST_RETRY, LAST_RETRY = 2.0, 64.0
"""Seconds after which a proposal is repeated that has not counted, doubled each time; past the last, it is given up."""

RECENT = 600_000
"""Milliseconds since a reservation's record in which it is proposed to be open: what was created in an outage, too."""

MAX_PROPOSALS = 10_000
"""Proposals that wait for the log, and timers; past that, the oldest are dropped: other instances have them, too."""

LOG_RETRY = 1.0
"""Seconds until a log that does not answer is tried again."""

_RESERVATIONS = topic_of("reservations")


class Reminders:
    """The proposals of one instance; reservations are told again every `after` seconds, by the log's times."""

    def __init__(
        self,
        event_log: EventLog,
        feed: Published,
        after: float,
        *,
        jitter: float = JITTER,
        time_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._event_log = event_log
        self._feed = feed
        self._after = round(after * 1000)
        self._jitter = jitter
        self._time_ms = time_ms
        self._proposals: deque[NewRecord] = deque(maxlen=MAX_PROPOSALS)
        # When to propose which reminder of which reservation, and how long to wait then for it to count.
        self._timers: list[tuple[float, str, int, float]] = []
        self._changed = trio.Event()

    def on_record(self, record: Record, outcome: Outcome) -> None:
        """Take note of a record that was processed, and of what became of it."""
        if record.topic == _RESERVATIONS:
            self._on_reservation(record, outcome)
        elif record.topic == ACKS and self._feed.live:
            self._on_news(record)

    def _on_reservation(self, record: Record, outcome: Outcome) -> None:
        if record.timestamp < self._time_ms() - RECENT:
            return
        for message in outcome.messages:
            if message.type == "reservation.created" and message.channel.startswith("restaurant:"):
                id, restaurant = message.data["reservationId"], message.data["restaurantId"]
                self._propose(ack_record(Open(id, restaurant, self._after)))

    def _on_news(self, record: Record) -> None:
        with suppress(PoisonError):
            id = read_ack_record(record).reservation
            # By the log's time, of which this record brings the latest.
            self._await_reminder(id, self._feed.acks.get(id), record.timestamp)

    def _await_reminder(self, id: str, news: News | None, log_time: int) -> None:
        """Set the timer for the next reminder of a reservation, if there is to be one."""
        if news is not None and news.is_open and news.due_at is not None:
            wait = max(0, news.due_at - log_time) / 1000 + random.uniform(0, self._jitter)  # noqa: S311 - not for secrets
            self._set_timer(wait, id, news.reminded + 1, FIRST_RETRY)

    def _set_timer(self, wait: float, id: str, n: int, retry: float) -> None:
        if len(self._timers) < MAX_PROPOSALS:
            heappush(self._timers, (trio.current_time() + wait, id, n, retry))
            self._changed.set()

    def _propose(self, record: NewRecord) -> None:
        self._proposals.append(record)
        self._changed.set()

    async def run(self, live: trio.Event) -> None:
        """Propose, for ever, once the feed is `live`."""
        await live.wait()
        for id, news in self._feed.acks.open_ones():
            self._await_reminder(id, news, self._time_ms())
        alarm = Alarm(log, "reminders cannot be proposed", "reminders are proposed again")
        while True:
            self._ring()
            if self._proposals:
                await self._append(alarm)
                continue
            self._changed = trio.Event()
            with trio.move_on_at(self._timers[0][0] if self._timers else inf):
                await self._changed.wait()

    def _ring(self) -> None:
        """Propose the reminders whose time has come, and that have not been read yet."""
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            _, id, n, retry = heappop(self._timers)
            news = self._feed.acks.get(id)
            if news is None or not news.is_open or news.reminded >= n or n > REMINDERS:
                continue
            self._propose(ack_record(Remind(id, news.restaurant, n)))
            if retry <= LAST_RETRY:
                self._set_timer(retry, id, n, 2 * retry)

    async def _append(self, alarm: Alarm) -> None:
        record = self._proposals.popleft()
        try:
            await self._event_log.append([record])
        except LogUnavailableError as error:
            alarm.set(reason=str(error))
            self._proposals.appendleft(record)
            await trio.sleep(LOG_RETRY)
        except RecordRejectedError as error:
            alarm.set(reason=str(error))
        else:
            alarm.clear()
