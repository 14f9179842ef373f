"""The state topic: read at the start, so that the log is read from the newest checkpoint on; written now and then.

A checkpoint is written when it is older than the window. So an instance that starts from it reads all that its window
is to hold; and what it shows then is what an instance shows that has read the whole log.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from time import time
from uuid import uuid4

import attrs
import trio
from attrs import frozen

from mesaya_ws.core.checkpoint import (
    Cut,
    DamagedError,
    Marker,
    Row,
    Slots,
    make_marker,
    marker_record,
    pack,
    part_record,
    unpack,
)
from mesaya_ws.core.event_log import (
    BEGINNING,
    EventLog,
    Extent,
    LogUnavailableError,
    News,
    OffsetGoneError,
    Outage,
    Partition,
    Place,
    RecordRefusedError,
    Restored,
)
from mesaya_ws.core.feed import Feed
from mesaya_ws.logs import get_logger
from mesaya_ws.metrics import Metrics
from mesaya_ws.settings import Settings, followed

log = get_logger(__name__)

LEAST_INTERVAL = 1.0
"""Seconds between two checkpoints, if WINDOW_SECONDS is less."""

PAGE = 20
"""Records that are read at a time: they are large."""

RETRY_INTERVAL = 0.5
"""Seconds between two tries to read a log that does not answer."""


@frozen
class _Checkpoint:
    """What was known when it was `taken` (ms since the epoch), and as of where."""

    taken: int
    cut: Cut
    rows: int
    parts: list[bytes]


class Checkpoints:
    """The checkpoints of `feed`, in `state_log`, which holds the state topic and nothing else."""

    def __init__(
        self, state_log: EventLog, event_log: EventLog, feed: Feed, settings: Settings, metrics: Metrics
    ) -> None:
        self._state_log = state_log
        self._event_log = event_log
        self._feed = feed
        self._topic = settings.state_topic
        self._topics = frozenset(followed(settings))
        self._interval = max(settings.window_seconds, LEAST_INTERVAL)
        self._metrics = metrics
        self._slots = Slots()
        self._known: dict[Partition, Place] = {}
        self._name = uuid4().hex
        self._numbers = count(1)
        self._asking: trio.MemorySendChannel[tuple[Cut, list[list[Row]]]] | None = None
        self._failing = False

    async def restore(self, tell: Callable[[News], Awaitable[None]]) -> Mapping[Partition, Place]:
        """Set the feed to the newest checkpoint that fits the log, if there is one; return where it goes on.

        A log that does not answer is waited for, as `tell` is told: who began without a checkpoint that is there would
        know less than it does, and would write that over it.
        """
        is_down = False
        while True:
            try:
                start = await self._restore()
                break
            except LogUnavailableError as error:
                if not is_down:
                    await tell(Outage(str(error)))
                is_down = True
                await trio.sleep(RETRY_INTERVAL)
        self._slots.forget_parts()
        if is_down:
            await tell(Restored())
        return start

    async def _restore(self) -> Mapping[Partition, Place]:
        await self._read_on()
        extents = await self._event_log.extents()
        for marker in self._slots.whole():
            places = {at: place for at, place in marker.cut.places.items() if at.topic in self._topics}
            if not _fits(places, extents):
                log.warning("a checkpoint is of no use: the log is another one", checkpoint=marker.id)
            elif await self._load(marker, attrs.evolve(marker.cut, places=places)):
                return places
        return BEGINNING

    async def _load(self, marker: Marker, cut: Cut) -> bool:
        """Set the feed to a checkpoint; say whether that was possible."""
        try:
            for _ in self._feed.restore(cut, unpack(self._slots.parts(marker))):
                await trio.lowlevel.checkpoint()
        except DamagedError as error:
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
            except (LogUnavailableError, RecordRefusedError) as error:
                self._metrics.checkpoint_failures += 1
                if not self._failing:
                    log.warning("no checkpoint can be written", reason=str(error))
                self._failing = True
                await trio.sleep(self._interval)
            else:
                self._failing = False

    async def _write_next(self) -> None:
        """Take a checkpoint, and write it when it has become old enough; unless another instance does so."""
        checkpoint = await self._take()
        await trio.sleep(self._interval * _jitter())
        await self._look()
        if self._is_due(checkpoint):
            await self._write(checkpoint)
            await self._look()
        while (seconds := self._rest()) > 0:
            await trio.sleep(seconds)
            await self._look()

    async def _look(self) -> None:
        """See what has been written meanwhile; what the parts hold is of no use any more."""
        await self._read_on()
        self._slots.forget_parts()

    async def _take(self) -> _Checkpoint:
        """Have the feed's owner call `capture`, and pack what comes of it."""
        self._asking, answer = trio.open_memory_channel[tuple[Cut, list[list[Row]]]](1)
        cut, pieces = await answer.receive()
        taken, rows, parts = round(time() * 1000), sum(map(len, pieces)), []
        for part in pack(pieces):
            if part:
                parts.append(part)
            await trio.lowlevel.checkpoint()
        return _Checkpoint(taken, cut, rows, parts)

    def _rest(self) -> float:
        """Return for how many seconds it is somebody else's turn: of whoever wrote last, until it has missed one."""
        newest = self._slots.newest()
        if newest is None or newest.id.startswith(self._name):
            return 0.0
        return max(0.0, newest.taken / 1000 + self._interval * (2 + _jitter()) - time())

    def _is_due(self, checkpoint: _Checkpoint) -> bool:
        """Return whether a checkpoint says more than the newest one, and was not taken soon after it."""
        newest = self._slots.newest()
        return newest is None or (
            newest.taken < checkpoint.taken - self._interval * 500 and newest.cut.places != checkpoint.cut.places
        )

    async def _write(self, checkpoint: _Checkpoint) -> None:
        id, slot, parts = f"{self._name}.{next(self._numbers)}", self._slots.free(), checkpoint.parts
        for number, part in enumerate(parts):
            await self._state_log.append([part_record(self._topic, id, slot, number, part)])
        marker = make_marker(id, slot, len(parts), checkpoint.rows, checkpoint.taken, checkpoint.cut)
        await self._state_log.append([marker_record(self._topic, marker)])
        log.debug("checkpoint written", checkpoint=id, rows=marker.rows, parts=marker.parts)

    async def _read_on(self) -> None:
        """Take note of what the topic holds and has not been read."""
        for partition, extent in (await self._state_log.extents()).items():
            known = self._known.get(partition, Place(extent.topic_id, 0))
            place = max(extent.begin, known.next if known.topic_id == extent.topic_id else 0)
            while place < extent.end:
                try:
                    records = await self._state_log.read(partition, place, PAGE)
                except OffsetGoneError:
                    # The topic was compacted at this moment, and begins later now; or it is no more.
                    now = (await self._state_log.extents()).get(partition)
                    if now is None or now.topic_id != extent.topic_id:
                        break
                    place = now.begin
                    continue
                for record in records:
                    self._slots.take(record)
                place = records[-1].offset + 1 if records else extent.end
                await trio.lowlevel.checkpoint()
            self._known[partition] = Place(extent.topic_id, place)
        if (newest := self._slots.newest()) is not None:
            self._metrics.checkpoint_taken, self._metrics.checkpoint_rows = newest.taken / 1000, newest.rows


def _fits(places: Mapping[Partition, Place], extents: Mapping[Partition, Extent]) -> bool:
    """Return whether the log is the one that had been read up to `places`; what is not there says nothing."""
    return all(
        extent.topic_id == places[partition].topic_id and places[partition].next <= extent.end
        for partition, extent in extents.items()
        if partition in places
    )


def _jitter() -> float:
    """Return a factor by which instances differ, so that one of them is the first."""
    return random.uniform(1.0, 1.25)  # noqa: S311 - no secret


def _age(marker: Marker) -> float:
    """Return how many seconds ago a checkpoint was taken."""
    return round(time() - marker.taken / 1000, 1)
