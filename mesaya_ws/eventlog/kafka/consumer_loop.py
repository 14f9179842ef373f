"""What one follower's thread does: it polls all partitions, and yields events.

    refresh due? ──▶ metadata: assign what exists, resolve invalid offsets ──▶ LogMetadata, Gap, Truncated …
         │
         ▼
       poll ──▶ unassign what the broker refuses ──▶ new epochs ──▶ records ──▶ PollResult

The loop is a generator without Trio, for one thread. A partition's next offset advances only after the events before it
have been consumed, so that new clients can go on from there at any time.
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
from mesaya_ws.eventlog.kafka.driver.clients import GRACE, Clients, Options, timings_in
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer, PoisonError
from mesaya_ws.eventlog.kafka.metadata import fetch_metadata
from mesaya_ws.eventlog.kafka.metadata_refresh import RETRY_INTERVAL, MetadataRefresh, Outages
from mesaya_ws.eventlog.kafka.places import Places

POLL_TIMEOUT = 0.2
"""Seconds that a poll waits for records at most, and within which a cancelled follower ends."""

PAUSED_TIMEOUT = 0.01
"""The same, while a partition is paused."""

INVALID_INTERVAL = 0.005
"""Seconds between two polls while a partition has an invalid offset."""


class ConsumerLoop:
    """Reads `topics` from `start` on; when its clients fail, with new ones.

    A topic in `made` is created with its first record: until then, that it does not exist is no trouble.
    """

    def __init__(
        self,
        options: Options,
        topics: Collection[str],
        start: Mapping[Partition, PartitionPosition],
        paused: Paused,
        made: Collection[str],
    ) -> None:
        self._options = options
        self._topics = topics
        self._paused = paused
        self._clients = Clients(options)
        timings = timings_in(options)
        self._places = Places(start, made, timings.unreadable_after)
        self._outages = Outages(partial(reason, options), monotonic(), timings)

    def interrupt(self) -> None:
        """Close the clients from another thread: a call that hangs in them raises, and new clients go on."""
        self._clients.interrupt()

    def events(self) -> Generator[LogEvent | None, None, None]:
        """Yield events, and None several times a second when there are none. Never ends."""
        while True:
            yield None
            self._clients = Clients(self._options)
            with ThreadPoolExecutor(1) as aside:
                try:
                    yield from self._read(aside)
                except Exception:  # noqa: BLE001 - whatever it is, new clients go on from the same offsets
                    yield from self._outages.no_answer(monotonic())
                finally:
                    # A refresh may be opening a connection, which nobody would close.
                    wait([aside.submit(bool)], GRACE)
                    self._clients.close()
            retry_at = monotonic() + RETRY_INTERVAL
            while monotonic() < retry_at:
                yield None
                time.sleep(0.05)

    def _read(self, aside: Executor) -> Iterator[LogEvent | None]:
        """Yield events until the clients fail; metadata is fetched in the executor `aside`."""
        places = self._places
        admin, consumer = self._clients.admin(), self._clients.consumer()
        refresh = MetadataRefresh(lambda: aside.submit(fetch_metadata, admin, self._topics), self._outages, monotonic())
        while True:
            now = monotonic()
            if refresh.begin(now):
                consumer.begin_refresh()
                to_resolve = set(places.invalid)
            metadata = yield from refresh.result(now)
            if metadata is not None:
                yield from self._outages.answered(monotonic())
                yield from places.on_metadata(consumer, metadata, refresh.began_at, to_resolve)
            yield None
            if not consumer.raw.assignment():
                refresh.wait(RETRY_INTERVAL / 5)
                continue
            polled = self._poll(consumer)
            yield from self._unassign_refused(consumer)
            # Records of a re-created topic have offsets of a new log, and after an invalid offset only the next refresh
            # knows where to go on: neither may be delivered.
            strange = [
                partition
                for partition in polled
                if partition in places.invalid or consumer.topic_id(partition.topic) != places.ids[partition.topic]
            ]
            for partition in strange:
                places.seek(consumer, partition)
                del polled[partition]
            yield from self._new_epochs(consumer, strange)
            yield from self._records(consumer, polled)
            if strange or places.invalid:
                refresh.expedite()
                # Until then each poll returns at once, with the same.
                time.sleep(INVALID_INTERVAL)

    def _poll(self, consumer: Consumer) -> dict[TopicPartition, Sequence[Record]]:
        """Wait for records, and return at most a batch of them. Unreadable ones are noted and skipped."""
        places = self._places
        try:
            # A partition that is resumed must not wait for the idle ones.
            polled = consumer.poll(PAUSED_TIMEOUT if consumer.pause(self._paused()) else POLL_TIMEOUT)
        except OffsetOutOfRangeError as error:
            places.invalid |= dict.fromkeys(error.args[0])
        except LogTruncationError as error:
            places.invalid |= {
                partition: places.agreed(partition, at) for partition, at in error.divergent_offsets.items()
            }
        except PoisonError as error:
            partition, offset, why, too_large = error.poison
            places.poisoned.setdefault(partition, (places.next[partition], why, too_large))
            consumer.raw.seek(partition, offset + 1)
        except BrokerResponseError:
            # It concerns one partition; its offset is kept, the others go on.
            refused = {
                partition
                for partition, code in consumer.failing.items()
                if not issubclass(for_code(code), RetriableError)
            }
            places.refused |= refused & consumer.raw.assignment()
            if not refused:
                time.sleep(RETRY_INTERVAL / 5)
        else:
            return polled
        return {}

    def _new_epochs(self, consumer: Consumer, strange: Collection[TopicPartition]) -> Iterator[LogEvent]:
        """Yield the new epochs of polled records, except for partitions whose records are dropped."""
        places = self._places
        begun = [
            (Partition(*partition), offset, number)
            for partition, offset, number in consumer.epochs()
            if partition not in strange and places.epochs[partition].begin(offset, number)
        ]
        if begun:
            yield EpochsBegun(begun)

    def _unassign_refused(self, consumer: Consumer) -> Iterator[LogEvent]:
        """Stop fetching what the broker refuses, and stop counting it as lag."""
        places = self._places
        refused = places.refused & consumer.raw.assignment()
        if not refused:
            return
        for partition in refused:
            places.next[partition] = consumer.place(partition)
        consumer.raw.assign(list(consumer.raw.assignment() - refused))
        yield PollResult([Records(Partition(*partition), (), 0) for partition in refused])
        places.lags = {partition: lag for partition, lag in places.lags.items() if partition not in refused}

    def _records(self, consumer: Consumer, polled: Mapping[TopicPartition, Sequence[Record]]) -> Iterator[LogEvent]:
        """Yield everything that a poll has returned, and changes of lag, as one event."""
        places = self._places
        updated = consumer.updated()
        batches: list[Records] = []
        for partition, records in polled.items():
            yield from places.unreadable(partition, records[0].offset)
            batches.append(self._batch(consumer, partition, records))
        batches.extend(
            self._batch(consumer, partition, ())
            for partition in (updated | places.lags.keys()) & consumer.raw.assignment() - polled.keys()
            if consumer.lag(partition) != places.lags.get(partition, 0)
        )
        if batches:
            yield PollResult(batches)
        for partition in polled:
            places.next[partition] = consumer.place(partition)

    def _batch(self, consumer: Consumer, partition: TopicPartition, records: Sequence[Record]) -> Records:
        lags = self._places.lags
        lag = lags[partition] = consumer.lag(partition)
        if not lag:
            del lags[partition]
        return Records(Partition(*partition), records, lag)
