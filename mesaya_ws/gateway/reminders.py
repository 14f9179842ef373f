"""Proposes that new reservations are announced again which nobody has acknowledged.

Every instance proposes, and the log decides (`core.interactions.acknowledgements`): of what several propose, the first
counts, and what is too early does not. So no clock need be right, and no instance need be there.

    a reservation is created ──▶ `open`
    an `open` or a `remind` was read ──▶ its time comes ──▶ `remind`, and again after 2, 4, 8 s … until it was read
"""

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.acknowledgements import REMINDERS, News, Open, Remind, ack_record, read_ack_record
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.gateway.proposals import SET_AT_ONCE, Proposals
from mesaya_ws.runtime.clocks import now_ms

JITTER = 1.0
"""Seconds over which instances spread their proposals: most then find that another one has made theirs."""

FIRST_RETRY, LAST_RETRY = 2.0, 64.0
"""Seconds after which a proposal is repeated that has not counted, doubled each time; past the last, it is given up."""

RECENT = 600_000
"""Milliseconds since a reservation's record in which it is proposed to be open: what was created in an outage, too."""

_RESERVATIONS = topic_of("reservations")


class Reminders:
    """The reminders that one instance proposes: of a reservation, every `after` seconds by the log's times."""

    def __init__(
        self,
        event_log: EventLog,
        feed: Published,
        after: float,
        *,
        jitter: float = JITTER,
        time_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._proposals = Proposals(event_log, "reminders")
        self._feed = feed
        self._after = round(after * 1000)
        self._jitter = jitter
        self._time_ms = time_ms

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
                self._proposals.propose(ack_record(Open(id, restaurant, self._after)))

    def _on_news(self, record: Record) -> None:
        with suppress(BadFieldError):
            id = read_ack_record(record).reservation
            # By the log's time, of which this record brings the latest.
            self._await_reminder(id, self._feed.known.acknowledgement(id), record.timestamp)

    def _await_reminder(self, id: str, news: News | None, log_time: int) -> None:
        """Set the timer for the next reminder of a reservation, if there is to be one."""
        if news is not None and news.is_open and news.due_at is not None:
            wait = max(0, news.due_at - log_time) / 1000 + random.uniform(0, self._jitter)  # noqa: S311 - not for secrets
            self._proposals.call_in(wait, partial(self._remind, id, news.reminded + 1, FIRST_RETRY))

    def _remind(self, id: str, n: int, retry: float) -> None:
        """Propose a reminder whose time has come, unless it has been read already."""
        news = self._feed.known.acknowledgement(id)
        if news is None or not news.is_open or news.reminded >= n or n > REMINDERS:
            return
        self._proposals.propose(ack_record(Remind(id, news.restaurant, n)))
        if retry <= LAST_RETRY:
            self._proposals.call_in(retry, partial(self._remind, id, n, 2 * retry))

    async def run(self, live: trio.Event) -> None:
        """Propose until cancelled, once the feed is `live`."""
        await live.wait()
        for number, id in enumerate(self._feed.known.acknowledgement_ids(), 1):
            self._await_reminder(id, self._feed.known.acknowledgement(id), self._time_ms())
            if number % SET_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        await self._proposals.run()
