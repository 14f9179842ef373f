"""What moves everything: news of the log go into the feed, and what the feed publishes goes out to the clients."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from time import time
from typing import Any

import trio

from mesaya_ws.core.feed.feed import INGEST_BATCH, Feed
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
    pieces,
)
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.log.trouble import TOLD, Hindrance, Trouble, lasting, of_kind
from mesaya_ws.core.platform.envelope import Disposition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.runtime.clocks import now_ms, steady
from mesaya_ws.runtime.gc_tuning import keep, look
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status

log = get_logger(__name__)

NEWS_AHEAD = 16
"""Batches of the log that may wait for the feed; behind them, the log waits."""


async def pump(
    news: trio.MemoryReceiveChannel[LogEvent],
    feed: Feed,
    registry: SessionRegistry[Any],
    metrics: Metrics,
    status: Status,
    live: trio.Event,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Carry what the log says to the feed, and what the feed publishes to the clients, for ever.

    Sessions in the `registry` go on when the feed has moved on, or begin anew when the log has lost something. Sets
    `live` when all that the log held at the start has been taken. Between two turns, `checkpoints` are captured.
    """
    heard = 0
    while True:
        with trio.move_on_after(feed.next_deadline_in(steady())):
            for item in chain([await news.receive()], _waiting(news)):
                for piece, work in pieces(item, INGEST_BATCH):
                    _hear(piece, feed, metrics, status)
                    heard += work
                    if heard >= INGEST_BATCH:
                        heard = 0
                        (look if feed.live else keep)()
                        # What has been received is heard to its end.
                        await trio.lowlevel.cancel_shielded_checkpoint()
        was_live = feed.live
        for _ in feed.take(now_ms(), steady()):
            await _write(feed.hub.fan_out(), metrics)
            if feed.gaps:
                await _own_up(feed, registry)
        if feed.live and not was_live:
            status.caught_up = True
            live.set()
            keep()
            log.info("live: all that the event log held has been read", publications=len(feed.window))
        if feed.live and registry.has_waiting:
            for _ in registry.retry_waiting():
                await trio.lowlevel.checkpoint()
        if feed.live and checkpoints is not None:
            await checkpoints.capture()


def _waiting(news: trio.MemoryReceiveChannel[LogEvent]) -> Iterator[LogEvent]:
    """Yield what waits already, or comes before that is heard: it goes into the same writes."""
    for _ in range(NEWS_AHEAD):
        if not news.statistics().current_buffer_used:
            return
        yield news.receive_nowait()


def _hear(news: LogEvent, feed: Feed, metrics: Metrics, status: Status) -> None:
    """Take note of what the log says."""
    match news:
        case Unavailable(reason):
            status.outage, status.since = reason, time()
            metrics.log_up = False
            log.warning("the event log does not answer", reason=reason)
        case Available():
            status.outage, status.since = None, time()
            metrics.log_up = True
            log.info("the event log answers again")
        case Records():
            _watch_clocks((news,), metrics, was_live=feed.live)
        case PollResult(batches):
            _watch_clocks(batches, metrics, was_live=feed.live)
        case LogMetadata(_, _, _, troubles):
            metrics.troubles = troubles
            _tell_troubles(status, lasting(troubles, starting=not status.caught_up))
        case Corrupt():
            _report_skipped(metrics, news)
        case TopicRecreated(topic):
            log.warning("a topic was deleted and created again", topic=topic)
        case Truncated(partition, next_offset):
            topic, number = partition
            metrics.truncations[topic] = metrics.truncations.get(topic, 0) + 1
            log.error(
                "the log has lost its end after it had been read: whoever is subscribed to what it feeds begins anew",
                topic=topic,
                partition=number,
                first=next_offset,
                lost=feed.cursor.next.get(partition, next_offset) - next_offset,
            )
    feed.hear(news, now_ms(), steady())


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


def _tell_troubles(status: Status, troubles: Sequence[Trouble]) -> None:
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
    names = [topic if number is None else f"{topic}/{number}" for topic, number, *_ in troubles[:TOLD]]
    return names if len(troubles) <= TOLD else [*names, f"and {len(troubles) - TOLD} more"]


async def _own_up(feed: Feed, registry: SessionRegistry[Any]) -> None:
    """Have everybody begin anew who was subscribed to what the log has lost something of, while others run.

    Until all have been told, `gaps` stay, and so nobody is given a place behind them as one that it has reached.
    """
    gaps = feed.gaps
    for topic, lost in gaps:
        log.warning("the log lost records before they were read", topic=topic, reason=str(lost))
    for _ in registry.resync(gaps):
        await trio.lowlevel.checkpoint()
    feed.gaps = []


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
    """Enter what became of a record into the books; log what could not be understood.

    Of a field of a wrong type, `limiter` lets one line a topic and field through in its interval.
    """
    key = record.topic, outcome.reason
    metrics.records[key] = metrics.records.get(key, 0) + 1
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
        metrics.mistyped[record.topic, field] = metrics.mistyped.get((record.topic, field), 0) + 1
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


def _report_skipped(metrics: Metrics, skipped: Corrupt) -> None:
    """Enter records into the books, and log them, that not even the log's client could read."""
    why = Disposition.TOO_LARGE if skipped.too_large else Disposition.CORRUPT
    key = skipped.partition.topic, why
    metrics.records[key] = metrics.records.get(key, 0) + skipped.next - skipped.first
    log.warning(
        "records skipped",
        topic=skipped.partition.topic,
        partition=skipped.partition.number,
        first=skipped.first,
        next=skipped.next,
        reason=why,
        detail=skipped.reason,
    )
