"""What one follower's thread does: it polls all partitions of all topics, and says what has come of them.

All of it is a generator of news; nothing here knows Trio. A consumer belongs to one thread. A place is moved on when
what came before it has been handed over, so new clients can go on from it at any time.
"""

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from functools import partial
from time import monotonic

from kafka import TopicPartition
from kafka.errors import (
    BrokerResponseError,
    LogTruncationError,
    OffsetOutOfRangeError,
    RetriableError,
    for_code,
)

from mesaya_ws.core.log.events import EpochsBegun, LogEvent, PollResult, Records
from mesaya_ws.core.log.interface import Paused
from mesaya_ws.core.log.records import Partition, PartitionPosition, Record
from mesaya_ws.eventlog.kafka.diagnosis import reason
from mesaya_ws.eventlog.kafka.driver.clients import GRACE, Clients, Options
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer, PoisonError
from mesaya_ws.eventlog.kafka.metadata import fetch_metadata
from mesaya_ws.eventlog.kafka.metadata_refresh import RETRY_INTERVAL, MetadataRefresh, Outages
from mesaya_ws.eventlog.kafka.places import Places

POLL_PATIENCE = 0.2
"""Seconds that a poll waits at most, and so how soon a cancelled follower ends; a record ends the waiting."""

PAUSED_PATIENCE = 0.01
"""The same, while a partition is paused."""

ASTRAY_INTERVAL = 0.005
"""Seconds from one poll to the next while it is not known where a partition goes on."""


class ConsumerLoop:
    """Reads `topics` from `start` on, with one set of clients after the other.

    That one of the topics `made` with their first record does not exist is no trouble.
    """

    def __init__(
        self,
        options: Options,
        topics: Collection[str],
        start: Mapping[Partition, PartitionPosition],
        paused: Paused,
        made: Collection[str] = (),
    ) -> None:
        self._options = options
        self._topics = topics
        self._paused = paused
        self._clients = Clients(options)
        self._places = Places(start, made)
        self._outages = Outages(partial(reason, options), monotonic())

    def free(self) -> None:
        """Close the clients, from another thread, which gets this one out of them: it goes on with new ones."""
        self._clients.free()

    def news(self) -> Generator[LogEvent | None, None, None]:
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

    def _read(self, aside: Executor) -> Iterator[LogEvent | None]:
        """Read on, until the clients fail; look at the log `aside`."""
        places = self._places
        admin, consumer = self._clients.admin(), self._clients.consumer()
        looks = MetadataRefresh(lambda: aside.submit(fetch_metadata, admin, self._topics), self._outages, monotonic())
        while True:
            now = monotonic()
            if looks.begin(now):
                consumer.begin_look()
                to_judge = set(places.astray)
            survey = yield from looks.found(now)
            if survey is not None:
                yield from self._outages.answered(monotonic())
                yield from places.found(consumer, survey, looks.began_at, to_judge)
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
                if partition in places.astray or consumer.topic_id(partition.topic) != places.ids[partition.topic]
            ]
            for partition in strange:
                places.seek(consumer, partition)
                del polled[partition]
            yield from self._begin_epochs(consumer, strange)
            yield from self._hand_over(consumer, polled)
            if strange or places.astray:
                looks.hurry()
                # Until then they are asked for again and again, and what comes of it, comes at once.
                time.sleep(ASTRAY_INTERVAL)

    def _poll(self, consumer: Consumer) -> dict[TopicPartition, Sequence[Record]]:
        """Wait for records, and return at most a batch of them. What cannot be read is noted, and passed by."""
        places = self._places
        try:
            # Who is resumed should not have to wait for those who have nothing to say.
            polled = consumer.poll(PAUSED_PATIENCE if consumer.pause(self._paused()) else POLL_PATIENCE)
        except OffsetOutOfRangeError as error:
            places.astray |= dict.fromkeys(error.args[0])
        except LogTruncationError as error:
            places.astray |= {
                partition: places.agreed(partition, at) for partition, at in error.divergent_offsets.items()
            }
        except PoisonError as error:
            partition, offset, why, too_large = error.poison
            places.poisoned.setdefault(partition, (places.next[partition], why, too_large))
            consumer.raw.seek(partition, offset + 1)
        except BrokerResponseError:
            # Of one partition; its place is kept, the others go on.
            refused = {
                partition
                for partition, code in consumer.failing.items()
                if not issubclass(for_code(code), RetriableError)
            }
            places.aside |= refused & consumer.raw.assignment()
            if not refused:
                time.sleep(RETRY_INTERVAL / 5)
        else:
            return polled
        return {}

    def _begin_epochs(self, consumer: Consumer, strange: Collection[TopicPartition]) -> Iterator[LogEvent]:
        """Tell the epochs of what has come, but for partitions of which nothing is handed over."""
        places = self._places
        begun = [
            (Partition(*partition), offset, number)
            for partition, offset, number in consumer.epochs()
            if partition not in strange and places.epochs[partition].begin(offset, number)
        ]
        if begun:
            yield EpochsBegun(begun)

    def _let_go(self, consumer: Consumer) -> Iterator[LogEvent]:
        """Stop asking for what the broker refuses to hand out, and waiting for it."""
        places = self._places
        refused = places.aside & consumer.raw.assignment()
        if not refused:
            return
        for partition in refused:
            places.next[partition] = consumer.place(partition)
        consumer.raw.assign(list(consumer.raw.assignment() - refused))
        yield PollResult([Records(Partition(*partition), (), 0) for partition in refused])
        places.behind = {partition: lag for partition, lag in places.behind.items() if partition not in refused}

    def _hand_over(self, consumer: Consumer, polled: Mapping[TopicPartition, Sequence[Record]]) -> Iterator[LogEvent]:
        """Tell everything at once that a poll has brought, and what more is known to be there."""
        places = self._places
        heard = consumer.hear()
        batches: list[Records] = []
        for partition, records in polled.items():
            yield from places.skipped(partition, records[0].offset)
            batches.append(self._batch(consumer, partition, records))
        batches.extend(
            self._batch(consumer, partition, ())
            for partition in (heard | places.behind.keys()) & consumer.raw.assignment() - polled.keys()
            if consumer.lag(partition) != places.behind.get(partition, 0)
        )
        if batches:
            yield PollResult(batches)
        for partition in polled:
            places.next[partition] = consumer.place(partition)

    def _batch(self, consumer: Consumer, partition: TopicPartition, records: Sequence[Record]) -> Records:
        behind = self._places.behind
        lag = behind[partition] = consumer.lag(partition)
        if not lag:
            del behind[partition]
        return Records(Partition(*partition), records, lag)
