"""Where a follower is in each partition, and what a look at the whole log means for that."""

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


class Places:
    """What a follower knows of the partitions that it reads, from one consumer to the next.

    That one of the topics `made` with their first record does not exist is no trouble.
    """

    def __init__(self, start: Mapping[Partition, PartitionPosition], made: Collection[str]) -> None:
        # The offset after all that was handed over.
        self.next = {TopicPartition(*partition): place.next for partition, place in start.items()}
        # By topic, the incarnation that the offsets in `next` belong to.
        self.ids = {partition.topic: place.topic_id for partition, place in start.items()}
        # The epochs of what was handed over, as far as they have been told.
        self.epochs: defaultdict[TopicPartition, Epochs] = defaultdict(Epochs)
        for partition, place in start.items():
            if place.epoch is not None and place.next:
                self.epochs[TopicPartition(*partition)].begin(place.next - 1, place.epoch)
        # What could not be read since the last record that could: its first offset, why, and whether it is too large.
        self.poisoned: dict[TopicPartition, tuple[int, str, bool]] = {}
        # Where the broker said that the place is not valid, with the offset up to which the log agrees, if it said so.
        # Until a look tells where to go on, nothing is handed over of these.
        self.astray: dict[TopicPartition, int | None] = {}
        # How much more there is than has been handed over, of the partitions of which we have said so.
        self.behind: dict[TopicPartition, int] = {}
        # What the broker refuses to hand out: not asked for again before the next look.
        self.aside: set[TopicPartition] = set()
        self._made = made
        self._ledger = Ledger()

    def seek(self, consumer: Consumer, partition: TopicPartition) -> None:
        """Let the consumer go on where we are."""
        here = self.next[partition]
        consumer.seek(partition, here, self.epochs[partition].at(here))

    def agreed(self, partition: TopicPartition, at: Any) -> int | None:
        """Return the offset up to which a log agrees with what was read of it, if the broker knows.

        It has told the last epoch of its own that was not after ours, and where that ended. What we have read of later
        ones does not count.
        """
        if at is None:
            return None
        ours: int | None = self.epochs[partition].first_above(at.leader_epoch)
        return int(at.offset) if ours is None else min(at.offset, ours)

    def skipped(self, partition: TopicPartition, next_offset: int) -> Iterator[LogEvent]:
        """Tell what could not be read before `next_offset`."""
        if partition in self.poisoned:
            first, why, too_large = self.poisoned.pop(partition)
            yield Corrupt(Partition(*partition), first, next_offset, why, too_large)
            self.next[partition] = next_offset

    def found(
        self, consumer: Consumer, survey: Metadata, looked_at: float, to_judge: Set[TopicPartition]
    ) -> Iterator[LogEvent]:
        """Tell what a look at the log has found, and read from the partitions that are there now.

        Of those that are astray, it says where to go on in the ones `to_judge`, which were so when it began.
        """
        extents = self._extents(consumer, survey)
        assigned = consumer.raw.assignment()
        for partition in list(self.poisoned):
            if partition in assigned & extents.keys():
                yield from self.skipped(partition, consumer.place(partition))
        replaced = set[TopicPartition]()
        for topic, id in {partition.topic: extent.topic_id for partition, extent in extents.items()}.items():
            known = self.ids.get(topic, id)
            self.ids[topic] = id
            if known != id:
                gone = {partition for partition in self.next if partition.topic == topic}
                replaced |= gone
                for partition in gone:
                    del self.next[partition]
                    self.astray.pop(partition, None)
                    self.epochs.pop(partition, None)
                yield TopicRecreated(topic, id)
        self._assign(consumer, survey, extents, replaced)
        yield from self._find_places(consumer, extents, to_judge)
        ends = {partition: survey.readable.get(Partition(*partition), extents[partition].end) for partition in extents}
        consumer.end_look(ends, replaced)
        yield self._sources(consumer, survey, extents, looked_at)
        # Whether it is still refused is tried now and then.
        self.aside.clear()

    def _extents(self, consumer: Consumer, survey: Metadata) -> dict[TopicPartition, OffsetRange]:
        """Return what is known of the partitions that can be read.

        A fetch tells the end of a partition, too, when nobody else does.
        """
        extents = {TopicPartition(*partition): extent for partition, extent in survey.extents.items()}
        for at, (id, begin, _) in survey.begun.items():
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
        survey: Metadata,
        extents: Mapping[TopicPartition, OffsetRange],
        replaced: Set[TopicPartition],
    ) -> None:
        """Read from what is there, as far as we may; what exists but is not seen now stays as it is."""
        assigned = consumer.raw.assignment()
        forbidden = {finding.topic for finding in survey.found(Hindrance.REFUSED)}
        existing = {TopicPartition(*partition) for partition in survey.existing}
        begun = {TopicPartition(*at) for at, (id, _, _) in survey.begun.items() if self.ids[at.topic] == id}
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

    def _sources(
        self, consumer: Consumer, survey: Metadata, extents: Mapping[TopicPartition, OffsetRange], looked_at: float
    ) -> LogMetadata:
        """Return what is to be told of a look: what there is, what can be had of it, and what cannot, and why."""
        left = {
            partition: max(0, (consumer.end(partition) or 0) - max(extent.begin, self.next[partition]))
            for partition, extent in extents.items()
        }
        unseen = consumer.raw.assignment() - extents.keys()
        left |= {partition: consumer.lag(partition) for partition in unseen}
        failing = {Partition(*partition): code for partition, code in consumer.failing.items()}
        known = {Partition(*partition): extent for partition, extent in extents.items()}
        lags, troubles = sort_out(
            self._ledger.enter(observe(survey, known, failing, self._made)),
            {Partition(*partition): lag for partition, lag in left.items()},
            {Partition(*partition) for partition in unseen} | failing.keys(),
        )
        self.behind = {partition: lag for partition, lag in left.items() if lags.get(Partition(*partition))}
        at = round((time.time() - (monotonic() - looked_at)) * 1000)
        return LogMetadata(known, lags, at, troubles)

    def _find_places(
        self, consumer: Consumer, extents: Mapping[TopicPartition, OffsetRange], to_judge: Set[TopicPartition]
    ) -> Iterator[LogEvent]:
        """Go on where the log does, in partitions that do not hold the place we were at."""
        for partition in to_judge & self.astray.keys():
            agreed = self.astray.pop(partition)
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
