"""Exchanges presence with the other processes, by a topic of its own, and sends clients what is due of it.

    own table has changed, or EVERY has passed ──▶ append ──▶ the log ──▶ read by all, this process included
    something is due (`Presence.due_at`) ──▶ sent

What is read back of this process shows that others can be read, too; for the rest, its own sessions are known better.
"""

import os
import random
import re
import socket
from collections.abc import Iterator
from math import inf
from secrets import token_hex
from time import perf_counter

import trio

from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.log.events import LogEvent, PollResult, Records
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import steady
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics

log = get_logger(__name__)

LOG_RETRY, REFUSED_RETRY = 1.0, 30.0
"""Seconds until a log that does not answer is tried again, and one that refuses."""

SWEEP = 5.0, 60.0
"""Seconds, at random, after which the records of processes that have crashed are removed: most then find that another
process has done it."""

END_TIMEOUT = 2.0
"""Seconds that the last records of a process may take."""


TURN = 0.002
"""Seconds of steps that are done before others run. A turn of the event loop costs as much as several steps."""


async def in_turns(steps: Iterator[None], turn: float = TURN) -> None:
    """Do steps, one at least and more for `turn` seconds at most, before others run."""
    ends_at = perf_counter() + turn
    for _ in steps:
        if perf_counter() >= ends_at:
            await trio.lowlevel.checkpoint()
            ends_at = perf_counter() + turn


def process_name() -> str:
    """Return a name for this process that no other one has, nor had; it is an id, as the topics of ours want it."""
    host = re.sub(r"[^A-Za-z0-9._~-]", "-", socket.gethostname())[:64]
    return f"{host}-{os.getpid()}-{token_hex(4)}"


class PresenceExchange:
    """The tasks of `presence`, with an `event_log` that holds its topic alone."""

    def __init__(self, event_log: EventLog, presence: Presence, metrics: Metrics) -> None:
        self._event_log = event_log
        self._presence = presence
        self._metrics = metrics
        self._alarm = Alarm(log, "others are not informed of presence", "others are informed of presence again")
        self._appending = trio.CancelScope()
        # The sleep of each of the two tasks. What is due earlier moves its deadline: no task is woken before its time.
        self._until_due = self._until_append = trio.CancelScope()
        self._sweeps_at = inf

    async def run(self) -> None:
        """Exchange presence, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._event_log.follow, self._deliver)
            nursery.start_soon(self._send)
            nursery.start_soon(self._append_changes)

    async def end(self) -> None:
        """Let the others know that the sessions of this process have ended, and append nothing more."""
        self._appending.cancel()
        with trio.move_on_after(END_TIMEOUT):
            await self._append(self._presence.tombstones())

    async def _send(self) -> None:
        presence = self._presence
        while True:
            await in_turns(presence.run())
            self._metrics.presence_sent, self._metrics.presence_left_out = presence.messages, presence.left_out
            # Who has begun to type, or what is gone of others, may be something to say.
            self.wake()
            with trio.move_on_at(presence.due_at() / 1000) as self._until_due:
                await trio.sleep_forever()

    async def _append_changes(self) -> None:
        presence = self._presence
        with self._appending:
            while True:
                with trio.move_on_at(self._appends_at()) as self._until_append:
                    await trio.sleep_forever()
                if trio.current_time() >= self._sweeps_at:
                    self._sweeps_at = inf
                    await self._append(presence.take_silent())
                if presence.appends_at() <= steady():
                    await in_turns(presence.count())
                    records, is_appended = list[NewRecord](), False
                    try:
                        await in_turns(map(records.append, presence.take()))
                        is_appended = await self._append(records)
                    finally:
                        if not is_appended:
                            presence.not_appended()

    async def _append(self, records: list[NewRecord]) -> bool:
        """Append records, and return whether they are in the log; if not, returns after a while."""
        if not records:
            return True
        try:
            await self._event_log.append(records)
        except (LogUnavailableError, RecordRejectedError) as error:
            self._alarm.set(reason=str(error))
            await trio.sleep(LOG_RETRY if isinstance(error, LogUnavailableError) else REFUSED_RETRY)
            return False
        self._alarm.clear()
        return True

    async def _deliver(self, event: LogEvent) -> None:
        match event:
            case Records():
                await self._read(event)
            case PollResult(batches):
                for batch in batches:
                    await self._read(batch)
        await trio.lowlevel.checkpoint()

    async def _read(self, batch: Records) -> None:
        for record in batch.records:
            try:
                self._presence.read(record)
            except BadFieldError as error:
                log.warning(
                    "a record of the topic of presence cannot be understood", offset=record.offset, detail=str(error)
                )
            await trio.lowlevel.checkpoint()

    def wake(self) -> None:
        """Have done what is due earlier than it was (`Presence.on_due`)."""
        # Whenever a client comes or goes; and to set a deadline is more work than to compare it.
        for sleep, due in (
            (self._until_due, self._presence.due_at() / 1000),
            (self._until_append, self._appends_at()),
        ):
            if due < sleep.deadline:
                sleep.deadline = due

    def _appends_at(self) -> float:
        """Return when something is to be appended, in seconds."""
        if self._presence.has_silent and self._sweeps_at == inf:
            self._sweeps_at = trio.current_time() + random.uniform(*SWEEP)  # noqa: S311 - not for secrets
        return min(self._presence.appends_at() / 1000, self._sweeps_at)
