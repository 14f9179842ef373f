"""Commands that would come too soon: they rest, and of those for one purpose a single one is appended.

    append ──▶ rests? ── no ──▶ appended at once
                 │ yes
                 ▼
               all for the same purpose, until the time of the first is over ──▶ the one with the highest rank is
                                                                                 appended, and all are answered by it
Each is answered once, whatever happens.
"""

from collections.abc import Callable, Hashable
from functools import partial
from math import inf

import trio
from attrs import define, evolve, field

from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.session.commands import AppendResult, Command, TooManyAppendsError
from mesaya_ws.core.session.deadlines import Deadlines
from mesaya_ws.gateway.appends import MAX_PER_SESSION, MAX_WAITING, Appender, answer

Append = Callable[[Appender, Command], None]


@define
class _Resting:
    """The commands for one purpose, each with whose it is; none is lower in rank than the first."""

    first: tuple[Appender, Command]
    others: list[tuple[Appender, Command]] = field(factory=list)


class RestingAppends:
    """Passes commands on to `append`, those that rest when their time is over, while `run` runs.

    At most `max_waiting` rest at once.
    """

    def __init__(self, append: Append, max_waiting: int = MAX_WAITING) -> None:
        self._append = append
        self._max_waiting = max_waiting
        self._resting: dict[Hashable, _Resting] = {}
        self._deadlines: Deadlines[Hashable] = Deadlines(self._wake)
        self._earlier = trio.Event()
        self.waiting = 0

    def append(self, session: Appender, command: Command) -> None:
        """Append a command, at once or when it has rested; it is answered once, in any case."""
        rest = command.delay
        if rest is None:
            self._append(session, command)
            return
        resting = self._resting.get(rest.purpose)
        if resting is not None and len(resting.others) + 1 >= MAX_PER_SESSION:
            text = f"{MAX_PER_SESSION} of these wait to be written as one; this one was not."
            answer(session, command, TooManyAppendsError(text))
        elif self.waiting >= self._max_waiting:
            answer(session, command, LogUnavailableError("Too many records wait; this one was not appended."))
        elif resting is None:
            self.waiting += 1
            self._resting[rest.purpose] = _Resting((session, command))
            self._deadlines.set(rest.purpose, trio.current_time() + rest.seconds)
        else:
            self.waiting += 1
            lower = session, command
            if _rank(command) >= _rank(resting.first[1]):
                resting.first, lower = lower, resting.first
            resting.others.append(lower)

    async def run(self) -> None:
        """Append what has rested, until cancelled."""
        while True:
            self._earlier = trio.Event()
            while (purpose := self._deadlines.pop(trio.current_time())) is not None:
                resting = self._resting.pop(purpose)
                self.waiting -= 1 + len(resting.others)
                session, command = resting.first
                self._append(session, evolve(command, delay=None, answer=partial(_answer_all, command, resting.others)))
                await trio.lowlevel.checkpoint()
            with trio.move_on_at(self._deadlines.next if self._resting else inf):
                await self._earlier.wait()

    def _wake(self) -> None:
        self._earlier.set()


def _rank(command: Command) -> int:
    return -1 if command.delay is None else command.delay.rank


def _answer_all(command: Command, others: list[tuple[Appender, Command]], result: AppendResult) -> bytes:
    """Answer the others by the result of a command, and return its own answer."""
    for session, other in others:
        answer(session, other, result)
    return command.answer(result)
