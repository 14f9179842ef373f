"""What lies further back than the window: read again from the log, for clients that come back after a long time.

    ask ──▶ found already, or known to be out of reach? ──▶ answered
              │ no
              ▼
            a reading is under way, and has not come that far? ──▶ joins it
              │ no                                                   │
              ▼                                                      ▼
            waits for the next reading, after a rest ─────────────▶ answered at its end, all together

A reading costs as much as a start: so there is one at a time, for a share of the time.
"""

from collections.abc import Iterable, Iterator
from math import inf
from weakref import WeakKeyDictionary, WeakSet

import trio
from attrs import define

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.findings import Findings
from mesaya_ws.core.feed.history import HistoryRead
from mesaya_ws.core.feed.tally import ABANDONED, FOUND, TOO_LARGE, TOO_LONG
from mesaya_ws.core.log.events import Available, LogEvent, Unavailable
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import BEGINNING
from mesaya_ws.core.session.quota import Quota
from mesaya_ws.core.session.session import Session
from mesaya_ws.gateway.driver import Driver
from mesaya_ws.gateway.snapshots import between_records
from mesaya_ws.runtime.gc_tuning import look
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.work_meter import WorkMeter, metered
from mesaya_ws.settings import Settings

log = get_logger(__name__)

LINGER = 10.0
"""Seconds for which a reading goes on though nobody waits for it: who has left often comes back at once."""

HOPELESS = 300.0
"""Seconds for which no reading is tried after one was too long or too large: the next one would be as well."""

SLICE = 0.005
"""Seconds that a reading works before it rests for as long."""

READINGS = 5
"""Readings that one connection may ask for in a minute; what has been found already does not count."""


