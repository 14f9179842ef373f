"""What moves everything: events of the log go into the feed, and what the feed publishes goes out to the clients."""

from collections.abc import Callable, Iterable
from time import time
from typing import Any

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Delivered
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.identity_changes import apply_rights_changes
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Session
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.driver import Driver
from mesaya_ws.gateway.log_reports import LogReports, report_gaps
from mesaya_ws.gateway.store_keeper import StoreKeeper
from mesaya_ws.runtime.gc_tuning import collect_young, freeze
from mesaya_ws.runtime.metrics import Metrics


@frozen(kw_only=True, eq=False)
class Ingest:
    """Carries what the log says to the feed, and what the feed publishes to the clients, while `run` runs.

    Sessions in the `registry` go on when the feed has moved on, or begin anew when the log has lost something. A record
    that takes a right away is the last one that is sent by it: `identities` know to whom. Sets `live` when all that the
    log held at the start has been processed. Between two steps, `checkpoints` are captured. `progressed` is called
    whenever records may have been processed.
    """

    feed: Feed
    registry: SessionRegistry[Any]
    identities: SessionIdentities[Session]
    metrics: Metrics
    reports: LogReports
    live: trio.Event
    store: StoreKeeper
    checkpoints: Checkpoints | None
    progressed: Callable[[], None]

    async def run(self, events: trio.MemoryReceiveChannel[LogEvent]) -> None:
        """Carry the `events` of the log, and all that becomes of them, until cancelled."""
        feed, registry = self.feed, self.registry
        driver = Driver(feed, events, self)
        feed.progress.interrupt = driver.interrupt
        while True:
            was_live = feed.live
            await driver.advance()
            self.progressed()
            if not feed.live:
                continue
            if not was_live:
                self._become_live()
            if registry.has_waiting:
                for _ in registry.retry_waiting():
                    await trio.lowlevel.checkpoint()
            if self.checkpoints is not None:
                await self.checkpoints.capture()

    def _become_live(self) -> None:
        self.live.set()
        self.store.note_ready()
        freeze()
        self.reports.caught_up()

    # What happens around each step of the feed (`driver.Observer`)

    def received(self, event: LogEvent) -> None:
        """Report what the log says."""
        self.reports.received(event)

    async def ingested(self, _: float) -> None:
        """Have the young objects collected, before they are many, and let others run."""
        (collect_young if self.feed.live else freeze)()
        await self.store.make_room()
        await trio.lowlevel.checkpoint()

    async def processed(self, _: float) -> None:
        """Write to the clients; have those begin anew who missed something, and end what has lost its right."""
        progress = self.feed.progress
        await _write(self.feed.hub.fan_out(), self.metrics)
        if progress.gaps:
            await self._announce_gaps()
        if changes := progress.take_rights_changes():
            for _step in apply_rights_changes(self.identities, changes):
                await trio.lowlevel.checkpoint()

    async def _announce_gaps(self) -> None:
        """Have everybody begin anew who was subscribed to what the log has lost something of, while others run.

        Until all have been informed, `gaps` stay, and so nobody is given a place after them as one that it has reached.
        """
        progress = self.feed.progress
        report_gaps(progress.gaps)
        for _ in self.registry.resync(progress.gaps):
            await trio.lowlevel.checkpoint()
        progress.gaps_announced()


async def _write(steps: Iterable[Delivered | None], metrics: Metrics) -> None:
    """Fan out what was gathered, and let others run on the way."""
    for delivered in steps:
        if delivered is None:
            await trio.lowlevel.checkpoint()
            continue
        metrics.messages_out += delivered.messages
        metrics.bytes_out += delivered.size
        now = time()
        for timestamp in delivered.timestamps:
            metrics.delivery.observe(now - timestamp / 1000, delivered.subscribers)
    await trio.lowlevel.checkpoint()
