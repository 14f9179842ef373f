"""What moves everything: events of the log go into the feed, and what the feed publishes goes out to the clients."""

from collections.abc import Callable, Iterable, Sequence
from time import time
from typing import Any

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Delivered
from mesaya_ws.core.log.events import (
    Available,
    Corrupt,
    LogEvent,
    LogMetadata,
    PollResult,
    Records,
    TopicRecreated,
    Truncated,
    Unavailable,
)
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.log.trouble import NAMED, Hindrance, Trouble, lasting, of_kind
from mesaya_ws.core.platform.envelope import Disposition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.identity_changes import apply_rights_changes
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Session
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.driver import Driver
from mesaya_ws.gateway.state import State
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.gc_tuning import keep, look
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status

log = get_logger(__name__)


async def ingest(
    events: trio.MemoryReceiveChannel[LogEvent],
    feed: Feed,
    registry: SessionRegistry[Any],
    metrics: Metrics,
    status: Status,
    live: trio.Event,
    state: State | None = None,
    checkpoints: Checkpoints | None = None,
    identities: SessionIdentities[Session] | None = None,
    progressed: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time,
) -> None:
    """Carry what the log says to the feed, and what the feed publishes to the clients, until cancelled.

    Sessions in the `registry` go on when the feed has moved on, or begin anew when the log has lost something. Sets
    `live` when all that the log held at the start has been processed. Between two steps, `checkpoints` are captured.
    `progressed` is called whenever records may have been processed.
    A record that takes a right away is the last one that is sent by it: `identities` know to whom.
    """
    rights = identities or SessionIdentities[Session]()
    driver = Driver(feed, events, _Ingest(feed, registry, rights, metrics, status, clock, state))
    feed.progress.interrupt = driver.interrupt
    while True:
        was_live = feed.live
        await driver.advance()
        progressed()
        if not feed.live:
            continue
        if not was_live:
            status.caught_up = True
            live.set()
            if state is not None:
                state.note_ready()
            keep()
            log.info("live: all that the event log held has been read", publications=len(feed.window))
        if registry.has_waiting:
            for _ in registry.retry_waiting():
                await trio.lowlevel.checkpoint()
        if checkpoints is not None:
            await checkpoints.capture()


@frozen
class _Ingest:
    """Counts, logs and writes around each step of a feed (see `driver.Observer`)."""

    feed: Feed
    registry: SessionRegistry[Any]
    identities: SessionIdentities[Session]
    metrics: Metrics
    status: Status
    clock: Callable[[], float]
    state: State | None = None

    def received(self, event: LogEvent) -> None:
        """Count and log what the log says."""
        metrics, status = self.metrics, self.status
        match event:
            case Unavailable(reason):
                if status.outage is None:
                    status.since = self.clock()
                status.outage = reason
                metrics.log_up = False
                log.warning("the event log does not answer", reason=reason)
            case Available():
                status.outage, status.since = None, self.clock()
                metrics.log_up = True
                log.info("the event log answers again")
            case Records():
                _watch_clocks((event,), metrics, was_live=self.feed.live)
            case PollResult(batches):
                _watch_clocks(batches, metrics, was_live=self.feed.live)
            case LogMetadata(_, _, _, troubles):
                metrics.troubles = troubles
                _log_troubles(status, lasting(troubles, starting=not status.caught_up))
            case Corrupt():
                _report_corrupt(metrics, event)
            case TopicRecreated(topic):
                log.warning("a topic was deleted and created again", topic=topic)
            case Truncated(partition, next_offset):
                _report_truncated(metrics, event, self.feed.cursor.next.get(partition, next_offset))

    async def ingested(self, _: float) -> None:
        """Have the young objects collected, before they are many, and let others run."""
        (look if self.feed.live else keep)()
        if self.state is not None:
            await self.state.make_room()
        await trio.lowlevel.checkpoint()

    async def processed(self, _: float) -> None:
        """Write to the clients; have those begin anew who missed something, and end what has lost its right."""
        feed = self.feed
        await _write(feed.hub.fan_out(), self.metrics)
        if feed.progress.gaps:
            await _announce_gaps(feed, self.registry)
        if changes := feed.progress.take_rights_changes():
            for _step in apply_rights_changes(self.identities, changes):
                await trio.lowlevel.checkpoint()


