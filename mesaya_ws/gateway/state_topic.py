"""The topic of checkpoints: reading what it holds, and writing a checkpoint."""

from hashlib import sha256
from itertools import count
from uuid import uuid4

import trio
from attrs import frozen

from mesaya_ws.core.feed.checkpoint import Marker, Slots, make_marker, marker_record, part_record
from mesaya_ws.core.log.interface import EventLog, OffsetGoneError
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.recovery.coverage import Cut

PAGE = 20
"""Records that are read at a time, as they are large."""


@frozen
class Checkpoint:
    """The state as of `cut`, captured at the time `taken` (ms since the epoch): `rows` rows, packed into `parts`."""

    taken: int
    cut: Cut
    rows: int
    parts: list[bytes]


class StateTopic:
    """The topic `topic` of `log`, which holds no other; `slots` are what has been read of it.

    All its methods raise `LogUnavailableError`, and `write` also `RecordRejectedError`.
    """

    def __init__(self, log: EventLog, topic: str) -> None:
        self.slots = Slots()
        self._log = log
        self._topic = topic
        self._known: dict[Partition, PartitionPosition] = {}
        # Of every partition the last record that has been read.
        self._last: dict[Partition, Record] = {}
        self._name = uuid4().hex
        self._numbers = count(1)

    def wrote(self, marker: Marker) -> bool:
        """Return whether a checkpoint was written here, and not by another instance."""
        return marker.id.startswith(self._name)

    async def look(self) -> None:
        """Read what has been written meanwhile, without keeping the contents of parts."""
        await self.read_on()
        self.slots.forget_parts()

    async def write(self, checkpoint: Checkpoint) -> Marker:
        """Write a checkpoint into the slot that the newest one does not use, and return its marker."""
        id, slot, parts = f"{self._name}.{next(self._numbers)}", self.slots.free(), checkpoint.parts
        for number, part in enumerate(parts):
            await self._log.append([part_record(self._topic, id, slot, number, part)])
        marker = make_marker(id, slot, len(parts), checkpoint.rows, checkpoint.taken, checkpoint.cut)
        await self._log.append([marker_record(self._topic, marker)])
        return marker

    async def read_on(self) -> None:
        """Read on to the end of the topic; from its beginning if it was re-created, or has lost its end.

        It may have been written past its old end since: it is the same while it still holds the last record that was
        read. One that compaction has removed says nothing, and then all is read anew, too.
        """
        extents = await self._log.extents()
        for at, (id, next_, _) in self._known.items():
            if at in extents and (
                extents[at].topic_id != id or extents[at].end < next_ or not await self._holds_last(at, extents[at])
            ):
                self.slots = Slots()
                self._known.clear()
                self._last.clear()
                break
        for partition, extent in extents.items():
            place = max(extent.begin, self._known[partition].next if partition in self._known else 0)
            while place < extent.end:
                try:
                    records = await self._log.read(partition, place, PAGE)
                except OffsetGoneError:
                    # The topic has just been compacted, and begins later now; or it has been deleted.
                    now = (await self._log.extents()).get(partition)
                    if now is None or now.topic_id != extent.topic_id:
                        break
                    place = now.begin
                    continue
                for record in records:
                    self.slots.take(record)
                    self._last[partition] = _digest(record)
                place = records[-1].offset + 1 if records else extent.end
                await trio.lowlevel.checkpoint()
            self._known[partition] = PartitionPosition(extent.topic_id, place)

    async def _holds_last(self, partition: Partition, extent: OffsetRange) -> bool:
        """Return whether the last record that was read of a partition, of so much that it holds, is what it was."""
        last = self._last.get(partition)
        if last is None:
            return True
        if last.offset < extent.begin:
            return False
        try:
            records = await self._log.read(partition, last.offset, 1)
        except OffsetGoneError:
            return False
        return list(map(_digest, records)) == [last]


def _digest(record: Record) -> Record:
    """Return a record with a digest in the place of its value, which is large."""
    value = record.value
    return record._replace(value=sha256(value).digest() if isinstance(value, bytes) else value)
