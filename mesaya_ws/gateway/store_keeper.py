"""The state directory of one gateway: opened at the start, written now and then, read for those who come back.

    feed ──capture_changes──▶ commit, in a thread ──▶ store
    sessions ──▶ history ──read, in a thread──▶ pages of the store

A store that cannot be used is opened again and again; meanwhile the gateway goes on from memory, and says so.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

import trio
from attrs import evolve

from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, in_pieces
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.uncommitted import Captured
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.stored import StoredState, read_state
from mesaya_ws.core.state.interface import Changes, CorruptStateError, Size, StateError, StateView
from mesaya_ws.gateway.log_fit import fits_log
from mesaya_ws.gateway.opened_store import OpenedStore, StateLostError
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms, steady
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import SettingsError
from mesaya_ws.statestore.directory import StateFolder, StateInUseError, note_ready

log = get_logger(__name__)

FLUSH_SECONDS = 2.0
"""Seconds between two commits, or tries: the more is committed together, the less each record costs."""

FLUSH_ENTRIES = 20_000
"""Entries and rows after which it is time for a commit, however little time has passed."""

LOOK_SECONDS = 0.1
"""Seconds after which it is checked again whether it is time."""

ROOM_ENTRIES = 50_000
"""Entries and rows that may wait for a commit while the log's history is read; past that, the log waits."""

Answer = TypeVar("Answer")


