"""Checkpoints: restored at the start, so that the log is read from the newest one on, and written now and then.

All instances write to one topic, without a leader. Each of them repeats:

1. capture, between two turns of the feed, all that is known; or, after a checkpoint that this instance has written or
   begun with, and that is still the newest, what has changed;
2. wait for the window's time and some jitter: the checkpoint must be older than the window, so that an instance that
   starts from it reads everything that its window holds, and ends up as one that has read the whole log;
3. read what others have written meanwhile;
4. write the checkpoint, unless another instance has written a newer one since 1, or the newest one knows records that
   this instance has missed by retention; and delete what neither it nor the one before it is made of;
5. rest until the last writer has missed its turn; the last writer itself does not rest.

So keeping checkpoints costs what changes. All that is known is written by who takes over from an instance with which it
has not begun, where what has changed is as much as all that is known (`checkpoint_topic.is_full`), and once a day.

No time of day decides anything: a checkpoint's age is how long this instance has known it, and it is newer than another
one if it is further in the log. So a checkpoint that was written with a wrong clock stops nobody.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from math import inf

import attrs
import trio

from mesaya_ws.core.feed.batch_rows import rows_of
from mesaya_ws.core.feed.changelog import FORMER, Mark
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import BEGINNING, Partition, PartitionPosition
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.eventlog.availability import when_available
from mesaya_ws.gateway.checkpoint_capture import MOST_CHANGED, CheckpointCapture, is_newest
from mesaya_ws.gateway.checkpoint_topic import PAGE, Checkpoint, CheckpointTopic
from mesaya_ws.gateway.log_fit import fits_log
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings, followed

log = get_logger(__name__)

LEAST_INTERVAL = 1.0
"""Seconds between two checkpoints, if WINDOW_SECONDS is less."""


class Checkpoints:
    """The checkpoints of `feed`, in `checkpoint_log`, which holds only CHECKPOINT_TOPIC."""

    def __init__(
        self,
        checkpoint_log: EventLog,
        event_log: EventLog,
        feed: Feed,
        settings: Settings,
        metrics: Metrics,
        *,
        time_ms: Callable[[], int] = now_ms,
        max_changes: int = MOST_CHANGED,
        page: int = PAGE,
    ) -> None:
        self._topic = CheckpointTopic(checkpoint_log, settings.checkpoint_topic, page=page)
        self._time_ms = time_ms
        self._event_log = event_log
        self._feed = feed
        self._followed = frozenset(followed(settings))
        self._interval = max(settings.window_seconds, LEAST_INTERVAL)
        self._metrics = metrics
        self._capture = CheckpointCapture(feed, self._topic, time_ms, max_changes)
        self._failing = Alarm(log, "no checkpoint can be written")
        self._outdone = Alarm(
            log,
            "no checkpoint is written: this instance lacks records that the log has dropped, or has read some that the "
            "log has lost, and no other has written one; whoever starts begins with the one that is kept",
            "checkpoints are written again",
        )
        # By id, when each known checkpoint was captured or first seen here (of the monotonic clock).
        self._since: dict[str, float] = {}

    async def restore(self, deliver: Callable[[LogEvent], Awaitable[None]]) -> Mapping[Partition, PartitionPosition]:
        """Restore the feed from the newest checkpoint that fits the log, if there is one; return where to read on.

        It waits for a log that does not answer, with the events of an outage to `deliver`: an instance that started
        without an existing checkpoint would know less, and might overwrite it.
        """
        return await when_available(self._restore, deliver)

    async def _restore(self) -> Mapping[Partition, PartitionPosition]:
        start = await self._restore_newest()
        self._topic.changelog.forget_contents()
        # Checkpoints of before the start count as old.
        self._note(-inf)
        return start

    async def _restore_newest(self) -> Mapping[Partition, PartitionPosition]:
        await self._topic.read_on()
        for mark in self._topic.changelog.whole():
            places = {at: place for at, place in mark.cut.places.items() if at.topic in self._followed}
            if not await self._is_of_use(places):
                log.warning("a checkpoint is of no use: the log is another one", checkpoint=mark.id)
            elif await self._load(mark, attrs.evolve(mark.cut, places=places)):
                return places
        for mark in self._topic.changelog.foreign.values():
            log.info(
                "a checkpoint of another version cannot be read: the log is read from its beginning, once",
                checkpoint=mark.id,
                format=mark.format,
            )
            break
        return BEGINNING

    async def _load(self, mark: Mark, cut: Cut) -> bool:
        """Restore the feed from a checkpoint; return whether that was possible."""
        changelog = self._topic.changelog
        chain = changelog.chain(mark)
        batches = [[part.content or b"" for part in changelog.parts(each)] for each in chain]
        try:
            for _ in self._feed.persistent.restore(cut, rows_of(batches)):
                await trio.lowlevel.checkpoint()
        except CorruptCheckpointError as error:
            log.warning("a checkpoint is of no use: it is damaged", checkpoint=mark.id, reason=str(error))
            return False
        rows = sum(each.rows for each in chain)
        log.info("restored from a checkpoint", checkpoint=mark.id, rows=rows, batches=len(chain), age=self._age(mark))
        if mark.format != FORMER:  # rows of before did not say their places
            self._capture.begin_after(mark)
        return True

    async def capture(self) -> None:
        """Copy what is known, or what of it has changed, if a checkpoint is due; see `CheckpointCapture.capture`."""
        await self._capture.capture()

    async def run(self) -> None:
        """Write checkpoints until cancelled; after an error, try again."""
        while True:
            try:
                await self._write_next()
            except (LogUnavailableError, RecordRejectedError) as error:
                self._metrics.checkpoint_failures += 1
                self._failing.set(reason=str(error))
                await trio.sleep(self._interval)
            else:
                self._failing.clear()

    async def _write_next(self) -> None:
        """Capture a checkpoint, and write it once it is old enough, unless another instance has done so."""
        checkpoint, since = await self._capture.request()
        is_written = False
        try:
            await trio.sleep(self._interval * _jitter())
            await self._read_new()
            if await self._is_due(checkpoint, since):
                before = self._topic.changelog.newest()
                mark = await self._topic.write(checkpoint, self._capture.after)
                is_written, self._capture.after = True, mark
                self._since[mark.id] = since
                log.debug("checkpoint written", checkpoint=mark.id, rows=mark.rows, after=len(mark.after))
                await self._read_new()
                await self._topic.delete_others([mark] if before is None else [mark, before])
                await self._read_new()
        except CorruptCheckpointError as error:
            log.warning("a checkpoint cannot be continued: it is damaged", reason=str(error))
            self._capture.stop_following()
        finally:
            if not is_written:
                self._capture.give_back(checkpoint)
        while (seconds := self._rest()) > 0:
            await trio.sleep(seconds)
            await self._read_new()

    async def _read_new(self) -> None:
        """Read what has been written meanwhile."""
        await self._topic.look()
        self._note(trio.current_time())

    def _note(self, now: float) -> None:
        """Note the complete checkpoints and their ages, and the newest one in the metrics."""
        whole = self._topic.changelog.whole()
        self._since = {mark.id: self._since.get(mark.id, now) for mark in whole}
        for newest in whole[:1]:
            rows = sum(each.rows for each in self._topic.changelog.chain(newest))
            self._metrics.note_checkpoint(newest.id, newest.taken / 1000, rows)

    def _rest(self) -> float:
        """Return for how many seconds to leave the turn to the last writer: until it has missed one."""
        newest = self._topic.changelog.newest()
        if newest is None or self._topic.wrote(newest):
            return 0.0
        return max(0.0, self._since[newest.id] + self._interval * (2 + _jitter()) - trio.current_time())

    async def _is_due(self, checkpoint: Checkpoint, since: float) -> bool:
        """Return whether a checkpoint says more than the newest one, and none was written after `since`.

        What has changed after a checkpoint says nothing without it.
        """
        newest = self._topic.changelog.newest()
        if newest is not None and self._since[newest.id] > since:
            self._outdone.clear()
            return False
        if (after := self._capture.after) is not None and not is_newest(self._topic.changelog, after):
            return False
        if await self._may_replace(checkpoint, newest):
            self._outdone.clear()
            return True
        if newest is None or checkpoint.cut.places != newest.cut.places:
            self._outdone.set(checkpoint=None if newest is None else newest.id)
        return False

    async def _may_replace(self, checkpoint: Checkpoint, newest: Mark | None) -> bool:
        """Return whether a checkpoint says more than the newest one, or that one is of no use."""
        if self._feed.coverage.has_read_lost:
            # It contains what only the lost records said; instances that start from it would keep that.
            return False
        if newest is None or checkpoint.cut.says_more_than(newest.cut):
            return True
        if checkpoint.cut.places == newest.cut.places:
            return False
        if not await self._is_of_use(newest.cut.places):
            return True
        # A checkpoint that knows records missed here is kept, while retention has removed nothing after it.
        extents = await self._event_log.extents(skip_refused=True)
        return checkpoint.cut.with_gaps(extents).says_more_than(newest.cut.with_gaps(extents))

    async def _is_of_use(self, places: Mapping[Partition, PartitionPosition]) -> bool:
        """Return whether the log still is the one that was read up to `places`; missing partitions do not count."""
        return await fits_log(
            self._event_log, {at: place for at, place in places.items() if at.topic in self._followed}
        )

    def _age(self, mark: Mark) -> float:
        """Return how many seconds ago a checkpoint was captured, if all clocks are right."""
        return round((self._time_ms() - mark.taken) / 1000, 1)


def _jitter() -> float:
    """Return a random factor, so that one of several instances is the first."""
    return random.uniform(1.0, 1.25)  # noqa: S311 - no secret
