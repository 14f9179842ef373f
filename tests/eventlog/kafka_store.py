"""A place on a Kafka for one test: topics with names of their own, and what an administrator does to them."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from itertools import count
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import attrs
import trio
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError

from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Partition
from mesaya_ws.eventlog.kafka import NO_TOPICS, open_kafka_log
from mesaya_ws.eventlog.kafka.timings import DEFAULTS, Timings
from mesaya_ws.eventlog.kafka.topic_admin import Configs
from mesaya_ws.settings import Settings
from tests.timing import PATIENCE

PARTITIONS = 2

HASTY = Timings(refresh_interval=0.2, outage_after=1.0, connect_timeout=1.5)
"""For tests that wait for what a follower notices by looking."""

CLOSING = {"proxy_url": "direct://"}
"""The option that has a client close the sockets that get no connection, as ours do: a broker may be away."""


@attrs.frozen
class KafkaStore:
    """Three topics; they exist after `create`."""

    brokers: str
    topics: tuple[str, ...] = attrs.field(factory=lambda: tuple(f"test.{name}.{uuid4().hex}" for name in "abc"))
    foreign: str = "test.foreign"
    timings: Timings = DEFAULTS

    def settings(self, **others: Any) -> Settings:
        return Settings(**{"kafka_brokers": (self.brokers,), "kafka_topics": self.topics} | others)

    def open(self, create: Mapping[str, Configs] = NO_TOPICS, **others: Any) -> AbstractAsyncContextManager[EventLog]:
        """Open the log, with other settings than `settings` has."""
        return open_kafka_log(self.settings(**others), create, self.timings)

    def with_timings(self, **timings: float) -> "KafkaStore":
        """Return the same place, for a log that waits otherwise."""
        return attrs.evolve(self, timings=attrs.evolve(self.timings, **timings))

    async def remove_before(self, partition: Partition, offset: int) -> None:
        await self.administer(lambda admin: admin.delete_records({TopicPartition(*partition): offset}))

    async def create(self, *topics: str, partitions: int = PARTITIONS, **configs: str) -> None:
        """Create topics; one that is being deleted, as soon as it is gone, and all once the broker is there."""
        of = {name.replace("_", "."): value for name, value in configs.items()}

        def create(admin: KafkaAdminClient) -> None:
            for topic in topics or self.topics:
                for _ in count():
                    try:
                        admin.create_topics(
                            {topic: {"num_partitions": partitions, "replication_factor": 1, "configs": of}}
                        )
                        break
                    except (TopicAlreadyExistsError, InvalidReplicationFactorError):
                        sleep(0.05)

        await self.administer(create)

    async def administer(self, act: Any) -> Any:
        """Let `act` do something with an admin client, in a thread."""

        def administer() -> Any:
            with closing(
                KafkaAdminClient(bootstrap_servers=self.brokers, bootstrap_timeout_ms=60_000, **CLOSING)
            ) as admin:
                return act(admin)

        return await trio.to_thread.run_sync(administer)

    async def delete(self, topic: str) -> None:
        """Delete a topic, and wait until it is gone."""

        def delete(admin: KafkaAdminClient) -> None:
            admin.delete_topics([topic])
            deadline = monotonic() + 60
            while not admin.describe_topics([topic])[0]["error_code"]:
                assert monotonic() < deadline
                sleep(0.02)

        await self.administer(delete)

    async def produce(self, topic: str, values: list[bytes], **options: Any) -> None:
        """Produce as another program does, with another client's settings."""
        await trio.to_thread.run_sync(partial(self._produce, topic, values, **options))

    def _produce(
        self, topic: str, values: list[bytes], partition: int = 0, headers: Any = None, **options: Any
    ) -> None:
        with closing(KafkaProducer(bootstrap_servers=self.brokers, **CLOSING, **options)) as producer:
            for future in [producer.send(topic, value, partition=partition, headers=headers) for value in values]:
                future.get(PATIENCE)
