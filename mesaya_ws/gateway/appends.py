"""What clients have the log take: appended one after another, and answered."""

from contextlib import suppress

import trio

from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.session.services import AppendResult, Command
from mesaya_ws.core.session.session import Session

MAX_WAITING = 1000
"""Commands that may wait for the log; more are answered at once, with an error."""

APPEND_TIMEOUT = 10.0
"""Seconds after which an append counts as not acknowledged."""


class Appends:
    """Appends the records of commands to the log, in the order in which they came, while `run` runs.

    One at a time: so the order of what one client says is that in the log. At most `max_waiting` wait.
    """

    def __init__(self, event_log: EventLog, max_waiting: int = MAX_WAITING, timeout: float = APPEND_TIMEOUT) -> None:
        self._event_log = event_log
        self._timeout = timeout
        self._deliver, self._commands = trio.open_memory_channel[tuple[Session, Command]](max_waiting)

    def append(self, session: Session, command: Command) -> None:
        """Have a record appended; answered by `Session.on_appended`, at once if too many wait already."""
        try:
            self._deliver.send_nowait((session, command))
        except trio.WouldBlock:
            refusal = "Too many records wait for the event log; this one was not appended."
            session.on_appended(command, LogUnavailableError(refusal))

    async def run(self) -> None:
        """Append and answer, for ever."""
        async for session, command in self._commands:
            session.on_appended(command, await self._append(command))

    async def _append(self, command: Command) -> AppendResult:
        with suppress(trio.TooSlowError), trio.fail_after(self._timeout):
            try:
                [place] = await self._event_log.append([command.record])
            except (LogUnavailableError, RecordRejectedError) as error:
                return error
            return place
        return LogUnavailableError(f"The event log did not acknowledge within {self._timeout:g} seconds.")
