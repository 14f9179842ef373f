"""Proposes what ends table holds, and keeps them while their users are connected; the log decides.

| what happened | what is proposed |
|---|---|
| a hold's time has come, by the log's clock | `expire`, up to a second later, and again after 2, 4, 8 s while live |
| the last connection here of a hold's user ended | `detach`, HOLD_RECONNECT later, unless the user is here again |
| a hold's user is connected here, and the hold does not say so | `attach` |
| the user has reserved; or somebody has, with that table and slot | `convert` |
| a claim has won, and its asker does not wait any more | `release` (`core.session.hold_rules`) |

Every instance proposes, so none need be there; and what is proposed in vain changes nothing. A user whose hold has
ended is informed on all of its connections here.
"""

import random
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.hold import Granted, Hold
from mesaya_ws.core.interactions.hold_records import (
    Attach,
    Claim,
    Convert,
    Detach,
    Expire,
    Release,
    hold_record,
    read_hold_record,
)
from mesaya_ws.core.interactions.hold_table import MAX_LEASE
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Appended, NewRecord, Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.reservation_time import milliseconds_of
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.directory import SessionDirectory
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.holds import notice_of
from mesaya_ws.core.session.session import Session
from mesaya_ws.gateway.proposals import SET_AT_ONCE, Proposals
from mesaya_ws.runtime.clocks import now_ms, steady

JITTER = 1.0
"""Seconds over which instances spread what they propose: most then find that another one has made theirs."""

FIRST_RETRY, LAST_RETRY = 2.0, 8.0
"""Seconds after which `expire` is repeated while the hold is live, doubled each time up to the last."""

UNSURE = 5.0
"""Seconds after which an instance that does not know the log's time looks at a hold again."""

_RESERVATIONS = topic_of("reservations")


