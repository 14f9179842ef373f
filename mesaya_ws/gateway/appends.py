"""Appends what clients send to the log: each client's commands in their order, those of different clients at once.

    append ──▶ the client, or all together, have too many waiting? ──▶ answered at once
                 │ no
                 ▼
               the client's queue ──▶ one command at a time, by one task for each client that has any ──▶ answered

A client whose append is slow holds up itself alone, and commands on which its own decides (`Command.turn`). A command
that is to be read back is answered when the feed has processed its record (`on_record`) with all that follows from it:
`progressed` says whenever that may be so.
"""

from collections import deque
from collections.abc import Callable, Hashable
from math import inf
from typing import Protocol

import trio

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, Record
from mesaya_ws.core.session.commands import AppendResult, Command, TooManyAppendsError, Turn, WaitsFor
from mesaya_ws.gateway.read_backs import ReadBacks
from mesaya_ws.runtime.clocks import steady
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

MAX_PER_SESSION = 16
"""Commands of one client that may wait, with the one that is being appended."""

MAX_WAITING = 1000
"""Commands of all clients together that may wait, and so tasks and records that they may cost."""

WOKEN_AT_ONCE = 16
"""Commands that are woken in one step after the one that they waited for has its answer."""

APPEND_TIMEOUT = 10.0
"""Seconds from the client's command to its answer, whatever the log does."""


class Appender(Protocol):
    """Whose commands are appended: a session, or a request by HTTP."""

    @property
    def id(self) -> str:
        """What it is called in the log of this process."""
        ...

    def on_appended(self, command: Command, result: AppendResult) -> None:
        """Take the result of a command, once."""
        ...


class Appends:
    """Appends the records of commands, while `run` runs; every command is answered once (`Session.on_appended`).

    A command that was accepted is appended although its client has left, if its `turn` does not say otherwise. One that
    is not acknowledged in `timeout` seconds is answered as unavailable: it may still be in the log, before the client's
    next one. `on_place` is called with where the log has put a record, and when its append began and was acknowledged
    (ms, by `steady`).
    """

    def __init__(
        self,
        event_log: EventLog,
        feed: Published | None = None,
        *,
        max_per_session: int = MAX_PER_SESSION,
        max_waiting: int = MAX_WAITING,
        timeout: float = APPEND_TIMEOUT,
        on_place: Callable[[Appended, int, int], None] = lambda *_: None,
    ) -> None:
        self._event_log = event_log
        self._feed = feed
        self._progressed = trio.Event()
        self._read_backs = ReadBacks()
        # By its key, for each command that others wait for: what wakes them.
        self._waiting_for: dict[Hashable, list[trio.Event]] = {}
        self._max_per_session = max_per_session
        self._max_waiting = max_waiting
        self._timeout = timeout
        self._on_place = on_place
        # Of each session that has a task, or is to have one, the commands with their deadlines; the first is in work.
        self._queues: dict[Appender, deque[tuple[Command, float]]] = {}
        # Without a bound of its own: each holds a session that has a command waiting.
        self._start, self._started = trio.open_memory_channel[Appender](inf)
        self.waiting = 0

    def append(self, session: Appender, command: Command) -> None:
        """Append a command's record after those that the session has waiting."""
        queue = self._queues.get(session)
        if queue is not None and len(queue) >= self._max_per_session:
            text = f"{self._max_per_session} records of this client wait for the event log; this one was not appended."
            answer(session, command, TooManyAppendsError(text))
            return
        if self.waiting >= self._max_waiting:
            text = "Too many records wait for the event log; this one was not appended."
            answer(session, command, LogUnavailableError(text))
            return
        if queue is None:
            queue = self._queues[session] = deque()
            self._start.send_nowait(session)
        queue.append((command, trio.current_time() + self._timeout))
        self.waiting += 1

    def on_record(self, record: Record) -> None:
        """Take note of a record that the feed has processed."""
        self._read_backs.on_record(record)

    def progressed(self) -> None:
        """Look again whether what was appended has been read back: the feed has processed something."""
        if self.waiting:
            self._progressed.set()
            self._progressed = trio.Event()

    async def run(self) -> None:
        """Append and answer, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for session in self._started:
                nursery.start_soon(self._append_all, session, nursery)

    async def _append_all(self, session: Appender, nursery: trio.Nursery) -> None:
        """Append what one session has waiting, one after the other, until nothing is left."""
        queue = self._queues[session]
        while queue:
            command, deadline = queue[0]
            result = await self._append(command, deadline)
            queue.popleft()
            self.waiting -= 1
            if not queue:
                del self._queues[session]
            answer(session, command, result)
            if waiting := self._waiting_for.pop(command.key, None):
                nursery.start_soon(_wake, waiting)

    async def _append(self, command: Command, deadline: float) -> AppendResult:
        with trio.move_on_at(deadline), self._read_backs.expect(command.record) as read_back:
            try:
                while isinstance(turn := self._turn(command, deadline), WaitsFor):
                    answered = trio.Event()
                    self._waiting_for.setdefault(turn.key, []).append(answered)
                    await answered.wait()
                if turn is not Turn.DUE:
                    return turn
                began = steady()
                [place] = await self._event_log.append([command.record])
            except (LogUnavailableError, RecordRejectedError) as error:
                return error
            except Exception:  # one command must not end the appends of all
                log.exception("an append ended by a fault of ours", topic=command.record.topic)
                return LogUnavailableError("The service met a fault of its own; it has been logged.")
            self._on_place(place, began, steady())
            if command.is_read_back and (feed := self._feed) is not None:
                while not read_back.has(place) or feed.is_mid_record:
                    await self._progressed.wait()
            return place
        return LogUnavailableError(f"The event log did not take and show the record within {self._timeout:g} seconds.")

    def _turn(self, command: Command, deadline: float) -> Turn | WaitsFor | LogUnavailableError:
        """Return a command's turn; none is due any more whose time is over, also if it was woken just before that."""
        if trio.current_time() >= deadline:
            return LogUnavailableError(
                f"It waited for the event log for {self._timeout:g} seconds; this record was not appended."
            )
        return command.turn()


def answer(appender: Appender, command: Command, result: AppendResult) -> None:
    """Answer a command; a fault with one client is logged, and ends nothing for the others."""
    try:
        appender.on_appended(command, result)
    except Exception:
        log.exception("an append was not answered by a fault of ours", connection=appender.id)


async def _wake(waiting: list[trio.Event]) -> None:
    """Wake commands, a few at a time, after a turn in which what follows from the answer of the other one is appended.

    That is the next command of the same client, and, unless the log is waited for with another, what was proposed
    because of it: both may decide on these.
    """
    for number, answered in enumerate(waiting):
        if number % WOKEN_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        answered.set()
