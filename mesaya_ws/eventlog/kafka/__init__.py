"""The event log on Apache Kafka. Only this package uses the client, kafka-python."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager

import trio

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog, Paused, nothing_is_paused
from mesaya_ws.core.log.records import BEGINNING, Appended, NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.eventlog.kafka.diagnosis import capture_client_logs
from mesaya_ws.eventlog.kafka.driver.clients import Options, connection_options
from mesaya_ws.eventlog.kafka.driver.fetch_requests import reuse_fetch_partitions
from mesaya_ws.eventlog.kafka.follower import Follower
from mesaya_ws.eventlog.kafka.producer import Producer
from mesaya_ws.eventlog.kafka.reader import Reader
from mesaya_ws.eventlog.kafka.timings import DEFAULTS, Timings
from mesaya_ws.eventlog.kafka.topic_admin import ACK_CONFIGS as ACK_CONFIGS
from mesaya_ws.eventlog.kafka.topic_admin import CHAT_CONFIGS as CHAT_CONFIGS
from mesaya_ws.eventlog.kafka.topic_admin import COMPACTED as COMPACTED
from mesaya_ws.eventlog.kafka.topic_admin import HOLD_CONFIGS as HOLD_CONFIGS
from mesaya_ws.eventlog.kafka.topic_admin import PRESENCE_CONFIGS as PRESENCE_CONFIGS
from mesaya_ws.eventlog.kafka.topic_admin import RETAIN_FOREVER as RETAIN_FOREVER
from mesaya_ws.eventlog.kafka.topic_admin import Configs
from mesaya_ws.settings import Settings

NO_TOPICS: Mapping[str, Configs] = {}


@asynccontextmanager
async def open_kafka_log(
    settings: Settings, create: Mapping[str, Configs] = NO_TOPICS, timings: Timings = DEFAULTS
) -> AsyncIterator[EventLog]:
    """Open the log on KAFKA_BROKERS, without waiting for them.

    A missing topic in `create` is created with its first record. Raises `SettingsError` when a file for TLS cannot be
    used.
    """
    capture_client_logs()
    reuse_fetch_partitions()
    log = KafkaLog(connection_options(settings, timings), settings.kafka_topics, create)
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
        """See `EventLog.append`. A record's key decides on its partition; without a key it goes to any."""
        return await self._producer.append(records)

    async def follow(
        self,
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """See `EventLog.follow`. New topics and partitions are read within a few seconds."""
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
        """End the threads of producer and reader, in a few seconds at most; a follower ends its own thread."""
        self._producer.close()
        self._reader.close()
