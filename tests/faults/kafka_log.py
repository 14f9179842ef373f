"""Kafka, written by a producer that does not give up."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import trio
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CorruptRecordError

from mesaya_ws.core.event_log import TOPICS, NewRecord, topic_of
from mesaya_ws.eventlog.kafka.clients import Clients, connection_options
from mesaya_ws.settings import Settings

from .log import Held

ACKNOWLEDGED_WITHIN = 60.0
"""Seconds in which the broker must take what is written; longer than any outage here."""


class KafkaLog:
    """A `Log` on a broker."""

    name = "Kafka"

    def __init__(self, address: str) -> None:
        self.address = address
        self.settings = {"KAFKA_BROKERS": address}
        self.lives: dict[str, int] = {}
        self._producer: KafkaProducer
        self._sent: list[Any] = []
        self._held: dict[tuple[str, int, int, int], Held] = {}

    async def write(self, records: Sequence[NewRecord]) -> None:
        def send() -> None:
            self._sent += [self._producer.send(topic, value, key) for topic, value, key in records]

        await trio.to_thread.run_sync(send)

    async def settle(self) -> None:
        def wait() -> None:
            sent, self._sent = self._sent, []
            for future in sent:
                future.get(ACKNOWLEDGED_WITHIN)

        await trio.to_thread.run_sync(wait)

    async def read_back(self) -> list[Held]:
        await trio.to_thread.run_sync(self._read)
        return merged(self._held.values())

    def _read(self) -> None:
        with closing(self._consumer()) as consumer:
            partitions = [
                TopicPartition(topic, number)
                for topic in sorted(consumer.topics() & set(TOPICS))
                for number in consumer.partitions_for_topic(topic)
            ]
            begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for partition in partitions:
            at = begins[partition]
            while at < ends[partition]:
                at = self._read_from(partition, at, ends[partition])

    def _read_from(self, partition: TopicPartition, at: int, end: int, at_once: int = 10_000) -> int:
        """Read a partition from `at` to `end`, or to what the client cannot read; return where to go on."""
        topic, number = partition
        life = self.lives.get(topic, 0)
        # A consumer that has met something unreadable is of no use any more.
        with closing(self._consumer(at_once)) as consumer:
            consumer.assign([partition])
            consumer.seek(partition, at)
            while at < end:
                try:
                    records = consumer.poll(1000).get(partition, [])
                except (UnicodeDecodeError, CorruptRecordError):
                    # Of several, nobody knows which it is.
                    return at + 1 if at_once == 1 else self._read_from(partition, at, end, 1)
                for one in records:
                    held = Held(topic, number, one.offset, one.timestamp, one.value, life, (topic, number))
                    self._held[topic, number, life, one.offset] = held
                    at = one.offset + 1
        return at

    def _consumer(self, at_once: int = 1) -> KafkaConsumer:
        return KafkaConsumer(bootstrap_servers=self.address, max_poll_records=at_once)

    async def write_unreadable(self) -> None:
        """Write a record with a header whose name is not UTF-8, which other clients can do."""

        def send() -> None:
            # What is in one batch with it cannot be read by our client either.
            with closing(KafkaProducer(bootstrap_servers=self.address)) as producer:
                producer.send(topic_of("tables"), b"{}", b"poison", headers=[(_NotText("h"), b"")]).get(10)

        await trio.to_thread.run_sync(send)

    # What an administrator does

    async def remove(self, *topics: str) -> list[Held]:
        removed = [held for held in await self.read_back() if held.topic in topics]
        partitions = {TopicPartition(held.topic, held.partition) for held in removed}
        await self.administer(lambda admin: admin.delete_records(dict.fromkeys(partitions, -1)))
        return removed

    async def recreate(self, topic: str) -> None:
        await self.read_back()
        self.lives[topic] = self.lives.get(topic, 0) + 1
        await self.delete(topic)
        await self.create(topic)

    async def administer(self, act: Any) -> Any:
        """Let `act` do something with an admin client."""

        def administer() -> Any:
            with closing(KafkaAdminClient(bootstrap_servers=self.address)) as admin:
                return act(admin)

        return await trio.to_thread.run_sync(administer)

    async def create(self, *topics: str) -> None:
        """Create topics of one partition each."""
        wanted = {topic: {"num_partitions": 1, "replication_factor": 1} for topic in topics}
        await self.administer(lambda admin: admin.create_topics(wanted))

    async def delete(self, *topics: str) -> None:
        """Delete topics, and wait until they are gone."""
        await self.administer(partial(_delete, topics))


class _NotText(str):
    def encode(self, *_: object) -> bytes:
        return b"\xff"


def _delete(topics: Sequence[str], admin: KafkaAdminClient) -> None:
    admin.delete_topics(list(topics))
    while set(admin.list_topics()) & set(topics):
        trio.from_thread.run(trio.sleep, 0.05)


def merged(held: Iterable[Held]) -> list[Held]:
    """Return records in the order in which a replica that reads all of them takes them.

    "Among the heads of all partitions the smallest (timestamp, topic, partition)"; "within a partition the order never
    changes".
    """
    queues: dict[object, list[Held]] = {}
    for one in sorted(held, key=lambda one: (one.life, one.offset)):
        queues.setdefault(one.source, []).append(one)
    for queue in queues.values():
        queue.reverse()
    order = []
    while queues:
        source = min(queues, key=lambda source: (queues[source][-1].timestamp, source))
        order.append(queues[source].pop())
        if not queues[source]:
            del queues[source]
    return order


@asynccontextmanager
async def kafka_log(address: str, *, without: Sequence[str] = ()) -> AsyncIterator[KafkaLog]:
    """Make the platform's topics anew, but some, on a broker that nobody else uses."""
    log = KafkaLog(address)
    left = await log.administer(lambda admin: set(admin.list_topics()) & set(TOPICS))
    if left:
        await log.delete(*left)
    await log.create(*(topic for topic in TOPICS if topic not in without))
    # It keeps what it could not deliver, and never gives up. The package's connections close what fails, where
    # kafka-python leaves it to the garbage collector.
    options = {**connection_options(Settings(kafka_brokers=(address,))), "metadata_max_age_ms": 1000}
    clients = Clients(options)
    make = partial(
        clients.producer,
        acks="all",
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,
        max_block_ms=60_000,
    )
    log._producer = await trio.to_thread.run_sync(make)
    try:
        yield log
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(partial(log._producer.close, 2))
            await trio.to_thread.run_sync(clients.close)
