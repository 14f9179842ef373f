"""From the log to the channels: the records in their one order, decoded, and published as frames.

The feed is the moving window over the log. Everything here is decided without waiting: whoever owns the feed passes it
what the log says (`ingest`), lets it work (`process`), and writes what the hub has gathered in between.
"""

from collections.abc import Callable, Collection, Iterator
from math import inf

from mesaya_ws.core.access.rights_changes import TOPICS_OF_FACTS, RightsChange
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.feed.intake import gap_item, items_of, new_merge
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.persistent import Persistent
from mesaya_ws.core.feed.present_states import PresentStates
from mesaya_ws.core.feed.progress import Progress
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.record_processor import RecordProcessor
from mesaya_ws.core.feed.watermark import Watermark
from mesaya_ws.core.interactions.topics import CHAT, HOLDS
from mesaya_ws.core.log.events import (
    Available,
    EpochsBegun,
    Gap,
    LogEvent,
    LogMetadata,
    PollResult,
    Records,
    TopicRecreated,
    Truncated,
    Unavailable,
)
from mesaya_ws.core.log.ordering import MAX_BYTES, MAX_RECORDS
from mesaya_ws.core.log.records import OffsetRange, Partition, Record, Source
from mesaya_ws.core.log.trouble import Hindrance, of_kind
from mesaya_ws.core.platform.cold import CACHE_BYTES
from mesaya_ws.core.platform.envelope import Decoded
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.history import History, Retention
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.contents import SnapshotRules

PROCESS_BATCH = 50
"""The work of one step, in records of less than a KiB (see `weight`): at some 30 µs each, that is 1.5 ms; on a machine
that is crowded, 5. The record that exceeds it is still processed, and may take 10 ms by itself."""

INGEST_BATCH = 100
"""Records (by their `weight`) that should be ingested in one step: they are only put in order, but for large ones."""


