"""What one follower's thread does: it polls all partitions of all topics, and says what has come of them.

All of it is a generator of news; nothing here knows Trio. A consumer belongs to one thread. A place is moved on when
what came before it has been handed over, so new clients can go on from it at any time.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from functools import partial
from time import monotonic
from typing import Any

from kafka import TopicPartition
from kafka.errors import (
    BrokerResponseError,
    LogTruncationError,
    OffsetOutOfRangeError,
    RetriableError,
    for_code,
)

from mesaya_ws.core.epochs import Epochs
from mesaya_ws.core.event_log import (
    Batch,
    EpochsBegun,
    Extent,
    Gap,
    Hindrance,
    News,
    Partition,
    Paused,
    Place,
    Record,
    Replaced,
    Skipped,
    Sources,
    Together,
    Truncated,
)
from mesaya_ws.eventlog.kafka.clients import GRACE, Clients, Options
from mesaya_ws.eventlog.kafka.consumer import Consumer, PoisonError
from mesaya_ws.eventlog.kafka.ledger import Ledger, observe, sort_out
from mesaya_ws.eventlog.kafka.looks import RETRY_INTERVAL, Looks, Outages
from mesaya_ws.eventlog.kafka.reasons import reason
from mesaya_ws.eventlog.kafka.survey import Survey, take_survey

POLL_PATIENCE = 0.2
"""Seconds that a poll waits at most, and so how soon a cancelled follower ends; a record ends the waiting."""

PAUSED_PATIENCE = 0.01
"""The same, while a partition is paused."""

ASTRAY_INTERVAL = 0.005
"""Seconds from one poll to the next while it is not known where a partition goes on."""


class Polling:
    """Reads `topics` from `start` on, with one set of clients after the other.

    That one of the topics `made` with their first record does not exist is no trouble.
    """

    def __init__(
        self,
        options: Options,
        topics: Collection[str],
        start: Mapping[Partition, Place],
        paused: Paused,
        made: Collection[str] = (),
    ) -> None:
        self._options = options
        self._topics = topics
        self._paused = paused
        self._made = made
        self._clients = Clients(options)
        self._next = {TopicPartition(*partition): place.next for partition, place in start.items()}
        # The ids of the topics that the places in `_next` belong to.
        self._ids = {partition.topic: place.topic_id for partition, place in start.items()}
        # The epochs of what was handed over, as far as it has been told.
        self._epochs: defaultdict[TopicPartition, Epochs] = defaultdict(Epochs)
        for partition, place in start.items():
            if place.epoch is not None and place.next:
                self._epochs[TopicPartition(*partition)].begin(place.next - 1, place.epoch)
        # What could not be read since the last record that could: its first offset, and why.
        self._poisoned: dict[TopicPartition, tuple[int, str, bool]] = {}
        # Where the broker said that the place is not valid, with the offset up to which the log agrees, if it said so.
        # Until a look tells where to go on, nothing is handed over of these.
        self._astray: dict[TopicPartition, int | None] = {}
        # How much more there is than has been handed over, of the partitions of which we have said so.
        self._behind: dict[TopicPartition, int] = {}
        # What the broker refuses to hand out: not asked for again before the next look.
        self._aside: set[TopicPartition] = set()
        self._ledger = Ledger()
        self._outages = Outages(partial(reason, options), monotonic())

    def free(self) -> None:
        """Close the clients, from another thread, which gets this one out of them: it goes on with new ones."""
        self._clients.free()

    def news(self) -> Generator[News | None, None, None]:
        """Yield what is to be told; None when there is nothing, several times a second. Never ends."""
        while True:
            yield None
            self._clients = Clients(self._options)
            with ThreadPoolExecutor(1) as aside:
                try:
                    yield from self._read(aside)
                except Exception:  # noqa: BLE001 - whatever it is: the way on is with new clients, from the same places
                    yield from self._outages.no_answer(monotonic())
                finally:
                    # Under a look, a connection may be in the making, which nobody would close.
                    wait([aside.submit(bool)], GRACE)
                    self._clients.close()
            retry_at = monotonic() + RETRY_INTERVAL
            while monotonic() < retry_at:
                yield None
                time.sleep(0.05)

    def _read(self, aside: Executor) -> Iterator[News | None]:
        """Read on, until the clients fail; look at the log `aside`."""
        admin, consumer = self._clients.admin(), self._clients.consumer()
        looks = Looks(lambda: aside.submit(take_survey, admin, self._topics), self._outages, monotonic())
        while True:
            now = monotonic()
            if looks.begin(now):
                consumer.begin_look()
                to_judge = set(self._astray)
            survey = yield from looks.found(now)
            if survey is not None:
                yield from self._found(consumer, survey, looks.began_at, to_judge)
            yield None
            if not consumer.raw.assignment():
                looks.wait(RETRY_INTERVAL / 5)
                continue
            polled = self._poll(consumer)
            yield from self._let_go(consumer)
            # All offsets of a topic that was created again are in a new log; and where to go on in a log that has
            # changed under us, the next look tells.
            strange = [
                partition
                for partition in polled
                if partition in self._astray or consumer.topic_id(partition.topic) != self._ids[partition.topic]
            ]
            for partition in strange:
                self._seek(consumer, partition)
                del polled[partition]
            yield from self._begin_epochs(consumer, strange)
            yield from self._hand_over(consumer, polled)
            if strange or self._astray:
                looks.hurry()
                # Until then they are asked for again and again, and what comes of it, comes at once.
                time.sleep(ASTRAY_INTERVAL)

    def _poll(self, consumer: Consumer) -> dict[TopicPartition, Sequence[Record]]:
        """Wait for records, and return at most a batch of them. What cannot be read is noted, and passed by."""
        try:
            # Who is resumed should not have to wait for those who have nothing to say.
            polled = consumer.poll(PAUSED_PATIENCE if consumer.pause(self._paused()) else POLL_PATIENCE)
        except OffsetOutOfRangeError as error:
            self._astray |= dict.fromkeys(error.args[0])
        except LogTruncationError as error:
            self._astray |= {
                partition: self._agreed(partition, at) for partition, at in error.divergent_offsets.items()
            }
        except PoisonError as error:
            partition, offset, why, too_large = error.poison
            self._poisoned.setdefault(partition, (self._next[partition], why, too_large))
            consumer.raw.seek(partition, offset + 1)
        except BrokerResponseError:
            # Of one partition; its place is kept, the others go on.
            refused = {
                partition
                for partition, code in consumer.failing.items()
                if not issubclass(for_code(code), RetriableError)
            }
            self._aside |= refused & consumer.raw.assignment()
            if not refused:
                time.sleep(RETRY_INTERVAL / 5)
        else:
            return polled
        return {}

    def _agreed(self, partition: TopicPartition, at: Any) -> int | None:
        """Return the offset up to which a log agrees with what was read of it, if the broker knows.

        It has told the last epoch of its own that was not after ours, and where that ended. What we have read of later
        ones does not count.
        """
        if at is None:
            return None
        ours: int | None = self._epochs[partition].first_above(at.leader_epoch)
        return int(at.offset) if ours is None else min(at.offset, ours)

    def _seek(self, consumer: Consumer, partition: TopicPartition) -> None:
        """Let the consumer go on where we are."""
        here = self._next[partition]
        consumer.seek(partition, here, self._epochs[partition].at(here))

    def _begin_epochs(self, consumer: Consumer, strange: Collection[TopicPartition]) -> Iterator[News]:
        """Tell the epochs of what has come, but for partitions of which nothing is handed over."""
        begun = [
            (Partition(*partition), offset, number)
            for partition, offset, number in consumer.epochs()
            if partition not in strange and self._epochs[partition].begin(offset, number)
        ]
        if begun:
            yield EpochsBegun(begun)

    def _let_go(self, consumer: Consumer) -> Iterator[News]:
        """Stop asking for what the broker refuses to hand out, and waiting for it."""
        refused = self._aside & consumer.raw.assignment()
        if not refused:
            return
        for partition in refused:
            self._next[partition] = consumer.place(partition)
        consumer.raw.assign(list(consumer.raw.assignment() - refused))
        yield Together([Batch(Partition(*partition), (), 0) for partition in refused])
        self._behind = {partition: lag for partition, lag in self._behind.items() if partition not in refused}

    def _hand_over(self, consumer: Consumer, polled: Mapping[TopicPartition, Sequence[Record]]) -> Iterator[News]:
        """Tell everything at once that a poll has brought, and what more is known to be there."""
        heard = consumer.hear()
        batches: list[Batch] = []
        for partition, records in polled.items():
            yield from self._skipped(partition, records[0].offset)
            batches.append(self._batch(consumer, partition, records))
        batches.extend(
            self._batch(consumer, partition, ())
            for partition in (heard | self._behind.keys()) & consumer.raw.assignment() - polled.keys()
            if consumer.lag(partition) != self._behind.get(partition, 0)
        )
        if batches:
            yield Together(batches)
        for partition in polled:
            self._next[partition] = consumer.place(partition)

    def _batch(self, consumer: Consumer, partition: TopicPartition, records: Sequence[Record]) -> Batch:
        lag = self._behind[partition] = consumer.lag(partition)
        if not lag:
            del self._behind[partition]
        return Batch(Partition(*partition), records, lag)

    def _found(
        self, consumer: Consumer, survey: Survey, looked_at: float, to_judge: Set[TopicPartition]
    ) -> Iterator[News]:
        """Tell what a look at the log has found, and read from the partitions that are there now.

        Of those that are astray, it says where to go on in the ones `to_judge`, which were so when it began.
        """
        extents = self._extents(consumer, survey)
        assigned = consumer.raw.assignment()
        for partition in list(self._poisoned):
            if partition in assigned & extents.keys():
                yield from self._skipped(partition, consumer.place(partition))
        replaced = set[TopicPartition]()
        for topic, id in {partition.topic: extent.topic_id for partition, extent in extents.items()}.items():
            known = self._ids.get(topic, id)
            self._ids[topic] = id
            if known != id:
                gone = {partition for partition in self._next if partition.topic == topic}
                replaced |= gone
                for partition in gone:
                    del self._next[partition]
                    self._astray.pop(partition, None)
                    self._epochs.pop(partition, None)
                yield Replaced(topic, id)
        self._assign(consumer, survey, extents, replaced)
        yield from self._find_places(consumer, extents, to_judge)
        yield from self._outages.answered(monotonic())
        ends = {partition: survey.readable.get(Partition(*partition), extents[partition].end) for partition in extents}
        consumer.end_look(ends, replaced)
        yield self._sources(consumer, survey, extents, looked_at)
        # Whether it is still refused is tried now and then.
        self._aside.clear()

    def _extents(self, consumer: Consumer, survey: Survey) -> dict[TopicPartition, Extent]:
        """Return what is known of the partitions that can be read.

        A fetch tells the end of a partition, too, when nobody else does.
        """
        extents = {TopicPartition(*partition): extent for partition, extent in survey.extents.items()}
        for at, (id, begin, _) in survey.begun.items():
            partition = TopicPartition(*at)
            self._next.setdefault(partition, begin)
            self._ids.setdefault(at.topic, id)
            end = consumer.end(partition)
            if end is not None and self._ids[at.topic] == id:
                extents[partition] = Extent(begin, max(begin, end), id)
        return extents

    def _assign(
        self,
        consumer: Consumer,
        survey: Survey,
        extents: Mapping[TopicPartition, Extent],
        replaced: Set[TopicPartition],
    ) -> None:
        """Read from what is there, as far as we may; what exists but is not seen now stays as it is."""
        assigned = consumer.raw.assignment()
        forbidden = {finding.topic for finding in survey.found(Hindrance.REFUSED)}
        existing = {TopicPartition(*partition) for partition in survey.existing}
        begun = {TopicPartition(*at) for at, (id, _, _) in survey.begun.items() if self._ids[at.topic] == id}
        stay = {partition for partition in (assigned & existing) - replaced if partition.topic not in forbidden}
        for partition in assigned - replaced:
            self._next[partition] = consumer.place(partition)
        for partition, extent in extents.items():
            self._next.setdefault(partition, extent.begin)
        wanted = stay | {
            partition
            for partition in extents.keys() | begun
            if partition.topic not in forbidden and partition in self._next
        }
        if assigned != wanted:
            consumer.raw.assign(list(wanted))
        for partition in wanted - stay:
            self._seek(consumer, partition)

    def _sources(
        self, consumer: Consumer, survey: Survey, extents: Mapping[TopicPartition, Extent], looked_at: float
    ) -> Sources:
        """Return what is to be told of a look: what there is, what can be had of it, and what cannot, and why."""
        left = {
            partition: max(0, (consumer.end(partition) or 0) - max(extent.begin, self._next[partition]))
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
        self._behind = {partition: lag for partition, lag in left.items() if lags.get(Partition(*partition))}
        at = round((time.time() - (monotonic() - looked_at)) * 1000)
        return Sources(known, lags, at, troubles)

    def _find_places(
        self, consumer: Consumer, extents: Mapping[TopicPartition, Extent], to_judge: Set[TopicPartition]
    ) -> Iterator[News]:
        """Go on where the log does, in partitions that do not hold the place we were at."""
        for partition in to_judge & self._astray.keys():
            agreed = self._astray.pop(partition)
            if partition not in extents.keys() & consumer.raw.assignment():
                continue
            begin, end, _ = extents[partition]
            here = self._next[partition]
            there = max(begin, min(here, end if agreed is None else agreed))
            if there > here:
                self._epochs[partition].begin(there - 1, None)
                yield Gap(Partition(*partition), here, there)
            elif there < here:
                self._epochs[partition].cut(there)
                yield Truncated(Partition(*partition), there)
            self._next[partition] = there
            self._seek(consumer, partition)

    def _skipped(self, partition: TopicPartition, next_offset: int) -> Iterator[News]:
        """Tell what could not be read before `next_offset`."""
        if partition in self._poisoned:
            first, why, too_large = self._poisoned.pop(partition)
            yield Skipped(Partition(*partition), first, next_offset, why, too_large)
            self._next[partition] = next_offset