def _watch_clocks(batches: Iterable[Records], metrics: Metrics, *, was_live: bool) -> None:
    """Log that the times of records do not fit our clock: one record of each batch says enough."""
    now, at = now_ms(), trio.current_time()
    for _, records, lag in batches:
        if not records:
            continue
        last = records[-1]
        waited = lag > 0 or not was_live
        ahead = metrics.skews.arrived(last.topic, last.timestamp, now, at, waited=waited)
        if ahead is not None:
            how = "ahead of" if ahead > 0 else "behind"
            log.warning(
                f"records' times are {how} this machine's clock: set whichever is wrong, ours or the producers'",
                topic=last.topic,
                partition=last.partition,
                offset=last.offset,
                seconds=round(abs(ahead), 1),
            )


def _log_troubles(status: Status, troubles: Sequence[Trouble]) -> None:
    """Take note of what cannot be read of the log; log it when it begins, and when it ends."""
    before, now = set(map(_part, status.troubles)), set(map(_part, troubles))
    begun = [trouble for trouble in troubles if _part(trouble) not in before]
    over = [trouble for trouble in status.troubles if _part(trouble) not in now]
    status.troubles = troubles
    for kind in Hindrance:
        if parts := of_kind(begun, kind):
            reason = parts[0].reason
            log.warning("parts of the event log cannot be read", kind=kind, parts=_names(parts), reason=reason)
        if parts := of_kind(over, kind):
            log.info("parts of the event log can be read again", was=kind, parts=_names(parts))


def _part(trouble: Trouble) -> tuple[str, int | None, Hindrance]:
    return trouble.topic, trouble.number, trouble.kind


def _names(troubles: Sequence[Trouble]) -> list[str]:
    """Return which parts those are, as `topic` or `topic/partition`; the first of them."""
    names = [topic if number is None else f"{topic}/{number}" for topic, number, *_ in troubles[:NAMED]]
    return names if len(troubles) <= NAMED else [*names, f"and {len(troubles) - NAMED} more"]


async def _announce_gaps(feed: Feed, registry: SessionRegistry[Any]) -> None:
    """Have everybody begin anew who was subscribed to what the log has lost something of, while others run.

    Until all have been informed, `gaps` stay, and so nobody is given a place after them as one that it has reached.
    """
    gaps = feed.progress.gaps
    for topic, lost in gaps:
        log.warning("the log lost records before they were read", topic=topic, reason=str(lost))
    for _ in registry.resync(gaps):
        await trio.lowlevel.checkpoint()
    feed.progress.gaps_announced()


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


def report(metrics: Metrics, limiter: LogLimiter, record: Record, outcome: Outcome) -> None:
    """Count what became of a record; log what could not be decoded.

    Of a field of a wrong type, `limiter` lets one line a topic and field through in its interval.
    """
    key = record.topic, outcome.reason
    metrics.records[key] += 1
    if outcome.detail:
        log.warning(
            "record skipped",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=outcome.reason,
            detail=outcome.detail,
        )
    for field in outcome.mistyped:
        metrics.mistyped[record.topic, field] += 1
        suppressed = limiter.admit(record.topic, field)
        if suppressed is not None:
            log.warning(
                "a field of a wrong type was left out",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                field=field,
                suppressed=suppressed,
            )


def _report_corrupt(metrics: Metrics, corrupt: Corrupt) -> None:
    """Count and log records that not even the log's client could read."""
    why = Disposition.TOO_LARGE if corrupt.too_large else Disposition.CORRUPT
    key = corrupt.partition.topic, why
    metrics.records[key] += corrupt.next - corrupt.first
    log.warning(
        "records skipped",
        topic=corrupt.partition.topic,
        partition=corrupt.partition.number,
        first=corrupt.first,
        next=corrupt.next,
        reason=why,
        detail=corrupt.reason,
    )


def _report_truncated(metrics: Metrics, truncated: Truncated, read: int) -> None:
    """Count and log that a partition has lost its end, of which all before the offset `read` had been read."""
    (topic, number), next_offset = truncated
    metrics.truncations[topic] += 1
    log.error(
        "the log has lost its end after it had been read: whoever is subscribed to what it feeds begins anew",
        topic=topic,
        partition=number,
        first=next_offset,
        lost=read - next_offset,
    )