class HistoryReader:
    """Reads from the log what sessions request (`Session.history_requests`).

    A reading takes at most REPLAY_TIMEOUT and REPLAY_STATE_BYTES, and all readings together REPLAY_SHARE of the time.
    What was found is kept for a while, all together no more than REPLAY_BYTES.
    """

    def __init__(
        self,
        event_log: EventLog,
        feed: Feed,
        settings: Settings,
        linger: float = LINGER,
    ) -> None:
        self._event_log = event_log
        self._feed = feed
        self._settings = settings
        self._linger = linger
        # Weak: in a long outage many come, wait for a while, and go. In the order in which they came.
        self._asking: WeakKeyDictionary[Session, None] = WeakKeyDictionary()
        self._unseen: WeakSet[Session] = WeakSet()
        self._asked = trio.Event()
        self._findings = Findings(settings.replay_bytes)
        self._quota = Quota(READINGS, 60.0)
        self._rests_until = -inf
        self._hopeless_until = -inf

    def request(self, session: Session) -> None:
        """Read what `session.history_requests` says; `session.on_history` answers."""
        self._asking[session] = None
        self._unseen.add(session)
        self._asked.set()

    @property
    def bytes(self) -> int:
        """The bytes of what was found and is still kept."""
        return self._findings.bytes

    async def run(self) -> None:
        """Read and answer, for ever."""
        while True:
            await self._answer()
            if self._asking and trio.current_time() >= self._rests_until:
                await self._read_and_answer()
            else:
                await _in_turns(self._findings.forget(trio.current_time()))
                wake_at = self._rests_until if self._asking else self._findings.forgets_at(trio.current_time())
                with trio.move_on_at(inf if wake_at is None else wake_at):
                    await self._asked.wait()

    async def _answer(self) -> None:
        """Answer those who have come, as far as it can be done without a reading."""
        self._asked = trio.Event()
        unseen, self._unseen = self._unseen, WeakSet()
        await self._settle(unseen)

    async def _settle(self, sessions: Iterable[Session]) -> None:
        """Answer all that can be answered without a reading; those who wait for one are still asking then."""
        for session in list(sessions):
            now = trio.current_time()
            for channel, position in session.history_requests.items():
                past = self._findings.find(channel, position, now)
                if past is not None or now < self._hopeless_until:
                    await between_records(self._feed)
                    session.on_history(past, [channel])
                    await trio.lowlevel.checkpoint()  # it may have been sent a snapshot
            if not session.history_requests:
                self._asking.pop(session, None)
            await trio.lowlevel.checkpoint()

    async def _read_and_answer(self) -> None:
        """Read what is asked for, and answer with it."""
        await self._settle(self._asking)  # some have left, and something may have been found for others
        started = trio.current_time()
        wanted = self._admit({session: list(session.history_requests) for session in self._asking})
        if not wanted:
            await self._settle(self._asking)
            return
        settings = self._settings
        past = HistoryRead(
            wanted, self._feed, settings.parent_timeout, settings.replay_bytes, settings.replay_state_bytes
        )
        is_waited_for, busy = await self._read(past)
        now = trio.current_time()
        self._rests_until = started + busy / settings.replay_share
        outcome = (
            FOUND if past.has_arrived else TOO_LARGE if past.is_too_large else TOO_LONG if is_waited_for else ABANDONED
        )
        waiting = sum(bool(session.history_requests) for session in self._asking)
        log.info("history read", sessions=waiting, found=outcome == FOUND, outcome=outcome, seconds=now - started)
        self._feed.tally.readings[outcome] += 1
        if outcome == FOUND:
            await _in_turns(self._findings.keep(past, now))
        elif outcome != ABANDONED:
            self._hopeless_until = now + HOPELESS
        for session in list(self._asking):
            await between_records(self._feed)
            requests = session.history_requests
            covered = [channel for channel, position in requests.items() if past.covers(channel, position)]
            session.on_history(past, covered)
            await trio.lowlevel.checkpoint()
        await self._settle(self._asking)
        await _in_turns(past.discard())

    def _admit(self, wanted: dict[Session, list[Channel]]) -> set[Channel]:
        """Return the channels of all whose quota allows a reading; the others have asked too often."""
        channels: set[Channel] = set()
        now = trio.current_time()
        for session, asked in wanted.items():
            if not asked or self._quota.take(session, now):
                channels.update(asked)
            else:
                session.on_history(None, asked)
        return channels

    async def _read(self, past: HistoryRead) -> tuple[bool, float]:
        """Read a past as far as it can be; return whether anybody still waits for it, and for how long that was work.

        While the log, or a part of it, does not answer, no time counts: nothing is lost by it, and the clients wait for
        what they missed.
        """
        timeout, pacing, threads = self._settings.replay_timeout, _Pacing(), WorkMeter()
        with trio.move_on_after(timeout) as reading:
            async with trio.open_nursery() as nursery:
                deliver, events = trio.open_memory_channel[LogEvent](0)
                with metered(threads):
                    nursery.start_soon(self._event_log.follow, deliver.send, BEGINNING, lambda: past.feed.paused)
                nursery.start_soon(self._end_when_nobody_waits, nursery.cancel_scope)
                driver = Driver(past.feed, events, pacing)
                while not (past.is_complete() or past.is_too_large):
                    await driver.advance()
                    if pacing.is_down or past.feed.coverage.unseen:
                        reading.deadline = inf
                    elif reading.deadline == inf:
                        reading.deadline = trio.current_time() + timeout
                    if self._asked.is_set():
                        await self._join(past)
                nursery.cancel_scope.cancel()
        return any(session.history_requests for session in self._asking), pacing.busy + threads.seconds

    async def _join(self, past: HistoryRead) -> None:
        """Let those who ask meanwhile have a part in the reading, where it has not passed their places."""
        await self._answer()
        for session in list(self._asking):
            new = [
                channel
                for channel, position in session.history_requests.items()
                if not past.covers(channel, position) and past.can_join(channel, position)
            ]
            if new and self._quota.take(session, trio.current_time()):
                for channel in new:
                    past.join(channel)
            await trio.lowlevel.checkpoint()

    async def _end_when_nobody_waits(self, reading: trio.CancelScope) -> None:
        waited_at = trio.current_time()
        while True:
            await trio.sleep(min(1.0, self._linger / 2))
            if any(session.history_requests for session in self._asking):
                waited_at = trio.current_time()
            elif trio.current_time() - waited_at >= self._linger:
                reading.cancel()


async def _in_turns(steps: Iterator[None]) -> None:
    """Do something in steps, and let others run between them."""
    for _ in steps:
        await trio.lowlevel.checkpoint()


@define
class _Pacing:
    """Has a reading work in turns of `SLICE` at most, with a rest as long after each (see `driver.Progress`).

    In the rests, neither the reading nor the thread that reads the log holds up what is delivered now. It was `busy` so
    many seconds; `is_down` says whether the log does not answer.
    """

    busy: float = 0.0
    is_down: bool = False
    _worked: float = 0.0

    def received(self, event: LogEvent) -> None:
        """Take note of whether the log answers."""
        if isinstance(event, Unavailable | Available):
            self.is_down = isinstance(event, Unavailable)

    async def ingested(self, seconds: float) -> None:
        """Have the young objects collected, before they are many, and let others run."""
        self.busy += seconds
        look()
        await trio.lowlevel.checkpoint()

    async def processed(self, seconds: float) -> None:
        """Rest, if it is time for that."""
        self.busy += seconds
        self._worked += seconds
        if self._worked >= SLICE:
            await trio.sleep(self._worked)
            self._worked = 0.0
        else:
            await trio.lowlevel.checkpoint()