class Feed(Published):
    """What the log says up to now, and its publication to the hub.

    Its parts have what it knows and what it has published in common, and how far it has come:

        merge          whose turn is next                               core/log/ordering, intake
        processor      applies a record, and publishes what it becomes  record_processor, router, broadcaster
        known          what all records mean                            known, core/platform/projections
        coverage       what of the log that is, and what was published  core/recovery
        progress       how far it is, and what must be done before it goes on
        states         the snapshots of channels                        present_states, snapshot
        persistent     what checkpoints and the state store have of it  persistent, uncommitted

    `preview` is called with every record before it is processed, `report` with every record and what became of it;
    `request_parent`, again and again, with the parents of records that are not known, as `<entity>:<id>`. Of each
    source, `max_records` and `max_bytes` may wait for the others, and a few more; then it is `paused`. A record waits
    for its parent up to `parent_timeout` seconds. Snapshots follow the `rules`. Settled reservations and payments are
    kept for so many days (see `settled`).

    With a `retention` there is a state store. It keeps what is published on channels with a history for longer than the
    window does (see `history`), and reservations and payments: of each kind, `cache_bytes` are in memory as well.
    """

    def __init__(
        self,
        hub: Hub,
        window: Window,
        parent_timeout: float,
        report: Callable[[Record, Outcome], None] = lambda record, outcome: None,
        request_parent: Callable[[str], None] = lambda parent: None,
        preview: Callable[[Record, Decoded], None] | None = None,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
        retention: Retention | None = None,
        rules: SnapshotRules | None = None,
        keep_settled_days: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        wait, cursor, progress = round(parent_timeout * 1000), Cursor(), Progress()
        known = Known(
            cursor,
            keeps_on_disk=retention is not None,
            keep_settled_days=keep_settled_days,
            cache_bytes=cache_bytes,
        )
        history = None if retention is None else History(retention, cursor, window)
        coverage = Coverage(cursor, window, history)
        states = PresentStates(known, coverage, progress, rules or SnapshotRules())
        merge = new_merge(known, wait, max_records, max_bytes)
        super().__init__(hub, known, coverage, progress, states, merge, Watermark(wait))
        self.persistent = Persistent(known, coverage, progress, merge)
        self._processor = RecordProcessor(hub, known, coverage, progress, report, request_parent)
        self._preview = preview
        self._request_parent = request_parent
        # Topics that were created again since the last metadata: when that comes, all of them have been named.
        self._recreated: list[str] = []

    def ingest(self, event: LogEvent, now: int, steady: int | None = None) -> None:
        """Take in what the log says at the time `now` (ms since the epoch); what follows from it, `process` does.

        `steady` is the time, in milliseconds, of a clock that never steps, by which all waiting is measured; without
        it, `now` is taken for such a clock.
        """
        steady = now if steady is None else steady
        self._watermark.set_time(now, steady)
        progress, projections = self.progress, self.known.projections
        match event:
            case Unavailable():
                self._watermark.log_answers(False)
            case Available():
                self._watermark.log_answers(True)
            case Records():
                self._push(event, steady)
            case PollResult(batches):
                for batch in batches:
                    self._push(batch, steady)
            case LogMetadata():
                self._refresh(event, now)
            case Gap():
                self._merge.push_marker(*gap_item(event), steady)
            case TopicRecreated(topic, topic_id):
                self._merge.drop(topic)
                progress.leftovers.append(self.coverage.replaced(topic, topic_id))
                self._recreated.append(topic)
                progress.leftovers.append(projections.replaced(topic))
                if topic in TOPICS_OF_FACTS:
                    progress.leftovers.append(progress.change_rights(RightsChange(everybody=True)))
            case EpochsBegun(begun):
                self.cursor.epochs_begin(begun)
            case Truncated(partition, next_offset):
                # What only the lost records said stays known until it is said anew: nobody knows what was before.
                self._merge.truncate(partition, next_offset)
                if partition.topic == CHAT:
                    progress.leftovers.append(projections.chats.truncate(partition.number, next_offset))
                if partition.topic == HOLDS:
                    progress.leftovers.append(projections.holds.truncate(next_offset))
                progress.add_gap(partition.topic, Unrecoverable.TOPIC_RECREATED)
                progress.leftovers.append(self.coverage.truncated(partition, next_offset))

    def _push(self, batch: Records, steady: int) -> None:
        self.window.have_one_order = batch.source is None
        self._merge.push(batch.source, items_of(batch.records), batch.lag, steady)

    def _refresh(self, metadata: LogMetadata, now: int) -> None:
        extents, lags, at, troubles = metadata
        self.coverage.refreshed(extents, troubles)
        for topic in self._recreated:
            self.progress.add_gap(topic, Unrecoverable.TOPIC_RECREATED)
        self._recreated.clear()
        self._merge.lags(lags)
        self.progress.withheld = sum(trouble.withheld for trouble in troubles)
        blocked = {
            Partition(topic, number): _readable(extents[Partition(topic, number)], withheld)
            for topic, number, _, _, _, withheld, _ in of_kind(troubles, Hindrance.BLOCKED)
            if number is not None and Partition(topic, number) in extents
        }
        hidden = bool(of_kind(troubles, Hindrance.UNKNOWN, Hindrance.REFUSED))
        self._watermark.refreshed(now if at is None else min(at, now), blocked=blocked, hidden=hidden)

    def process(self, now: int, steady: int | None = None) -> Iterator[None]:
        """Process all records whose turn has come at the time `now` (ms since the epoch); `steady` is as of `ingest`.

        Yields after every few of them, and at the end, so that what was gathered can be written; and whenever something
        was missed, or rights have changed, so that those concerned can be informed (`gaps`, `rights_changes`) before
        anything that comes after it.
        """
        progress, leftovers, preview = self.progress, self.progress.leftovers, self._preview
        steady = now if steady is None else steady
        progress.now, progress.steady = now, steady
        self._watermark.set_time(now, steady)
        while self.window.expire(steady):
            yield
        yield from progress.finish()
        if progress.gaps or progress.rights_changes:
            yield
            yield from progress.read_snapshots()
        work = 0
        for record, event in () if self._must_see_more else self._merge.take(steady):
            if isinstance(event, Gap):
                self.coverage.skip(event)
                progress.add_gap(event.partition.topic, Unrecoverable.EXPIRED)
            elif event is not None:
                if preview is not None:
                    preview(record, event)
                work += self._processor.process(record, event)
                if leftovers:
                    work = 0
                    yield
                    yield from progress.finish()
            if work >= PROCESS_BATCH or progress.gaps or progress.rights_changes:
                work = 0
                yield
                yield from progress.read_snapshots()
        for parent in self._merge.awaited:
            self._request_parent(parent)
        if not progress.live and self.coverage.refreshes and not self._must_see_more and self._merge.caught_up:
            progress.live = True
        yield
        # Now it has been written, too.
        self._watermark.published(all=self._merge.caught_up, time=progress.time)

    @property
    def _must_see_more(self) -> bool:
        """Whether there is a part of the log without which nobody should be served, and no record be processed.

        Who has been live once goes on with the others.
        """
        return not self.live and bool(self.coverage.unseen)

    @property
    def paused(self) -> Collection[Source]:
        """The sources of which nothing more should be ingested for now; any thread may ask."""
        return self._merge.full

    def next_deadline_in(self, steady: int) -> float:
        """Return for how many seconds `process` need not be called if nothing is ingested; `steady` is as of that."""
        if self.progress.leftovers:
            return 0.0
        wake_at = self._merge.wake_at()
        return inf if wake_at is None else max(0.0, (wake_at - steady) / 1000)


def _readable(extent: OffsetRange, withheld: int) -> tuple[int, int]:
    """Return up to where a partition can be read from which so much is withheld, and where it ends."""
    return extent.end - withheld, extent.end