class StoreKeeper:
    """The store of `feed` in `folder`, which is taken for the time of the context.

    Entering raises `SettingsError` when other processes have all folders of the directory. Where nothing can be
    written, that is tried again and again. Commits are `flush_interval` seconds apart, and it is checked every
    `check_interval` whether it is time; while the log's history is read, `max_waiting` entries may wait for one.
    """

    def __init__(
        self,
        folder: StateFolder,
        feed: Feed,
        metrics: Metrics,
        status: Status,
        *,
        flush_interval: float = FLUSH_SECONDS,
        check_interval: float = LOOK_SECONDS,
        max_waiting: int = ROOM_ENTRIES,
    ) -> None:
        self._flush_interval = flush_interval
        self._check_interval = check_interval
        self._max_waiting = max_waiting
        self._store = OpenedStore(folder, feed.known.stored, self._note_lost)
        self._feed = feed
        self._metrics = metrics
        self._status = status
        self._is_open = False
        # What the last commit said of its place: by that, the store is known again.
        self._head: bytes | None = None
        # What the last commit has written, in so many seconds, until rules see it there.
        self._unseen: tuple[Captured, Changes, float] | None = None
        self._writers, self._readers = trio.CapacityLimiter(1), trio.CapacityLimiter(1)
        self._tried, self._due = trio.Event(), trio.Event()
        self._tries_begun = self._tries_ended = 0
        self._alarm = Alarm(
            log,
            "the state directory cannot be used: what is published is kept in memory alone",
            "the state directory can be used again",
        )

    def __enter__(self) -> "StoreKeeper":
        try:
            self._store.take()
        except StateInUseError as error:
            raise SettingsError([f"STATE_DIR: {error}"]) from error
        except OSError as error:
            self._fail(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def _note_lost(self) -> None:
        self._due.set()

    @property
    def is_failing(self) -> bool:
        """Whether the store could not be used the last time."""
        return self._alarm.is_raised

    def open(self) -> None:
        """Open the store, for the first time. What cannot be opened is tried again later (`run`)."""
        try:
            self._open()
        except (StateError, StateInUseError, OSError) as error:
            self._fail(error)

    def _open(self) -> None:
        self._store.open(is_trial=not self._feed.live)
        self._is_open = True

    async def stored(self, event_log: EventLog, topics: Collection[str]) -> StoredState | None:
        """Return what the store has, as far as it is of the `topics`; None if that is not of use.

        Raises `LogUnavailableError`.
        """
        found = await self.read(lambda view: (view.head, read_state(view)))
        self._head, stored = (None, None) if found is None else found
        if stored is None:
            return None
        head = stored.head
        places = {at: place for at, place in head.cut.places.items() if at.topic in topics}
        if head.has_read_lost:
            self._discard("The log has lost records that it knows.")
        elif not await fits_log(event_log, places):
            self._discard("The log is another one.")
        else:
            return evolve(stored, head=evolve(head, cut=evolve(head.cut, places=places)))
        return None

    async def resume(self, stored: StoredState) -> bool:
        """Have the feed go on where the store stands; return whether that was possible."""
        try:
            self._store.pin()
            for _ in self._feed.persistent.resume_stored(stored, in_pieces(iter(stored.rows)), now_ms(), steady()):
                await trio.lowlevel.checkpoint()
        except (CorruptCheckpointError, StateError) as error:
            self._store.unpin()
            self._discard(f"The state holds what cannot be understood: {error}.")
            return False
        log.info("goes on with what is on disk", rows=len(stored.rows), publications=stored.serial)
        return True

    def _discard(self, reason: str) -> None:
        """Set the store aside when it is opened next."""
        self._store.damage, self._head = reason, None
        self._is_open = False

    def note_ready(self) -> None:
        """Note that the gateway has become ready with what is in the store."""
        with suppress(OSError, StateInUseError):
            note_ready(self._store.take())

    async def run(self) -> None:
        """Commit what the feed has made of the log, for ever. Raises `StateLostError`."""
        tried_at = trio.current_time()
        while True:
            with trio.move_on_after(self._check_interval):
                await self._due.wait()
                if self.is_failing:
                    await trio.sleep_forever()
            if self._store.lost is not None:
                raise StateLostError(self._store.lost)
            waited = trio.current_time() - tried_at
            is_due = self._due.is_set() or self._feed.persistent.uncommitted >= FLUSH_ENTRIES
            if waited < self._flush_interval and (self.is_failing or not is_due):
                continue
            self._due = trio.Event()
            self._tries_begun += 1
            try:
                await self._flush()
            except (StateError, StateInUseError, OSError) as error:
                self._fail(error)
            self._tries_ended += 1
            self._tried.set()
            self._tried = trio.Event()
            tried_at = trio.current_time()

    async def make_room(self) -> None:
        """Wait until what is read of the log's history can be committed in time; unless it cannot be at all."""
        while self._feed.persistent.uncommitted >= self._max_waiting and not self._feed.live and not self.is_failing:
            await self.next_try()

    async def commit_now(self) -> None:
        """Have all committed that is pending, and return when that has been tried; if it fails, not too often.

        A try that is under way may have captured its changes before; so it is the one after it that counts.
        """
        self._due.set()
        begun = self._tries_begun
        while self._tries_ended <= begun:
            await self.next_try()

    async def next_try(self) -> None:
        """Return after the next try to commit, whether it has failed or not."""
        await self._tried.wait()

    async def _flush(self) -> None:
        """Commit what is pending; open the store before, if it is not. Raises `StateError` and `OSError`."""
        if not self._is_open:
            if self._feed.persistent.needs_store:
                if not self._store.is_in_place:
                    await self._in_thread(self._store.copy, self._writers)
                    # Not in a thread: nobody may look meanwhile, and it takes a few milliseconds.
                    self._store.take_up_copy()
                self._is_open = True
            else:
                self._store.unpin()
                head = await self._in_thread(self._reopen, self._writers)
                if self._head is not None and head != self._head:
                    # Another store than the one that was written, or one that is ahead of what is known of it.
                    self._feed.persistent.restart_changes()
                    self._unseen = None
        if self._unseen is not None:
            await self._see(*self._unseen)
        captured = self._feed.persistent.capture_changes(now_ms(), steady())
        if captured is None:
            return
        began = trio.current_time()
        try:
            changes = await self._in_thread(partial(self._commit, captured), self._writers)
        except BaseException:
            self._feed.persistent.give_back_changes(captured)
            raise
        # It is on disk, whatever fails from here on: given back, it would be written twice.
        self._head, self._unseen = captured.changes.head, (captured, changes, trio.current_time() - began)
        await self._see(*self._unseen)

    async def _see(self, captured: Captured, changes: Changes, seconds: float) -> None:
        """Have rules see what was committed, and memory let go. Raises `StateError`, and then that is still due."""
        size, floors = await self._in_thread(partial(self._look, _size), self._writers)
        self._store.pin()
        self._unseen = None
        self._metrics.note_state(size, seconds)
        self._metrics.entity_reads, self._metrics.entity_hits = self._store.entity_reads, self._feed.known.stored.hits
        for _ in self._feed.persistent.changes_committed(captured, changes, floors):
            await trio.lowlevel.checkpoint()
        self._alarm.clear()
        self._status.state = None

    def _reopen(self) -> bytes | None:
        self._open()
        with self._store.opened.view() as view:
            return view.head

    def _commit(self, captured: Captured) -> Changes:
        changes = captured.encoded()
        self._store.opened.commit(changes)
        return changes

    def _fail(self, error: Exception) -> None:
        """Go on without the store until it can be opened again; what is damaged is set aside then."""
        self._is_open = False
        if isinstance(error, CorruptStateError):
            if self._feed.persistent.needs_store:
                self._store.lost = str(error)
            self._store.damage = str(error)
        self._metrics.state_failures += 1
        self._status.state = str(error)
        self._alarm.set(reason=str(error))

    async def read(self, look: Callable[[StateView], Answer]) -> Answer | None:
        """Return what `look` finds in the store, in a thread; None if that cannot be read."""
        if not self._is_open:
            return None
        self._metrics.state_reads += 1
        try:
            return await self._in_thread(partial(self._look, look), self._readers)
        except StateError as error:
            self._fail(error)
            return None

    def _look(self, look: Callable[[StateView], Answer]) -> Answer:
        with self._store.opened.view() as view:
            return look(view)

    async def _in_thread(self, job: Callable[[], Answer], limiter: trio.CapacityLimiter) -> Answer:
        # What has begun is ended: a commit is never left behind, and no view is open when the store is closed.
        return await trio.to_thread.run_sync(job, limiter=limiter, abandon_on_cancel=False)


def _size(view: StateView) -> tuple[Size, Mapping[Partition, int]]:
    return view.size(), view.floors
