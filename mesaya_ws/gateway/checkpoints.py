"""Checkpoints: read at the start, so that the log is read from the newest one on; written now and then.

A checkpoint is written when it is older than the window. So an instance that starts from it reads all that its window
is to hold; and what it shows then is what an instance shows that has read the whole log.

One that has missed what retention removed does not take the place of one that knows it and still fits the log.

No clock of the day decides who writes, and when: a checkpoint is as old as it has been here, and newer than another
one if it is further in the log. So one that was written where a clock was wrong stops nobody.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from math import inf

import attrs
import trio

from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, Marker, pack, unpack
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import BEGINNING, OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.platform.projections import Row
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.eventlog.availability import Availability
from mesaya_ws.gateway.state_topic import Checkpoint, StateTopic
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings, followed

log = get_logger(__name__)

LEAST_INTERVAL = 1.0
"""Seconds between two checkpoints, if WINDOW_SECONDS is less."""

RETRY_INTERVAL = 0.5
"""Seconds between two tries to read a log that does not answer."""


class Checkpoints:
    """The checkpoints of `feed`, in `state_log`, which holds the state topic and nothing else."""

    def __init__(
        self, state_log: EventLog, event_log: EventLog, feed: Feed, settings: Settings, metrics: Metrics
    ) -> None:
        self._state = StateTopic(state_log, settings.checkpoint_topic)
        self._event_log = event_log
        self._feed = feed
        self._topics = frozenset(followed(settings))
        self._interval = max(settings.window_seconds, LEAST_INTERVAL)
        self._metrics = metrics
        self._asking: trio.MemorySendChannel[tuple[Cut, list[list[Row]]]] | None = None
        self._failing = Alarm(log, "no checkpoint can be written")
        self._outdone = Alarm(
            log,
            "no checkpoint is written: this instance lacks records that the log has dropped, or has read some that the "
            "log has lost, and no other has written one; whoever starts begins with the one that is kept",
            "checkpoints are written again",
        )
        # When those that are known, by their ids, had been taken, or were seen here (of the clock that nobody sets).
        self._since: dict[str, float] = {}

    async def restore(self, report: Callable[[LogEvent], Awaitable[None]]) -> Mapping[Partition, PartitionPosition]:
        """Set the feed to the newest checkpoint that fits the log, if there is one; return where it goes on.

        A log that does not answer is waited for, which goes to `report`: who began without a checkpoint that is there
        would know less than it does, and would write that over it.
        """
        availability = Availability()
        while True:
            try:
                start = await self._restore()
                break
            except LogUnavailableError as error:
                for event in availability.changes(str(error)):
                    await report(event)
                await trio.sleep(RETRY_INTERVAL)
        self._state.slots.forget_parts()
        # What was there before has had its time.
        self._note(-inf)
        for event in availability.changes(None):
            await report(event)
        return start

    async def _restore(self) -> Mapping[Partition, PartitionPosition]:
        await self._state.read_on()
        for marker in self._state.slots.whole():
            places = {at: place for at, place in marker.cut.places.items() if at.topic in self._topics}
            if not await self._is_of_use(places):
                log.warning("a checkpoint is of no use: the log is another one", checkpoint=marker.id)
            elif await self._load(marker, attrs.evolve(marker.cut, places=places)):
                return places
        for marker in self._state.slots.foreign.values():
            log.info(
                "a checkpoint of another version cannot be read: the log is read from its beginning, once",
                checkpoint=marker.id,
                format=marker.format,
            )
            break
        return BEGINNING

    async def _load(self, marker: Marker, cut: Cut) -> bool:
        """Set the feed to a checkpoint; say whether that was possible."""
        try:
            for _ in self._feed.restore(cut, unpack(self._state.slots.parts(marker))):
                await trio.lowlevel.checkpoint()
        except CorruptCheckpointError as error:
            log.warning("a checkpoint is of no use: it is damaged", checkpoint=marker.id, reason=str(error))
            return False
        log.info("restored from a checkpoint", checkpoint=marker.id, rows=marker.rows, age=_age(marker))
        return True

    async def capture(self) -> None:
        """Copy what is known, if it is time for that. To be called between two turns of the feed, which wait for it.

        It takes some 0.3 µs for each entity.
        """
        if self._asking is None:
            return
        asking, self._asking = self._asking, None
        cut, rest = self._feed.capture()
        pieces = []
        for piece in rest:
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        asking.send_nowait((cut, pieces))

    async def run(self) -> None:
        """Write checkpoints, for ever; what fails is tried again."""
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
        """Take a checkpoint, and write it when it has become old enough; unless another instance does so."""
        checkpoint, since = await self._take()
        await trio.sleep(self._interval * _jitter())
        await self._look()
        if await self._is_due(checkpoint, since):
            marker = await self._state.write(checkpoint)
            self._since[marker.id] = since
            log.debug("checkpoint written", checkpoint=marker.id, rows=marker.rows, parts=marker.parts)
            await self._look()
        while (seconds := self._rest()) > 0:
            await trio.sleep(seconds)
            await self._look()

    async def _look(self) -> None:
        """See what has been written meanwhile."""
        await self._state.look()
        self._note(trio.current_time())

    def _note(self, now: float) -> None:
        """Take note of the checkpoints that are there, and enter the newest one into the books."""
        whole = self._state.slots.whole()
        self._since = {marker.id: self._since.get(marker.id, now) for marker in whole}
        for newest in whole[:1]:
            self._metrics.note_checkpoint(newest.id, newest.taken / 1000, newest.rows)

    async def _take(self) -> tuple[Checkpoint, float]:
        """Have the feed's owner call `capture`, and pack what comes of it; return it, and when that was."""
        self._asking, answer = trio.open_memory_channel[tuple[Cut, list[list[Row]]]](1)
        cut, pieces = await answer.receive()
        since, taken, rows, parts = trio.current_time(), now_ms(), sum(map(len, pieces)), []
        for part in pack(pieces):
            if part:
                parts.append(part)
            await trio.lowlevel.checkpoint()
        return Checkpoint(taken, cut, rows, parts), since

    def _rest(self) -> float:
        """Return for how many seconds it is somebody else's turn: of whoever wrote last, until it has missed one."""
        newest = self._state.slots.newest()
        if newest is None or self._state.wrote(newest):
            return 0.0
        return max(0.0, self._since[newest.id] + self._interval * (2 + _jitter()) - trio.current_time())

    async def _is_due(self, checkpoint: Checkpoint, since: float) -> bool:
        """Return whether a checkpoint says more than the newest one, and none has come that was seen after `since`."""
        newest = self._state.slots.newest()
        if newest is not None and self._since[newest.id] > since:
            self._outdone.clear()
            return False
        if await self._may_replace(checkpoint, newest):
            self._outdone.clear()
            return True
        if newest is None or checkpoint.cut.places != newest.cut.places:
            self._outdone.set(checkpoint=None if newest is None else newest.id)
        return False

    async def _may_replace(self, checkpoint: Checkpoint, newest: Marker | None) -> bool:
        """Return whether a checkpoint says more than the newest one, or that one is of no use."""
        if self._feed.coverage.has_read_lost:
            # Whoever began with it would know for ever what only they had said.
            return False
        if newest is None or checkpoint.cut.says_more_than(newest.cut):
            return True
        if checkpoint.cut.places == newest.cut.places:
            return False
        if not await self._is_of_use(newest.cut.places):
            return True
        # One that knows what was missed here is kept, for as long as whoever begins with it misses nothing after it.
        extents = await self._event_log.extents(skip_refused=True)
        return checkpoint.cut.with_gaps(extents).says_more_than(newest.cut.with_gaps(extents))

    async def _is_of_use(self, places: Mapping[Partition, PartitionPosition]) -> bool:
        """Return whether the log is the one that had been read up to `places`; what is not there says nothing."""
        extents = await self._event_log.extents(skip_refused=True)
        ours = {at: place for at, place in places.items() if at.topic in self._topics}
        return _fits(ours, extents) and not await self._event_log.lost_ends(ours)


def _fits(places: Mapping[Partition, PartitionPosition], extents: Mapping[Partition, OffsetRange]) -> bool:
    """Return whether the log is the one that had been read up to `places`; what is not there says nothing."""
    return all(
        extent.topic_id == places[partition].topic_id for partition, extent in extents.items() if partition in places
    )


def _jitter() -> float:
    """Return a factor by which instances differ, so that one of them is the first."""
    return random.uniform(1.0, 1.25)  # noqa: S311 - no secret


def _age(marker: Marker) -> float:
    """Return how many seconds ago a checkpoint was taken, if all clocks are right."""
    return round((now_ms() - marker.taken) / 1000, 1)
