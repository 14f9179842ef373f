"""From the log to the channels: the records in their one order, decoded, and published as frames.

The feed is the moving window over the log. Everything here is decided without waiting: whoever owns the feed passes it
what the log says (`ingest`), lets it work (`process`), and writes what the hub has gathered in between.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from math import inf

from mesaya_ws.core.access.rights_changes import TOPICS_OF_FACTS, RightsChange
from mesaya_ws.core.feed.checkpoint import NOT_IN_CHECKPOINTS, CorruptCheckpointError, in_pieces
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.feed.intake import gap_item, items_of, merges
from mesaya_ws.core.feed.known import EXPIRED_PARENTS
from mesaya_ws.core.feed.record_processor import RecordProcessor
from mesaya_ws.core.feed.uncommitted import Captured
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
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.projection_rows import load_row
from mesaya_ws.core.platform.rows import Row, integer_in
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.stored import Head, StoredState
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.recovery.window_filling import fill
from mesaya_ws.core.state.interface import Changes
from mesaya_ws.core.state.tracking import Follower, TrackedKeys
from mesaya_ws.core.views.contents import SnapshotRules

PROCESS_BATCH = 50
"""The work of one step, in records of less than a KiB (see `weight`): at some 30 µs each, that is 1.5 ms; on a machine
that is crowded, 5. The record that exceeds it is still processed, and may take 10 ms by itself."""

INGEST_BATCH = 100
"""Records (by their `weight`) that should be ingested in one step: they are only put in order, but for large ones."""


PLACES = "places"
"""The table of the places that are given next (see `Projections.next_places`)."""


class Feed(RecordProcessor):
    """What the log says up to now, and its publication to the hub.

    `report` is called with every record and what became of it; `request_parent`, again and again, with the parents of
    records that are not known, as `<entity>:<id>`. Of each source, `max_records` and `max_bytes` may wait for the
    others, and a few more; then it is `paused`. A record waits for its parent up to `parent_timeout` seconds.
    Snapshots follow the `rules`. Settled reservations and payments are kept for so many days (see `settled`).

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
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
        retention: Retention | None = None,
        rules: SnapshotRules | None = None,
        keep_settled_days: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        new_merge = merges(round(parent_timeout * 1000), max_records, max_bytes)
        watermark = Watermark(round(parent_timeout * 1000))
        super().__init__(
            hub,
            window,
            watermark,
            new_merge,
            report,
            request_parent,
            retention,
            rules,
            keep_settled_days,
            cache_bytes,
        )
        # Topics that were created again since the last metadata: when that comes, all of them have been named.
        self._recreated: list[str] = []

    def capture(self, follower: Follower | None = None) -> tuple[Cut, Iterator[list[Row]]]:
        """Return a place in the log, and what is known there, in pieces; process nothing before the last one.

        Of a `follower` (`follow_changes`), it is what has changed since that took something; then a row without a value
        is no more. The first pieces are empty when the feed `is_mid_record`, for that is brought to its end before.
        """
        known = self._rows() if follower is None else _changed_rows(follower)
        return self.coverage.cut(self.time).without(NOT_IN_CHECKPOINTS), chain(
            ([] for _ in self._finish()), in_pieces(known)
        )

    def restore(self, cut: Cut, pieces: Iterable[list[Row]], window: Offsets | None = None) -> Iterator[None]:
        """Begin at `cut`, with all that is known there; before anything is ingested.

        `window` is as of `Coverage.begin`. Yields after every piece. Raises `CorruptCheckpointError`, and then nothing
        has changed.
        """
        projections = self._new_projections()
        merge = self._new_merge(projections)
        merge.expired_parents = expired = TrackedKeys(self._tracking.table(EXPIRED_PARENTS))
        with self._tracking.paused():
            for piece in pieces:
                for table, id, value in piece:
                    try:
                        if table == EXPIRED_PARENTS:
                            expired.load(id, None if value is None else integer_in(value))
                        else:
                            load_row(projections, table, id, value)
                    except ValueError as error:
                        raise CorruptCheckpointError(str(error)) from error
                yield
        self._projections, self._merge = projections, merge
        self.coverage.begin(cut, window)
        self.time = cut.time
        if self._uncommitted is not None:
            self._leftovers.append(self._uncommitted.restart(self._stored_rows()))

    def capture_changes(self, now: int, steady: int) -> Captured | None:
        """Return what the state store is to commit next, as of where this stands; to be called between two steps.

        None while there is nothing that could be believed: before the first refresh, while what it has lost is being
        forgotten, and between the first record of a new topic and the refresh that shows the topic. `now` and `steady`
        are as of `ingest`.
        """
        history, unwritten, unsure = self.history, self._uncommitted, self.coverage.dependencies.unsure
        if history is None or unwritten is None or self._leftovers or self.gaps or not self.coverage.refreshes:
            return None
        if not self.cursor.has_found_all:
            return None
        history.mark(steady, unsure)
        window = history.window_copy.take(now - steady)
        head = Head(
            self.coverage.cut(self.time),
            history.current_barrier(unsure),
            self.coverage.has_read_lost,
            history.window_copy.floors(),
        )
        changes = Changes(
            head.value(),
            entries=history.take(),
            floors=dict(history.floors),
            # Neither a clock that jumps nor a record from the future makes anything old by itself.
            keep_since=history.retention.keep_since(min(now, self.time)),
            max_bytes=history.retention.max_bytes,
            anew=history.anew,
            entities_anew=unwritten.anew,
        )
        rows = {**unwritten.take(), PLACES: self._projections.next_places()}
        return Captured(changes, rows, self._projections.capture_cold(), window, history.generation)

    def changes_committed(
        self, captured: Captured, changes: Changes, floors: Mapping[Partition, int]
    ) -> Iterator[None]:
        """Take note that what was captured has been committed, as `changes`; yields after some of that.

        The store promises nothing before its `floors`; its view in `stored` is to be of that commit.
        """
        if self.history is not None and self._uncommitted is not None:
            self.history.committed(changes.entries, captured.generation, floors)
            self.history.window_copy.committed(captured.window, changes.window)
            self._uncommitted.committed()
        for cold in captured.cold:
            yield from cold.committed(changes.entities)

    @property
    def needs_store(self) -> bool:
        """Whether there is anything that is known by the store alone: without it, nobody can go on."""
        return self.stored.view is not None and self._projections.is_on_disk

    def give_back_changes(self, captured: Captured) -> None:
        """Keep for the next commit what was captured and could not be committed."""
        if self.history is not None and self._uncommitted is not None:
            self.history.give_back(captured.changes.entries, captured.generation)
            self._uncommitted.give_back(captured.rows)

    def restart_changes(self) -> None:
        """Have all that is known written by a store that has nothing of it, or promises nothing; before `process`."""
        if self.history is not None and self._uncommitted is not None:
            self.history.restart()
            self._leftovers.append(self._uncommitted.restart(self._stored_rows()))

    def resume_stored(
        self, stored: StoredState, pieces: Iterable[list[Row]], now: int, steady: int | None = None
    ) -> Iterator[None]:
        """Begin where a state store stands, with all rows that it has; before anything is ingested.

        The log is to be read on from there. `now` and `steady` are as of `ingest`. Yields after every piece. Raises
        `CorruptCheckpointError`, and then nothing has changed.
        """
        cut, history = stored.head.cut, self.history
        window = None if history is None or stored.window is None else stored.window
        yield from self.restore(cut, pieces, None if window is None else window.floors)
        self._leftovers.clear()
        if history is None or self._uncommitted is None:
            return
        if window is not None:
            steady = now if steady is None else steady
            yield from fill(self.window, history.window_copy, self.coverage, window, now, steady)
        self._uncommitted.stored()
        history.time = cut.time
        places = {at: place.next for at, place in cut.places.items()}
        history.begin(stored.serial, stored.floors, stored.barriers, stored.head.barrier, places)

    def ingest(self, event: LogEvent, now: int, steady: int | None = None) -> None:
        """Take in what the log says at the time `now` (ms since the epoch); what follows from it, `process` does.

        `steady` is the time, in milliseconds, of a clock that never steps, by which all waiting is measured; without
        it, `now` is taken for such a clock.
        """
        steady = now if steady is None else steady
        self._watermark.set_time(now, steady)
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
                self._leftovers.append(self.coverage.replaced(topic, topic_id))
                self._recreated.append(topic)
                self._leftovers.append(self._projections.replaced(topic))
                if topic in TOPICS_OF_FACTS:
                    self._leftovers.append(self._change_rights(RightsChange(everybody=True)))
            case EpochsBegun(begun):
                self.cursor.epochs_begin(begun)
            case Truncated(partition, next_offset):
                # What only the lost records said stays known until it is said anew: nobody knows what was before.
                self._merge.truncate(partition, next_offset)
                if partition.topic == CHAT:
                    self._leftovers.append(self._projections.chats.truncate(partition.number, next_offset))
                if partition.topic == HOLDS:
                    self._projections.holds.truncate(next_offset)
                self._add_gap(partition.topic, Unrecoverable.TOPIC_RECREATED)
                self._leftovers.append(self.coverage.truncated(partition, next_offset))

    def _push(self, batch: Records, steady: int) -> None:
        self.window.have_one_order = batch.source is None
        self._merge.push(batch.source, items_of(batch.records), batch.lag, steady)

    def _refresh(self, metadata: LogMetadata, now: int) -> None:
        extents, lags, at, troubles = metadata
        self.coverage.refreshed(extents, troubles)
        for topic in self._recreated:
            self._add_gap(topic, Unrecoverable.TOPIC_RECREATED)
        self._recreated.clear()
        self._merge.lags(lags)
        self._withheld = sum(trouble.withheld for trouble in troubles)
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
        steady = now if steady is None else steady
        self._now, self._steady = now, steady
        self._watermark.set_time(now, steady)
        while self.window.expire(steady):
            yield
        yield from self._finish()
        if self.gaps or self.rights_changes:
            yield
            yield from self._read_snapshots()
        work = 0
        for record, event in () if self._must_see_more else self._merge.take(steady):
            if isinstance(event, Gap):
                self.coverage.skip(event)
                self._add_gap(event.partition.topic, Unrecoverable.EXPIRED)
            elif event is not None:
                work += self._process(record, event)
                if self._leftovers:
                    work = 0
                    yield
                    yield from self._finish()
            if work >= PROCESS_BATCH or self.gaps or self.rights_changes:
                work = 0
                yield
                yield from self._read_snapshots()
        for parent in self._merge.awaited:
            self._request_parent(parent)
        if not self.live and self.coverage.refreshes and not self._must_see_more and self._merge.caught_up:
            self.live = True
        yield
        # Now it has been written, too.
        self._watermark.published(all=self._merge.caught_up, time=self.time)

    def _finish(self) -> Iterator[None]:
        """Bring to its end what has been begun; yields often, and may be let go of in between."""
        yield from self._read_snapshots()
        while self._leftovers:
            # Not `yield from`: who lets go of us in between would end it, too, with much still to be done.
            for _ in self._leftovers[0]:
                yield
            self._leftovers.popleft()

    @property
    def _must_see_more(self) -> bool:
        """Whether there is a part of the log without which nobody should be served, and no record be processed.

        Who has been live once goes on with the others.
        """
        return not self.live and bool(self.coverage.unseen)

    def _add_gap(self, topic: str, reason: Unrecoverable) -> None:
        if self.live:
            self.gaps.append((topic, reason))

    @property
    def paused(self) -> Collection[Source]:
        """The sources of which nothing more should be ingested for now; any thread may ask."""
        return self._merge.full

    def next_deadline_in(self, steady: int) -> float:
        """Return for how many seconds `process` need not be called if nothing is ingested; `steady` is as of that."""
        wake_at = self._merge.wake_at()
        return inf if wake_at is None else max(0.0, (wake_at - steady) / 1000)


def _readable(extent: OffsetRange, withheld: int) -> tuple[int, int]:
    """Return up to where a partition can be read from which so much is withheld, and where it ends."""
    return extent.end - withheld, extent.end


def _changed_rows(follower: Follower) -> Iterator[Row]:
    for table, rows in follower.take().items():
        for id, value in rows.items():
            yield table, id, value