class Holds:
    """What one instance proposes about table holds; its sessions share the `rules`, `reconnect` is in seconds."""

    def __init__(
        self,
        event_log: EventLog,
        feed: Published,
        rules: HoldRules,
        directory: SessionDirectory[Session],
        reconnect: float,
    ) -> None:
        self._feed = feed
        self._rules = rules
        self._directory = directory
        self._reconnect = reconnect
        self._proposals = Proposals(event_log, "the ends of table holds", self.on_appended)
        # Holds that have ended, whose users are to be informed.
        self._ended: list[Hold] = []
        # By user that has left, the number of the timer that counts.
        self._leaving: dict[str, int] = {}

    def propose(self, record: NewRecord) -> None:
        """Have a record appended that nobody waits for."""
        self._proposals.propose(record)

    # What the log says

    def on_appended(self, place: Appended, began: int, ended: int) -> None:
        """Take note of when the log has appended a record of ours (ms, by `steady`)."""
        if place.topic == HOLDS:
            self._rules.log_clock.appended(place.timestamp, began, ended)

    def on_record(self, record: Record, outcome: Outcome) -> None:
        """Take note of a record that was processed, and of what became of it."""
        if record.topic == HOLDS:
            self._rules.log_clock.read(record.timestamp, steady())
            if self._feed.live:
                self._on_hold_record(record, outcome)
        elif record.topic == _RESERVATIONS and record.timestamp > now_ms() - MAX_LEASE:
            self._on_reservation(outcome)

    def _on_hold_record(self, record: Record, outcome: Outcome) -> None:
        with suppress(BadFieldError):
            said = read_hold_record(record)
            hold = self._live(said.id)
            match said:
                case Claim():
                    self._rules.on_claim(said, self._feed.known)
                    if hold is not None and hold.token == record.offset:
                        self._await_end(hold)
                    if hold is not None:
                        self._follow_user(hold)
                case Attach() | Release() if hold is not None:
                    self._follow_user(hold)
                case Detach(id, replica, n) if replica == self._rules.replica and self._rules.detaching.get(id) == n:
                    del self._rules.detaching[id]
        for id in _ended_in(outcome):
            known = self._feed.known.hold_outcome(id)
            if isinstance(known, Granted):
                self._ended.append(known.hold)
            self._rules.detaching.pop(id, None)

    def _on_reservation(self, outcome: Outcome) -> None:
        for message in outcome.messages:
            if message.type == "reservation.created" and message.channel.startswith("restaurant:"):
                data = message.data
                for hold in self._reserved(data["restaurantId"], data["tableId"], data["userId"], data["date"]):
                    wait = random.uniform(0, JITTER / 2)  # noqa: S311 - not for secrets
                    self._proposals.call_in(wait, partial(self._convert, hold.id, data["reservationId"]))

    def _reserved(self, restaurant: str, table: str | None, user: str | None, date: str | None) -> list[Hold]:
        """Return the holds that a reservation makes good: of its table and time, or else its user's there."""
        live = self._feed.known.live_holds_in(restaurant)
        at = None if date is None else milliseconds_of(date)
        same = [
            hold
            for hold in live
            if table in hold.tables and (hold.slot is None or at is None or hold.slot.start <= at < hold.slot.end)
        ]
        return same or [hold for hold in live if hold.user == user]

    def _convert(self, id: str, reservation: str) -> None:
        if self._live(id) is not None:
            self._proposals.propose(hold_record(Convert(id, reservation)))

    def progressed(self) -> None:
        """Inform those whose holds have ended; to be called when records may have been processed."""
        ended, self._ended = self._ended, []
        for hold in ended:
            notice = notice_of(hold)
            answered = self._rules.releasing.get(hold.id, ())
            for session in self._directory.sessions_of(hold.user):
                if session not in answered:
                    session.send_queue.offer(notice, 1)

    # The end of a hold

    def _await_end(self, hold: Hold) -> None:
        left = max(0, hold.until - self._rules.log_time()) / 1000
        if not self._rules.knows_log_time:
            left = min(left, UNSURE)
        wait = left + random.uniform(0, JITTER)  # noqa: S311 - not for secrets
        self._proposals.call_in(wait, partial(self._expire, hold.id, FIRST_RETRY))

    def _expire(self, id: str, retry: float) -> None:
        hold = self._live(id)
        if hold is None:
            return
        if self._rules.log_time() < hold.until:  # more is known of the log's clock by now
            self._await_end(hold)
            return
        self._proposals.propose(hold_record(Expire(id)))
        self._proposals.call_in(retry, partial(self._expire, id, min(2 * retry, LAST_RETRY)))

    # Users who are connected here, or not any more

    def user_appeared(self, user: str) -> None:
        """Attach the holds of a user who is connected here now, and was not before."""
        self._leaving.pop(user, None)
        if self._feed.live:
            for hold in self._feed.known.live_holds_of(user):
                self._follow_user(hold)

    def user_vanished(self, user: str) -> None:
        """Detach the holds of a user who is not connected here any more, unless the user comes back soon."""
        if self._feed.known.live_holds_of(user):
            self._await_return(user)

    def _follow_user(self, hold: Hold) -> None:
        """Have a live hold say whether its user is connected here."""
        n = hold.attached.get(self._rules.replica)
        if self._directory.has_user(hold.user):
            if n is None or self._rules.detaching.get(hold.id) == n:
                attach = Attach(hold.id, hold.user, self._rules.replica, self._rules.next_n())
                self._proposals.propose(hold_record(attach))
        elif n is not None and hold.user not in self._leaving:
            self._await_return(hold.user)

    def _await_return(self, user: str) -> None:
        number = self._rules.next_n()
        self._leaving[user] = number
        self._proposals.call_in(self._reconnect, partial(self._detach, user, number))

    def _detach(self, user: str, number: int) -> None:
        if self._leaving.get(user) != number:
            return
        del self._leaving[user]
        for hold in self._feed.known.live_holds_of(user):
            if (n := hold.attached.get(self._rules.replica)) is not None:
                self._rules.detaching[hold.id] = n
                self._proposals.propose(hold_record(Detach(hold.id, self._rules.replica, n)))

    def _live(self, id: str) -> Hold | None:
        """Return the live hold with which a claim was answered."""
        outcome = self._feed.known.hold_outcome(id)
        return outcome.hold if isinstance(outcome, Granted) and outcome.hold.ended is None else None

    async def run(self, live: trio.Event) -> None:
        """Propose, for ever, once the feed is `live`."""
        await live.wait()
        holds = list(self._feed.known.live_holds())
        for number, hold in enumerate(holds, 1):
            if hold.ended is None:  # it may have, meanwhile
                self._await_end(hold)
                self._follow_user(hold)
            if number % SET_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        if holds:  # in vain, most likely; but then the log's time is known
            self._proposals.propose(hold_record(Expire(holds[0].id)))
        await self._proposals.run()


def _ended_in(outcome: Outcome) -> Iterable[str]:
    """Yield the ids of the holds that have ended with a record."""
    for message in outcome.messages:
        data: dict[str, Any] = message.data
        if message.type == "hold.ended":
            yield data["holdId"]
        if message.type in ("hold.ended", "hold.created"):
            for other in data.get("ended", ()):
                yield other["holdId"]
