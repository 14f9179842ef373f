"""The event log on Apache Kafka. All that knows the client, kafka-python, is in this package."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager

import trio

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog, Paused, nothing_is_paused
from mesaya_ws.core.log.records import BEGINNING, Appended, NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.eventlog.kafka.diagnosis import listen
from mesaya_ws.eventlog.kafka.driver.clients import Options, connection_options
from mesaya_ws.eventlog.kafka.driver.consumer import reuse_fetch_partitions
from mesaya_ws.eventlog.kafka.follower import Follower
from mesaya_ws.eventlog.kafka.producer import Producer
from mesaya_ws.eventlog.kafka.reader import Reader
from mesaya_ws.eventlog.kafka.topic_admin import COMPACTED as COMPACTED
from mesaya_ws.eventlog.kafka.topic_admin import KEPT as KEPT
from mesaya_ws.eventlog.kafka.topic_admin import Configs
from mesaya_ws.settings import Settings

NO_TOPICS: Mapping[str, Configs] = {}


@asynccontextmanager
async def open_kafka_log(settings: Settings, create: Mapping[str, Configs] = NO_TOPICS) -> AsyncIterator[EventLog]:
    """Open the log on KAFKA_BROKERS; whether they answer is found out by what is asked of it.

    Topics that are missing when the first record comes for them are created if they are in `create`. Raises
    `SettingsError` when a file for TLS cannot be used.
    """
    listen()
    reuse_fetch_partitions()
    log = KafkaLog(connection_options(settings), settings.kafka_topics, create)
    try:
        yield log
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(log.close)


class KafkaLog:
    """An `EventLog` on Kafka; made by `open_kafka_log`. Each partition is a source."""

    def __init__(self, options: Options, topics: Collection[str], create: Mapping[str, Configs]) -> None:
        self._options = options
        self._topics = topics
        self._made = frozenset(create)
        self._producer = Producer(options, topics, create)
        self._reader = Reader(options, topics)

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. A record is put where its key says; one without a key, anywhere."""
        return await self._producer.append(records)

    async def follow(
        self,
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """See `EventLog.follow`. Topics and partitions that are new are read a few seconds after they were created."""
        await Follower(self._options, self._topics, deliver, start, paused, self._made).run()

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        """See `EventLog.read`."""
        return await self._reader.read(partition, start, limit)

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, OffsetRange]:
        """See `EventLog.extents`."""
        return await self._reader.extents(skip_refused=skip_refused)

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """See `EventLog.lost_ends`."""
        return await self._reader.lost_ends(places)

    def close(self) -> None:
        """End the threads of producer and reader (a follower ends its own). Takes a few seconds at most."""
        self._producer.close()
        self._reader.close()
