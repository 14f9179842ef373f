"""The loop by which a feed follows the log: receive, ingest in pieces, process in steps, and let others run in between.

events ──▶ ingest (a batch) ──▶ ingested ──▶ … ──▶ process (a batch) ──▶ processed ──▶ …
"""

from collections.abc import Iterator
from typing import Protocol

import trio

from mesaya_ws.core.feed.feed import INGEST_BATCH, Feed
from mesaya_ws.core.log.events import LogEvent, pieces
from mesaya_ws.runtime.clocks import now_ms, steady

EVENTS_AHEAD = 16
"""Events of the log that may wait for the feed; after them, the log waits."""


class Observer(Protocol):
    """What happens around the feed while it advances. Each step of it is some milliseconds; it took so many seconds."""

    def received(self, event: LogEvent) -> None:
        """Take note of an event, or a piece of one, that the feed ingests next."""

    async def ingested(self, seconds: float) -> None:
        """Let others run: a batch has been ingested, and there may be more."""

    async def processed(self, seconds: float) -> None:
        """Write what has been published, and let others run: a batch has been processed, and there may be more."""


class Driver:
    """Drives a feed by the `events` of the log."""

    def __init__(self, feed: Feed, events: trio.MemoryReceiveChannel[LogEvent], observer: Observer) -> None:
        self._feed = feed
        self._events = events
        self._observer = observer
        self._waiting = trio.CancelScope()
        self._ingested = 0  # since others ran, by `weight`; it takes many small events for a batch

    def interrupt(self) -> None:
        """Wait no longer for the log, if it is waited for: the feed has something to do before."""
        self._waiting.cancel()

    async def advance(self) -> None:
        """Receive the next event, unless the feed has something to do before; process what can be processed.

        What waits already, or comes meanwhile, is ingested before: so it goes into the same writes.
        """
        feed, observer = self._feed, self._observer
        received: list[LogEvent] = []
        with trio.move_on_after(feed.next_deadline_in(steady())) as self._waiting:
            received.append(await self._events.receive())
        began = trio.current_time()
        for event in self._with_waiting(received):
            for piece, weight in pieces(event, INGEST_BATCH):
                observer.received(piece)
                feed.ingest(piece, now_ms(), steady())
                self._ingested += weight
                if self._ingested >= INGEST_BATCH:
                    self._ingested = 0
                    await observer.ingested(trio.current_time() - began)
                    began = trio.current_time()
        for _ in feed.process(now_ms(), steady()):
            await observer.processed(trio.current_time() - began)
            began = trio.current_time()

    def _with_waiting(self, received: list[LogEvent]) -> Iterator[LogEvent]:
        """Yield what was received, and then what waits: so many at most, for more may come all the time."""
        yield from received
        for _ in range(EVENTS_AHEAD):
            if not self._events.statistics().current_buffer_used:
                return
            yield self._events.receive_nowait()
