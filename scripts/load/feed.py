"""A process that feeds: events at a steady rate, or as fast as they are received, into a log or into a server.

An event counts from the moment it was due, not from when it was really sent: a feed that is held up by the log, or by
the machine, must not hide the wait (what Gil Tene calls coordinated omission).
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableSequence, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Protocol

import trio
from attrs import frozen

from load.plan import Plan
from load.workload import Record

GROUP = 1000
"""Events that are handed over in one go, at most."""

_DOZE = 0.002
"""Trio wakes up to a millisecond late (epoll counts in milliseconds); the system's sleep, for the last bit, not."""

_LOOK = 0.0003

Append = Callable[[Sequence[Record]], Awaitable[object]]


class Feed(Protocol):
    """Where events are put: as records, or as finished messages."""

    @property
    def messages(self) -> bool:
        """Whether it takes finished messages."""
        ...

    def open(self) -> AbstractAsyncContextManager[Append]:
        """Open it, in the process that feeds; what it gives returns when it has taken what it was given."""
        ...


@frozen
class LogFeed:
    """Appends to the event log that `environ` names, as the service's settings do."""

    environ: dict[str, str]
    messages: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Append]:
        """Open the log."""
        from mesaya_ws.core.log.records import NewRecord
        from mesaya_ws.environment import load_settings
        from mesaya_ws.eventlog import open_event_log

        async with open_event_log(load_settings({**os.environ, **self.environ})) as log:

            async def append(records: Sequence[Record]) -> None:
                await log.append([NewRecord(topic, value) for topic, value in records])

            yield append


@frozen
class LineFeed:
    """Sends lines, `name TAB text`, to a TCP port of a server; with `messages`, finished ones rather than records."""

    port: int
    messages: bool

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Append]:
        """Connect to the server."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:

            async def append(records: Sequence[Record]) -> None:
                await stream.send_all(b"".join(b"%b\t%b\n" % (name.encode(), text) for name, text in records))

            yield append


class Pace:
    """Which events are due: by the clock, or by what was received (`rate` None), or all of a backlog."""

    def __init__(self, plan: Plan, counters: MutableSequence[int]) -> None:
        self._plan = plan
        self._counters = counters
        self._rate = None if plan.backlog else plan.rate
        self._start = time.time_ns()
        self._first = plan.fed_before
        # What one event is to be received by, on average.
        self._listeners = plan.connections / plan.channels
        self.taken = 0

    @property
    def over(self) -> bool:
        """Whether all is fed that there is to feed."""
        return 0 < self._plan.backlog <= self.taken

    def due(self) -> int:
        """Return how many more events are due now."""
        if self._plan.backlog:
            due = self._plan.backlog
        elif self._rate is None:
            due = int(sum(self._counters) / self._listeners) + self._plan.outstanding
        else:
            due = int((time.time_ns() - self._start) * self._rate / 1e9) + 1
        return min(GROUP, due - self.taken)

    def at(self, serial: int) -> int:
        """Return when the event with that serial number is due (ns since the epoch)."""
        if self._rate is None:
            return time.time_ns()
        return self._start + int((serial - self._first) * 1e9 / self._rate)

    @property
    def next(self) -> int:
        """The serial number of the event that is fed next."""
        return self._first + self.taken

    async def wait(self) -> None:
        """Wait until another event may be due."""
        if self._rate is None:
            await trio.lowlevel.checkpoint()
            time.sleep(_LOOK)  # noqa: ASYNC251 - see _DOZE
            return
        remaining = (self.at(self.next) - time.time_ns()) / 1e9
        await trio.sleep(max(0, remaining - _DOZE))
        time.sleep(max(0.0, min(_DOZE, (self.at(self.next) - time.time_ns()) / 1e9)))  # noqa: ASYNC251


async def _feed(plan: Plan, feed: Feed, pipe: Pipe, counters: MutableSequence[int]) -> None:
    make = plan.message if feed.messages else plan.record
    async with feed.open() as append:
        if not feed.messages and (setup := plan.setup()):
            for first in range(0, len(setup), GROUP):
                await append(setup[first : first + GROUP])
        pipe.send("ready")
        await trio.to_thread.run_sync(pipe.recv)
        pace = Pace(plan, counters)
        while not pipe.poll() and not pace.over:
            count = pace.due()
            if count > 0:
                await append([make(due) for due in plan.events(pace.next, count, pace.at)])
                pace.taken += count
            await pace.wait()
        if not pace.over:
            pipe.recv()
        pipe.send((pace.taken, time.process_time()))


def run_feed(plan: Plan, feed: Feed, pipe: Pipe, counters: MutableSequence[int]) -> None:
    """Feed from one word through `pipe` to the next, and answer how many events it were; what a process does."""
    trio.run(_feed, plan, feed, pipe, counters)
