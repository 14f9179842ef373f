"""The gateway with a log that has no storage: what the feed sends is a record that has been read.

So its hot path can be set against servers that have no log. All else is the real thing: records are understood,
routed, kept in the window, and written to clients.

Arguments: the port of the feed (lines of `topic TAB value`). The settings come from the environment, as always.
"""

import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from functools import partial

import trio

from mesaya_ws.core.log.events import LogEvent, LogMetadata, Records
from mesaya_ws.core.log.interface import EventLog, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.environment import load_settings
from mesaya_ws.gateway.serve import serve
from mesaya_ws.runtime import logs
from mesaya_ws.settings import Settings

PORT = int(sys.argv[1])
BATCH = 500
"""Records that a batch holds at most, as in the real logs."""


class LineLog:
    """An `EventLog` that only goes forward."""

    def __init__(self) -> None:
        self._offsets = {topic: itertools.count() for topic in TOPICS}

    async def follow(self, deliver: Callable[[LogEvent], Awaitable[None]], *_: object) -> None:
        """Hand over what comes, in its order, whatever the place to start from: nothing is held, or paused."""

        async def feed(stream: trio.SocketStream) -> None:
            rest = b""
            async for data in stream:
                *lines, rest = (rest + data).split(b"\n")
                timestamp = round(time.time() * 1000)
                for first in range(0, len(lines), BATCH):
                    batch = lines[first : first + BATCH]
                    lag = len(lines) - first - len(batch)
                    await deliver(Records(None, [self._record(line, timestamp) for line in batch], lag))

        listeners = await trio.open_tcp_listeners(PORT, host="127.0.0.1")
        # The gateway is ready then, and may be fed.
        await deliver(LogMetadata(await self.extents(), {None: 0}))
        await trio.serve_listeners(feed, listeners)

    def _record(self, line: bytes, timestamp: int) -> Record:
        name, _, value = line.partition(b"\t")
        topic = name.decode()
        return Record(topic, 0, next(self._offsets[topic]), timestamp, None, value)

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """Take nothing. Raises `RecordRejectedError`."""
        raise RecordRejectedError("This log is only fed.")

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        """Remember nothing."""
        return []

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, OffsetRange]:
        """Hold nothing."""
        return {Partition(topic, 0): OffsetRange(0, 0, "line") for topic in TOPICS}

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """Lose nothing."""
        return set()


@asynccontextmanager
async def open_line_log(_: Settings) -> AsyncIterator[EventLog]:
    """Stand in for `mesaya_ws.eventlog.open_event_log`."""
    yield LineLog()


settings = load_settings(os.environ)
logs.configure(settings.log_level, settings.log_format)
trio.run(partial(serve, settings, open_log=open_line_log))
