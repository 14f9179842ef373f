"""What is reported of the log and its records, for operators: counted, kept for the health checks, and logged."""

from collections.abc import Callable, Iterable, Sequence
from time import time

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
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
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status

log = get_logger(__name__)


@frozen(eq=False)
class LogReports:
    """Reports what the log says of itself to the `feed`; `status.since` is a time of the `clock`."""

    feed: Feed
    metrics: Metrics
    status: Status
    clock: Callable[[], float] = time

    def received(self, event: LogEvent) -> None:
        """Report an event of the log that the feed ingests next."""
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

    def caught_up(self) -> None:
        """Report that all has been processed that the log held at the start."""
        self.status.caught_up = True
        log.info("live: all that the event log held has been read", publications=len(self.feed.window))


def report_gaps(gaps: Iterable[tuple[str, Unrecoverable]]) -> None:
    """Log of which topics the log has lost something, and why."""
    for topic, lost in gaps:
        log.warning("the log lost records before they were read", topic=topic, reason=str(lost))


def report_outcome(metrics: Metrics, limiter: LogLimiter, record: Record, outcome: Outcome) -> None:
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
