"""The topic of checkpoints: reading what it holds, and writing a batch of it (see `core.feed.changelog`)."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import count
from uuid import uuid4

import trio
from attrs import frozen

from mesaya_ws.core.feed.batch_rows import Changed, overlay
from mesaya_ws.core.feed.changelog import (
    MAX_AFTER,
    Changelog,
    Mark,
    Part,
    make_mark,
    mark_record,
    part_record,
)
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, in_pieces, pack
from mesaya_ws.core.log.interface import EventLog, OffsetGoneError
from mesaya_ws.core.log.records import NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Cut

PAGE = 20
"""Records that are read at a time, as they are large."""

MERGED_ROWS = 20_000
"""Rows of changes that are put together in one batch, some tens of MB: a larger batch is left as it is."""

DELETED_AT_ONCE = 200
"""Records that are deleted with one append."""


@frozen
class Checkpoint:
    """What was captured at the `cut`, at the time `taken` (ms since the epoch).

    All that was known is `rows` rows, packed into `parts`; what had changed is in `pieces`: little, which can be put
    together with what others have written.
    """

    taken: int
    cut: Cut
    rows: int
    parts: Sequence[bytes] = ()
    pieces: Sequence[list[Row]] = ()


async def packed(pieces: Iterable[list[Row]]) -> list[bytes]:
    """Return the parts that hold rows; others run in between."""
    parts = []
    for part in pack(pieces):
        if part:
            parts.append(part)
        await trio.lowlevel.checkpoint()
    return parts


class CheckpointTopic:
    """The topic `topic` of `log`, which holds no other; the `changelog` is what has been read of it.

    All its methods raise `LogUnavailableError`, and those that write also `RecordRejectedError`.
    """

    def __init__(self, log: EventLog, topic: str, *, page: int = PAGE, max_merged: int = MERGED_ROWS) -> None:
        self._page = page
        self._max_merged = max_merged
        self.changelog = Changelog()
        self._log = log
        self._topic = topic
        self._known: dict[Partition, PartitionPosition] = {}
        # Of every partition the last record that has been read.
        self._last: dict[Partition, Record] = {}
        self._name = uuid4().hex
        self._numbers = count(1)
        # Batches that had no mark when something was deleted the last time; their writers may have been at work then.
        self._unfinished: set[str] = set()

    def wrote(self, mark: Mark) -> bool:
        """Return whether a batch was written here, and not by another instance."""
        return mark.id.startswith(self._name)

    async def look(self) -> None:
        """Read what has been written meanwhile, without keeping the contents of parts."""
        await self.read_on()
        self.changelog.forget_contents()

    async def write(self, checkpoint: Checkpoint, after: Mark | None = None) -> Mark:
        """Write a batch, and return its mark: all that is known, or what has changed `after` a batch that is whole.

        Small batches that it is after are put together with it.
        """
        chain, rows, parts = [], checkpoint.rows, checkpoint.parts
        if after is not None:
            chain, pieces = self.changelog.chain(after), checkpoint.pieces
            if merged := _to_merge(chain[1:], rows, self._max_merged):
                chain, pieces = chain[: -len(merged)], await self._merged(merged, pieces)
                rows = sum(map(len, pieces))
            parts = await packed(pieces)
        id = f"{self._name}.{next(self._numbers)}"
        for number, part in enumerate(parts):
            await self._log.append([part_record(self._topic, id, number, part)])
        mark = make_mark(id, len(parts), rows, checkpoint.taken, checkpoint.cut, [each.id for each in chain])
        await self._log.append([mark_record(self._topic, mark)])
        return mark

    async def _merged(self, batches: Iterable[Mark], pieces: Iterable[list[Row]]) -> list[list[Row]]:
        """Return the rows of some batches, and over them those in `pieces`."""
        changed: Changed = {}
        for batch in batches:
            contents = [await self._content(part) for part in self.changelog.parts(batch)]
            for _ in overlay(changed, contents):
                await trio.lowlevel.checkpoint()
        for piece in pieces:
            changed.update(((row[0], row[1]), row) for row in piece)
        return list(in_pieces(iter(changed.values())))

    async def _content(self, part: Part) -> bytes:
        if part.content is not None:
            return part.content
        try:
            records = await self._log.read(Partition(self._topic, part.partition), part.offset, 1)
        except OffsetGoneError:
            records = []
        if not records or records[0].key != part.key or not isinstance(records[0].value, bytes):
            raise CorruptCheckpointError("a part of a batch is not where it was")
        return records[0].value

    async def delete_others(self, kept: Sequence[Mark]) -> None:
        """Delete what none of the batches is made of that are `kept`, as far as nobody can be writing it."""
        unfinished = self.changelog.unfinished()
        keys = self.changelog.keys_without(kept, unfinished - self._unfinished)
        self._unfinished = unfinished
        for start in range(0, len(keys), DELETED_AT_ONCE):
            await self._log.append([NewRecord(self._topic, None, key) for key in keys[start : start + DELETED_AT_ONCE]])

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
                self.changelog = Changelog()
                self._known.clear()
                self._last.clear()
                break
        for partition, extent in extents.items():
            place = max(extent.begin, self._known[partition].next if partition in self._known else 0)
            while place < extent.end:
                try:
                    records = await self._log.read(partition, place, self._page)
                except OffsetGoneError:
                    # The topic has just been compacted, and begins later now; or it has been deleted.
                    now = (await self._log.extents()).get(partition)
                    if now is None or now.topic_id != extent.topic_id:
                        break
                    place = now.begin
                    continue
                for record in records:
                    self.changelog.take(record)
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


def is_full(chain: Sequence[Mark], rows: int) -> bool:
    """Return whether what has changed after a `chain` of batches, in so many `rows`, is as much as all that is known.

    Then all that is known is better written again: so that takes no more, all in all, than writing what changes.
    """
    return len(chain) > MAX_AFTER or sum(each.rows for each in chain[1:]) + rows > chain[0].rows


def _to_merge(changes: Sequence[Mark], rows: int, most: int) -> Sequence[Mark]:
    """Return those of the last batches of changes that are no larger than what is put together with them.

    So a row is written once more only with about as many others, and there are few batches. Together they are `most`
    rows at most.
    """
    count = 0
    for batch in reversed(changes):
        if batch.rows > 2 * rows or batch.rows + rows > most:
            break
        rows += batch.rows
        count += 1
    return changes[len(changes) - count :]


def _digest(record: Record) -> Record:
    """Return a record with a digest in the place of its value, which is large."""
    value = record.value
    return record._replace(value=sha256(value).digest() if isinstance(value, bytes) else value)
