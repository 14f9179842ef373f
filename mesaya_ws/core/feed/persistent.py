"""What of a feed outlives its process: what it knows, and the places in the log up to which it has processed it.

Checkpoints have that of what is known; the state store, of what was published as well.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from mesaya_ws.core.feed.checkpoint import NOT_IN_CHECKPOINTS, in_pieces
from mesaya_ws.core.feed.intake import Item
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.progress import Progress
from mesaya_ws.core.feed.uncommitted import Captured, Uncommitted
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Coverage, Cut
from mesaya_ws.core.recovery.position import EpochBegun, Offsets
from mesaya_ws.core.recovery.stored import Head, StoredState
from mesaya_ws.core.recovery.window_filling import fill
from mesaya_ws.core.state.interface import Changes
from mesaya_ws.core.state.tracking import Follower

ROW_ENTRIES = 4
"""How many entries of the history are as much work for the store as a row: it lies on a page of its own, and so does
what finds it, and until they are committed, such pages are memory."""

COPIED_PER_ENTRY = 4
"""How many publications in the copy of the window are as much work for the store as an entry: nothing finds them."""

PLACES = "places"
"""The table of the places that are given next (see `Projections.next_places`)."""


class Persistent:
    """Captures a feed between two steps, and restores it in another process, before that ingests anything.

    There is a state store if what was published has a history (see `coverage`).
    """

    def __init__(self, known: Known, coverage: Coverage, progress: Progress, merge: Merge[Item]) -> None:
        self._known = known
        self._coverage = coverage
        self._progress = progress
        self._merge = merge
        self._uncommitted = None if coverage.history is None else Uncommitted(known.follow_stored_rows())

    @property
    def uncommitted(self) -> int:
        """How much waits to be committed to the state store, in entries of the history; a row is as much as several."""
        history = self._coverage.history
        if history is None or self._uncommitted is None:
            return 0
        copied = -(-history.window_copy.pending // COPIED_PER_ENTRY)
        published = max(history.pending, copied)  # they have publications in common
        return published + ROW_ENTRIES * self._uncommitted.pending

    @property
    def needs_store(self) -> bool:
        """Whether there is anything that is known by the store alone: without it, nobody can go on."""
        return self._known.stored.view is not None and self._known.projections.is_on_disk

    def capture(self, follower: Follower | None = None) -> tuple[Cut, Iterator[list[Row]]]:
        """Return a place in the log, and what is known there, in pieces; process nothing before the last one.

        Of a `follower` (`follow_changes`), it is what has changed since that took something; then a row without a value
        is no more. The first pieces are empty when the feed `is_mid_record`, for that is brought to its end before.
        """
        known = self._known.rows() if follower is None else _changed_rows(follower)
        return self._coverage.cut(self._progress.reached).without(NOT_IN_CHECKPOINTS), chain(
            ([] for _ in self._progress.finish()), in_pieces(known)
        )

    def restore(
        self,
        cut: Cut,
        pieces: Iterable[list[Row]],
        window: Offsets | None = None,
        epochs: Iterable[EpochBegun] = (),
    ) -> Iterator[None]:
        """Begin at `cut`, with all that is known there; before anything is ingested.

        `window` is as of `Coverage.begin`; `epochs` are those before the places of the cut. Yields after every
        piece. Raises `CorruptCheckpointError`, and then nothing has changed.
        """
        yield from self._known.load(pieces)
        self._merge.expired_parents = self._known.expired_parents
        self._coverage.cursor.epochs_begin(epochs)
        self._coverage.begin(cut, window)
        self._progress.time = self._progress.reached = cut.time
        if self._uncommitted is not None:
            self._progress.leftovers.append(self._uncommitted.restart(self._known.stored_rows()))

    def capture_changes(self, now: int, steady: int) -> Captured | None:
        """Return what the state store is to commit next, as of where this stands; to be called between two steps.

        None while there is nothing that could be believed: before the first refresh, while what it has lost is being
        forgotten, and between the first record of a new topic and the refresh that shows the topic. `now` and `steady`
        are as of `ingest`.
        """
        history, unwritten, unsure = self._coverage.history, self._uncommitted, self._coverage.dependencies.unsure
        if (
            history is None
            or unwritten is None
            or self._progress.leftovers
            or self._progress.gaps
            or not self._coverage.refreshes
        ):
            return None
        if not self._coverage.cursor.has_found_all:
            return None
        history.mark(steady, unsure)
        window = history.window_copy.take(now - steady)
        head = Head(
            self._coverage.cut(self._progress.reached),
            history.current_barrier(unsure),
            self._coverage.has_read_lost,
            history.window_copy.floors(),
            self._coverage.cursor.epochs(CHAT),  # in which clients are sent places that lie days back
        )
        changes = Changes(
            head.value(),
            entries=history.take(),
            floors=dict(history.floors),
            # Neither a clock that jumps nor a record from the future makes anything old by itself.
            keep_since=history.retention.keep_since(min(now, self._progress.reached)),
            max_bytes=history.retention.max_bytes,
            anew=history.anew,
            entities_anew=unwritten.anew,
        )
        rows = {**unwritten.take(), PLACES: self._known.projections.next_places()}
        return Captured(changes, rows, self._known.projections.capture_cold(), window, history.generation)

    def changes_committed(
        self, captured: Captured, changes: Changes, floors: Mapping[Partition, int]
    ) -> Iterator[None]:
        """Take note that what was captured has been committed, as `changes`; yields after some of that.

        The store promises nothing before its `floors`; its view in `stored` is to be of that commit.
        """
        if self._coverage.history is not None and self._uncommitted is not None:
            self._coverage.history.committed(changes.entries, captured.generation, floors)
            self._coverage.history.window_copy.committed(captured.window, changes.window)
            self._uncommitted.committed()
        for cold in captured.cold:
            yield from cold.committed(changes.entities)

    def give_back_changes(self, captured: Captured) -> None:
        """Keep for the next commit what was captured and could not be committed."""
        if self._coverage.history is not None and self._uncommitted is not None:
            self._coverage.history.give_back(captured.changes.entries, captured.generation)
            self._uncommitted.give_back(captured.rows)

    def restart_changes(self) -> None:
        """Have all that is known written by a store that has nothing of it, or promises nothing; before `process`."""
        if self._coverage.history is not None and self._uncommitted is not None:
            self._coverage.history.restart()
            self._progress.leftovers.append(self._uncommitted.restart(self._known.stored_rows()))
            self._progress.interrupt()

    def resume_stored(
        self, stored: StoredState, pieces: Iterable[list[Row]], now: int, steady: int | None = None
    ) -> Iterator[None]:
        """Begin where a state store stands, with all rows that it has; before anything is ingested.

        The log is to be read on from there. `now` and `steady` are as of `ingest`. Yields after every piece. Raises
        `CorruptCheckpointError`, and then nothing has changed.
        """
        cut, history = stored.head.cut, self._coverage.history
        window = None if history is None or stored.window is None else stored.window
        yield from self.restore(cut, pieces, None if window is None else window.floors, stored.head.epochs)
        self._progress.leftovers.clear()
        if history is None or self._uncommitted is None:
            return
        if window is not None:
            steady = now if steady is None else steady
            yield from fill(self._coverage.window, history.window_copy, self._coverage, window, now, steady)
        self._uncommitted.stored()
        history.time = cut.time
        places = {at: place.next for at, place in cut.places.items()}
        history.begin(stored.serial, stored.floors, stored.barriers, stored.head.barrier, places)


def _changed_rows(follower: Follower) -> Iterator[Row]:
    for table, rows in follower.take().items():
        for id, value in rows.items():
            yield table, id, value
