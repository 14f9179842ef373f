"""Where a follower is in each partition, and what fresh metadata means for that."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from time import monotonic
from typing import Any

from kafka import TopicPartition

from mesaya_ws.core.log.epochs import Epochs
from mesaya_ws.core.log.events import Corrupt, Gap, LogEvent, LogMetadata, TopicRecreated, Truncated
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer
from mesaya_ws.eventlog.kafka.ledger import Ledger, observe, sort_out
from mesaya_ws.eventlog.kafka.metadata import Metadata
from mesaya_ws.eventlog.kafka.timings import DEFAULTS


class Places:
    """What a follower knows of the partitions that it reads; it outlives the consumer.

    A topic in `made` is created with its first record: until then, that it does not exist is no trouble.
    """

    def __init__(
        self,
        start: Mapping[Partition, PartitionPosition],
        made: Collection[str],
        unreadable_after: float = DEFAULTS.unreadable_after,
    ) -> None:
        self._unreadable_after = unreadable_after
        # The offset after the last delivered record.
        self.next = {TopicPartition(*partition): place.next for partition, place in start.items()}
        # By topic, the id of the topic that the offsets in `next` belong to.
        self.ids = {partition.topic: place.topic_id for partition, place in start.items()}
        # The epochs of delivered records.
        self.epochs: defaultdict[TopicPartition, Epochs] = defaultdict(Epochs)
        for partition, place in start.items():
            if place.epoch is not None and place.next:
                self.epochs[TopicPartition(*partition)].begin(place.next - 1, place.epoch)
        # Unreadable records since the last readable one: their first offset, why, and whether they are too large.
        self.poisoned: dict[TopicPartition, tuple[int, str, bool]] = {}
        # Partitions whose offset is invalid by the broker's word, with the offset up to which the log agrees, if known.
        # Nothing is delivered of them until a refresh shows where to go on.
        self.invalid: dict[TopicPartition, int | None] = {}
        # The lag that was last reported, of partitions that have some.
        self.lags: dict[TopicPartition, int] = {}
        # Partitions that the broker refuses: not fetched before the next refresh.
        self.refused: set[TopicPartition] = set()
        self._made = made
        self._ledger = Ledger()

    def seek(self, consumer: Consumer, partition: TopicPartition) -> None:
        """Seek the consumer to our offset."""
        here = self.next[partition]
        consumer.seek(partition, here, self.epochs[partition].at(here))

    def agreed(self, partition: TopicPartition, at: Any) -> int | None:
        """Return the offset up to which the log agrees with what was read of it; None if the broker does not know.

        `at` is the last epoch of the broker that is not after ours, and its end. What was read in later epochs is lost.
        """
        if at is None:
            return None
        ours: int | None = self.epochs[partition].first_above(at.leader_epoch)
        return int(at.offset) if ours is None else min(at.offset, ours)

    def unreadable(self, partition: TopicPartition, next_offset: int) -> Iterator[LogEvent]:
        """Yield the unreadable records before `next_offset`."""
        if partition in self.poisoned:
            first, why, too_large = self.poisoned.pop(partition)
            yield Corrupt(Partition(*partition), first, next_offset, why, too_large)
            self.next[partition] = next_offset

    def on_metadata(
        self, consumer: Consumer, metadata: Metadata, fetched_at: float, to_resolve: Set[TopicPartition]
    ) -> Iterator[LogEvent]:
        """Yield what fresh metadata says, and read from the partitions that exist now.

        Of the invalid offsets, those in `to_resolve`, which were known when the refresh began, are resolved.
        """
        extents = self._extents(consumer, metadata)
        assigned = consumer.raw.assignment()
        for partition in list(self.poisoned):
            if partition in assigned & extents.keys():
                yield from self.unreadable(partition, consumer.place(partition))
        replaced = set[TopicPartition]()
        for topic, id in {partition.topic: extent.topic_id for partition, extent in extents.items()}.items():
            known = self.ids.get(topic, id)
            self.ids[topic] = id
            if known != id:
                gone = {partition for partition in self.next if partition.topic == topic}
                replaced |= gone
                for partition in gone:
                    del self.next[partition]
                    self.invalid.pop(partition, None)
                    self.epochs.pop(partition, None)
                yield TopicRecreated(topic, id)
        self._assign(consumer, metadata, extents, replaced)
        yield from self._resolve_invalid(consumer, extents, to_resolve)
        ends = {
            partition: metadata.readable.get(Partition(*partition), extents[partition].end) for partition in extents
        }
        consumer.end_refresh(ends, replaced)
        yield self._log_metadata(consumer, metadata, extents, fetched_at)
        # They are tried again until the next refresh.
        self.refused.clear()

    def _extents(self, consumer: Consumer, metadata: Metadata) -> dict[TopicPartition, OffsetRange]:
        """Return the extents of the partitions that can be read.

        Where the metadata lacks the end of a partition, the last fetch may know it.
        """
        extents = {TopicPartition(*partition): extent for partition, extent in metadata.extents.items()}
        for at, (id, begin, _) in metadata.begun.items():
            partition = TopicPartition(*at)
            self.next.setdefault(partition, begin)
            self.ids.setdefault(at.topic, id)
            end = consumer.end(partition)
            if end is not None and self.ids[at.topic] == id:
                extents[partition] = OffsetRange(begin, max(begin, end), id)
        return extents

    def _assign(
        self,
        consumer: Consumer,
        metadata: Metadata,
        extents: Mapping[TopicPartition, OffsetRange],
        replaced: Set[TopicPartition],
    ) -> None:
        """Assign the existing partitions that we may read; what exists without known offsets stays as it is."""
        assigned = consumer.raw.assignment()
        forbidden = {finding.topic for finding in metadata.findings_of(Hindrance.REFUSED)}
        existing = {TopicPartition(*partition) for partition in metadata.existing}
        begun = {TopicPartition(*at) for at, (id, _, _) in metadata.begun.items() if self.ids[at.topic] == id}
        stay = {partition for partition in (assigned & existing) - replaced if partition.topic not in forbidden}
        for partition in assigned - replaced:
            self.next[partition] = consumer.place(partition)
        for partition, extent in extents.items():
            self.next.setdefault(partition, extent.begin)
        wanted = stay | {
            partition
            for partition in extents.keys() | begun
            if partition.topic not in forbidden and partition in self.next
        }
        if assigned != wanted:
            consumer.raw.assign(list(wanted))
        for partition in wanted - stay:
            self.seek(consumer, partition)

    def _log_metadata(
        self, consumer: Consumer, metadata: Metadata, extents: Mapping[TopicPartition, OffsetRange], fetched_at: float
    ) -> LogMetadata:
        """Return what the log holds, how much of it is left to read, and what cannot be read, and why."""
        left = {
            partition: max(0, (consumer.end(partition) or 0) - max(extent.begin, self.next[partition]))
            for partition, extent in extents.items()
        }
        unseen = consumer.raw.assignment() - extents.keys()
        left |= {partition: consumer.lag(partition) for partition in unseen}
        failing = {Partition(*partition): code for partition, code in consumer.failing.items()}
        known = {Partition(*partition): extent for partition, extent in extents.items()}
        lags, troubles = sort_out(
            self._ledger.enter(observe(metadata, known, failing, self._made)),
            {Partition(*partition): lag for partition, lag in left.items()},
            {Partition(*partition) for partition in unseen} | failing.keys(),
            self._unreadable_after,
        )
        self.lags = {partition: lag for partition, lag in left.items() if lags.get(Partition(*partition))}
        at = round((time.time() - (monotonic() - fetched_at)) * 1000)
        return LogMetadata(known, lags, at, troubles)

    def _resolve_invalid(
        self, consumer: Consumer, extents: Mapping[TopicPartition, OffsetRange], to_resolve: Set[TopicPartition]
    ) -> Iterator[LogEvent]:
        """Resolve invalid offsets: go on where the log does, and yield what was lost."""
        for partition in to_resolve & self.invalid.keys():
            agreed = self.invalid.pop(partition)
            if partition not in extents.keys() & consumer.raw.assignment():
                continue
            begin, end, _ = extents[partition]
            here = self.next[partition]
            there = max(begin, min(here, end if agreed is None else agreed))
            if there > here:
                self.epochs[partition].begin(there - 1, None)
                yield Gap(Partition(*partition), here, there)
            elif there < here:
                self.epochs[partition].cut(there)
                yield Truncated(Partition(*partition), there)
            self.next[partition] = there
            self.seek(consumer, partition)
