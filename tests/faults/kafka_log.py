"""Kafka, written by a producer that does not give up."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import Any

import trio
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaTimeoutError

from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.eventlog.kafka.driver.clients import Clients, connection_options
from mesaya_ws.settings import Settings
from tests.kafka_broker import create_topic
from tests.timing import PATIENCE

from .log import Held

ACKNOWLEDGED_WITHIN = 600.0
"""Seconds in which the broker must take what is written; longer than any outage here, on a machine however busy."""

Places = dict[TopicPartition, int]

_UNREADABLE = (UnicodeDecodeError, CorruptRecordError)


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
        self._next: dict[tuple[TopicPartition, int], int] = {}

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
        """Read what has come since the last time."""
        with closing(KafkaConsumer(bootstrap_servers=self.address)) as consumer:
            topics = sorted(consumer.topics() & {*TOPICS, HOLDS})
            known = [TopicPartition(topic, at) for topic in topics for at in consumer.partitions_for_topic(topic)]
            begins, ends = consumer.beginning_offsets(known), consumer.end_offsets(known)
        places = {at: max(begin, self._next.get((at, self._life(at)), 0)) for at, begin in begins.items()}
        places = {at: place for at, place in places.items() if place < ends[at]}
        try:
            self._read_on(places, ends)
        except _UNREADABLE:
            for at in places:
                self._read_around(at, places, ends)
        self._next |= {(at, self._life(at)): place for at, place in places.items()}

    def _read_on(self, places: Places, ends: Places, at_once: int = 10_000) -> None:
        """Read partitions to their ends, and move the places on."""
        # A consumer that has met something unreadable is of no use any more.
        with closing(KafkaConsumer(bootstrap_servers=self.address, max_poll_records=at_once)) as consumer:
            consumer.assign(list(places))
            for at, place in places.items():
                consumer.seek(at, place)
            while any(place < ends[at] for at, place in places.items()):
                for at, records in consumer.poll(1000).items():
                    self._keep(at, records)
                    places[at] = records[-1].offset + 1

    def _read_around(self, at: TopicPartition, places: Places, ends: Places) -> None:
        """Read a partition to its end, without what the client cannot read: of several, nobody knows which it is."""
        while places[at] < ends[at]:
            own = {at: places[at]}
            try:
                self._read_on(own, ends, at_once=1)
            except _UNREADABLE:
                own[at] += 1
            places |= own

    async def read_topic(self, topic: str) -> list[Held]:
        def read() -> list[Held]:
            held: list[Held] = []
            with closing(KafkaConsumer(bootstrap_servers=self.address)) as consumer:
                places = [TopicPartition(topic, at) for at in consumer.partitions_for_topic(topic) or ()]
                ends = consumer.end_offsets(places)
                consumer.assign(places)
                consumer.seek_to_beginning()
                while any(consumer.position(at) < ends[at] for at in places):
                    for at, records in consumer.poll(1000).items():
                        held += [Held(*at, one.offset, one.timestamp, one.value, 0, tuple(at)) for one in records]
            return held

        return await trio.to_thread.run_sync(read)

    def _keep(self, at: TopicPartition, records: Sequence[Any]) -> None:
        for one in records:
            held = Held(*at, one.offset, one.timestamp, one.value, self._life(at), tuple(at))
            self._held[*at, held.life, held.offset] = held

    def _life(self, at: TopicPartition) -> int:
        return self.lives.get(at.topic, 0)

    async def write_unreadable(self) -> None:
        """Write a record with a header whose name is not UTF-8, which other clients can do."""

        def send() -> None:
            # What is in one batch with it cannot be read by our client either.
            with closing(KafkaProducer(bootstrap_servers=self.address)) as producer:
                producer.send(topic_of("tables"), b"{}", b"poison", headers=[(_NotText("h"), b"")]).get(PATIENCE)

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

    async def create(self, *topics: str, partitions: int = 1) -> None:
        """Create topics."""

        def create(admin: KafkaAdminClient) -> None:
            for topic in topics:
                create_topic(admin, topic, partitions)

        await self.administer(create)

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
async def kafka_log(address: str, *, without: Sequence[str] = (), partitions: int = 1) -> AsyncIterator[KafkaLog]:
    """Make the platform's topics anew, but some, on a broker that nobody else uses."""
    log = KafkaLog(address)
    left = await log.administer(lambda admin: set(admin.list_topics()) & {*TOPICS, HOLDS})
    if left:
        await log.delete(*left)
    await log.create(*(topic for topic in TOPICS if topic not in without), partitions=partitions)
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
        delivery_timeout_ms=round(ACKNOWLEDGED_WITHIN * 1000),
    )
    log._producer = await trio.to_thread.run_sync(make)
    try:
        yield log
    finally:
        with trio.CancelScope(shield=True):
            # What a test that has failed left unsent must not hide why.
            with suppress(KafkaTimeoutError):
                await trio.to_thread.run_sync(partial(log._producer.close, 2))
            await trio.to_thread.run_sync(clients.close)
