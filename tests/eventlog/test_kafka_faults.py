"""What happens to Kafka, and what a follower receives of it; on a broker that these tests have for themselves."""

import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trio
import trustme
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.consumer.fetcher import Fetcher
from kafka.errors import KafkaError, LogTruncationError

from mesaya_ws.core.log.events import (
    Available,
    Corrupt,
    EpochsBegun,
    Gap,
    LogEvent,
    LogMetadata,
    Records,
    TopicRecreated,
    Unavailable,
)
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import BEGINNING, NewRecord, Partition, TooLarge
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka import COMPACTED, consumer_loop, open_kafka_log
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer
from mesaya_ws.eventlog.kafka.metadata import Metadata, fetch_metadata
from mesaya_ws.eventlog.kafka.timings import Timings
from mesaya_ws.settings import SettingsError
from tests.kafka_broker import SASL_PASSWORD, SASL_USER, Broker
from tests.support.certificates import write_pem

from .contract import PATIENCE, Ear, SlowEar, following, numbered, place
from .kafka_store import PARTITIONS, KafkaStore

pytestmark = pytest.mark.kafka

HASTY = Timings(refresh_interval=0.2, outage_after=1.0, connect_timeout=1.5)


@pytest.fixture
async def store(kafka_broker: Broker) -> KafkaStore:
    store = KafkaStore(kafka_broker.address)
    await store.create()
    return store


@pytest.fixture
def hasty(store: KafkaStore) -> KafkaStore:
    """The same, where it is looked, and given up, sooner than in production."""
    return attrs.evolve(store, timings=HASTY)


class Writer:
    """Appends numbers one after the other, and keeps those that were acknowledged."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self.log, self.topic = log, topic
        self.acknowledged: list[int] = []
        self._news = trio.Event()

    async def run(self) -> None:
        for number in count():
            try:
                await self.log.append([NewRecord(self.topic, b"%d" % number, b"one")])
                self.acknowledged.append(number)
                self._news.set()
            except LogUnavailableError:
                pass
            # At the pace of a busy platform.
            await trio.sleep(0.005)

    async def until(self, number: int) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.acknowledged) < number:
                self._news = trio.Event()
                await self._news.wait()


@asynccontextmanager
async def writing(log: EventLog, topic: str) -> AsyncIterator[Writer]:
    writer = Writer(log, topic)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        yield writer
        nursery.cancel_scope.cancel()


def check_complete(ear: Ear, writer: Writer) -> None:
    """Every offset once and in order; all that was acknowledged, in order. A repeat may have doubled one record."""
    offsets = [record.offset for record in ear.records]
    assert offsets == list(range(len(offsets)))
    numbers = list(dict.fromkeys(int(record.value or b"") for record in ear.records))
    assert numbers == sorted(numbers)
    assert set(writer.acknowledged) <= set(numbers)
    assert len(offsets) - len(numbers) <= 1


async def until_complete(ear: Ear, writer: Writer) -> None:
    last = b"%d" % writer.acknowledged[-1]
    await ear.until(lambda: any(record.value == last for record in ear.records))


def kinds(ear: Ear) -> list[type]:
    """Return what happened, without the looks, the records and their epochs."""
    return [type(news) for news in ear.news if not isinstance(news, LogMetadata | Records | EpochsBegun)]


# Topics that come and go


async def test_a_topic_that_is_created_later_is_read_from_its_beginning(kafka_broker: Broker):
    store = KafkaStore(kafka_broker.address, timings=HASTY)
    async with store.open() as log, following(log) as ear:
        await ear.until(lambda: bool(ear.news))
        assert [(news.extents, news.lags) for news in ear.all(LogMetadata)] == [({}, {})]
        await store.create(store.topics[1])
        await log.append(numbered(store.topics[1], 5))
        await ear.until_held(5)
    assert [record.value for record in ear.records] == [b"0", b"1", b"2", b"3", b"4"]


async def test_partitions_that_are_added_are_read_from_their_beginning(hasty: KafkaStore):
    topic = hasty.topics[0]
    async with hasty.open() as log, following(log) as ear:
        await log.append(numbered(topic, 5))
        await ear.until_held(5)
        await hasty.administer(lambda admin: admin.create_partitions({topic: 8}))
        await ear.until(lambda: isinstance(ear.news[-1], LogMetadata) and len(ear.news[-1].extents) == 12)
        for number in range(8):
            await hasty.produce(topic, [b"%d" % number], partition=number)
        await ear.until_held(13)
    assert [record.partition for record in sorted(ear.records[5:])] == list(range(8))


@pytest.mark.parametrize("count", [2, 30], ids=["shorter", "longer"])
async def test_a_topic_that_is_created_again_is_read_from_its_new_beginning(hasty: KafkaStore, count: int):
    topic = hasty.topics[0]
    async with hasty.open() as log, following(log) as ear:
        await log.append(numbered(topic, 10))
        await ear.until_held(10)
        await hasty.delete(topic)
        await hasty.create(topic)
        await log.append(numbered(topic, count))
        await ear.until_held(10 + count)
        ids = {at.topic: extent.topic_id for at, extent in (await log.extents()).items()}
    assert ear.all(TopicRecreated) == [TopicRecreated(topic, ids[topic])]
    reported = ear.news.index(TopicRecreated(topic, ids[topic]))
    assert sum(len(news.records) for news in ear.news[:reported] if isinstance(news, Records)) == 10
    assert [record.offset for record in ear.records[10:]] == list(range(count))


async def test_a_topic_that_does_not_exist_is_refused_at_once_and_not_created(kafka_broker: Broker):
    store = KafkaStore(kafka_broker.address)
    async with store.open() as log:
        with trio.fail_after(30), pytest.raises(RecordRejectedError, match="create it"):
            await log.append([NewRecord(store.topics[0], b"a")])
        assert await log.extents() == {}


async def test_slow_refresh_holds_up_no_records(hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch):
    begun, go_on, earlier = threading.Event(), threading.Event(), count()

    def fetch(*asked: Any) -> Metadata:
        if next(earlier):
            begun.set()
            go_on.wait(PATIENCE)
        return fetch_metadata(*asked)

    monkeypatch.setattr(consumer_loop, "fetch_metadata", fetch)
    async with hasty.open() as log, following(log) as ear:
        await ear.until(lambda: bool(ear.news))
        await trio.to_thread.run_sync(begun.wait, PATIENCE)
        await log.append(numbered(hasty.topics[0], 5))
        await ear.until_held(5)
        assert len(ear.all(LogMetadata)) == 1
        go_on.set()
        await ear.until(lambda: len(ear.all(LogMetadata)) == 2)
        assert ear.all(LogMetadata)[1].at < time() * 1000 - 100


async def test_records_after_an_invalid_offset_wait_for_a_refresh(hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch):
    at, earlier = TopicPartition(hasty.topics[0], 0), count()
    truncated, go_on = threading.Event(), threading.Event()
    poll = Consumer.poll

    def astray(consumer: Consumer, *options: Any) -> Any:
        if at in consumer.raw.assignment() and not truncated.is_set():
            truncated.set()
            raise LogTruncationError({at: OffsetAndMetadata(0, "", 0)})
        return poll(consumer, *options)

    def fetch(*asked: Any) -> Metadata:
        if next(earlier):
            go_on.wait(PATIENCE)
        return fetch_metadata(*asked)

    monkeypatch.setattr(Consumer, "poll", astray)
    monkeypatch.setattr(consumer_loop, "fetch_metadata", fetch)
    async with hasty.open() as log, following(log) as ear:
        await trio.to_thread.run_sync(truncated.wait, PATIENCE)
        await hasty.produce(hasty.topics[0], [b"astray"] * 3, partition=0)
        await log.append(numbered(hasty.topics[1], 3))
        await ear.until(lambda: len(ear.records) == 3)
        assert {record.topic for record in ear.records} == {hasty.topics[1]}
        go_on.set()
        await ear.until_held(6)
    assert [record.offset for record in ear.records if record.topic == at.topic] == [0, 1, 2]
    assert not ear.all(Corrupt)


# What is paused


async def test_of_a_paused_partition_nothing_comes_while_the_others_are_read(hasty: KafkaStore):
    early, late = (Partition(topic, 0) for topic in hasty.topics[:2])
    paused = {late}
    for at in (early, late):
        await hasty.produce(at.topic, [b"%d" % number for number in range(1000)], partition=0)
    async with hasty.open() as log, trio.open_nursery() as nursery:
        ear = Ear()
        nursery.start_soon(log.follow, ear.deliver, BEGINNING, lambda: frozenset(paused))
        await ear.until(lambda: len(ear.records) == 1000)
        await hasty.produce(early.topic, [b"more"], partition=0)
        await ear.until(lambda: len(ear.records) == 1001)
        assert {record.topic for record in ear.records} == {early.topic}
        assert ear.lags[late] == 1000
        paused.clear()
        await ear.until_held(2001)
        nursery.cancel_scope.cancel()
    assert [record.offset for record in ear.records if record.topic == late.topic] == list(range(1000))


async def test_what_is_paused_and_resumed_in_the_midst_of_it_comes_once_and_in_order(hasty: KafkaStore):
    """With several partitions; whatever had arrived of a paused one is not lost."""
    places = [Partition(topic, number) for topic in hasty.topics[:2] for number in (0, 1)]
    for at in places:
        values = [b"%d" % number + bytes(500) for number in range(2000)]
        await hasty.produce(at.topic, values, partition=at.number, compression_type="gzip")
    paused: set[Partition] = set()
    received = Counter[Partition]()

    class Pausing(Ear):
        """A follower that pauses what it has just received, as long as there is more of others."""

        async def deliver(self, news: LogEvent) -> None:
            known = len(self.records)
            await super().deliver(news)
            new = [Partition(record.topic, record.partition) for record in self.records[known:]]
            received.update(new)
            paused.clear()
            if any(received[at] < 2000 for at in places if at not in new):
                paused.update(new)

    async with hasty.open() as log, trio.open_nursery() as nursery:
        ear = Pausing()
        nursery.start_soon(log.follow, ear.deliver, BEGINNING, lambda: frozenset(paused))
        await ear.until_held(8000)
        nursery.cancel_scope.cancel()
    for at in places:
        of_it = [record for record in ear.records if (record.topic, record.partition) == at]
        assert [record.offset for record in of_it] == list(range(2000))


async def test_what_had_arrived_of_a_paused_topic_that_is_created_again_is_forgotten(hasty: KafkaStore):
    at = Partition(hasty.topics[0], 0)
    paused: set[Partition] = set()
    await hasty.produce(at.topic, [b"old" + bytes(500) for _ in range(2000)], partition=0)
    async with hasty.open() as log, trio.open_nursery() as nursery:
        ear = Ear()
        nursery.start_soon(log.follow, ear.deliver, BEGINNING, lambda: frozenset(paused))
        await ear.until(lambda: bool(ear.records))
        paused.add(at)
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        reported = len(ear.records)
        await hasty.delete(at.topic)
        await hasty.create(at.topic)
        await hasty.produce(at.topic, [b"new%d" % number for number in range(reported + 500)], partition=0)
        await ear.until(lambda: bool(ear.all(TopicRecreated)))
        ear.records.clear()
        paused.clear()
        await ear.until(lambda: len(ear.records) >= reported + 500)
        nursery.cancel_scope.cancel()
    assert [record.value for record in ear.records] == [b"new%d" % number for number in range(reported + 500)]


# What cannot be read


async def test_what_retention_removed_under_a_slow_follower_is_reported(hasty: KafkaStore):
    topic = hasty.topics[0]
    at = Partition(topic, 0)
    async with hasty.open() as log, trio.open_nursery() as nursery:
        slow = SlowEar()
        nursery.start_soon(log.follow, slow.deliver)
        await hasty.produce(topic, [b"%d" % number + bytes(10_000) for number in range(1000)])
        await slow.until(lambda: bool(slow.records))
        await hasty.remove_before(at, 990)
        slow.gate.set()
        await slow.until(lambda: bool(slow.records) and slow.records[-1].offset == 999)
        nursery.cancel_scope.cancel()
    (gap,) = slow.all(Gap)
    offsets = [record.offset for record in slow.records]
    assert gap.partition == at
    assert gap.next == 990
    assert offsets == [*range(gap.first), *range(990, 1000)]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
async def test_what_is_too_large_unpacked_is_skipped_and_reported(hasty: KafkaStore, codec: str):
    """What a few kilobytes in the log stand for takes neither the memory nor the time that it would."""
    topic = hasty.topics[0]
    at = Partition(topic, 0)
    large, huge = bytes(5 * 1024 * 1024), bytes(80 * 1024 * 1024)
    for value in (b"a", large, b"b", huge, b"c"):
        await hasty.produce(topic, [value], compression_type=codec, max_request_size=1 << 30)
    async with hasty.open() as log:
        async with following(log) as ear:
            await ear.until(lambda: bool(ear.records) and ear.records[-1].value == b"c" and not any(ear.lags.values()))
        assert [record.offset for record in await log.read(at, 0)] == [0, 1, 2, 4]
    assert [record.offset for record in ear.records] == [0, 1, 2, 4]
    assert isinstance(ear.records[1].value, TooLarge)
    assert ear.records[1].value.size > len(large)
    (skipped,) = ear.all(Corrupt)
    assert skipped == Corrupt(at, 3, 4, skipped.reason, too_large=True)
    assert "unpacked" in skipped.reason


class NotText(str):
    """A header's name that other clients can send: bytes that are not UTF-8."""

    def encode(self, *_: object) -> bytes:
        return b"\xff"


async def test_headers_are_what_their_producers_like(hasty: KafkaStore):
    topic = hasty.topics[0]
    await hasty.produce(topic, [b"a"], headers=[("trace", b"1"), ("none", b"")])
    await hasty.produce(topic, [b"x", b"y"], headers=[(NotText("h"), b"")])
    await hasty.produce(topic, [b"b"])
    async with hasty.open() as log:
        async with following(log) as ear:
            await ear.until_held(4)
        assert await log.read(Partition(topic, 0), 0) == ear.records
    assert [record.value for record in ear.records] == [b"a", b"x", b"y", b"b"]
    assert not ear.all(Corrupt)


async def test_batches_that_are_damaged_on_disk_are_skipped_and_reported(kafka_broker: Broker, hasty: KafkaStore):
    topic = hasty.topics[0]
    at = Partition(topic, 0)
    await hasty.produce(topic, [b"before"])
    await hasty.produce(topic, [b"to be damaged", b"and this"])
    await hasty.produce(topic, [b"after"])
    await hasty.produce(topic, [b"to be damaged"])
    await trio.to_thread.run_sync(kafka_broker.stop)
    segment = kafka_broker.data / f"{topic}-0" / f"{0:020}.log"
    segment.write_bytes(
        segment.read_bytes().replace(b"to be damaged", b"has been hurt").replace(b"and this", b"and that")
    )
    await trio.to_thread.run_sync(kafka_broker.start)
    async with hasty.open() as log:
        async with following(log) as ear:
            await ear.until_held(2)
            await log.append(numbered(hasty.topics[1], 1))
            await ear.until(lambda: len(ear.all(Corrupt)) == 2 and len(ear.records) == 3)
        assert [record.value for record in await log.read(at, 0)] == [b"before", b"after"]
        assert await log.read(at, 4) == []
    first, second = ear.all(Corrupt)
    assert (first.partition, first.first, first.next) == (at, 1, 3)
    assert (second.partition, second.first, second.next) == (at, 4, 5)
    assert "checksum" in first.reason
    assert sorted(record.value for record in ear.records) == [b"0", b"after", b"before"]


async def test_a_damaged_batch_is_passed_by_at_once_however_many_it_holds(
    kafka_broker: Broker, hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch
):
    topic, values = hasty.topics[0], [b"undamaged%d" % number for number in range(300)]
    await hasty.produce(topic, values, linger_ms=1000)
    await hasty.produce(topic, [b"after"])
    await trio.to_thread.run_sync(kafka_broker.stop)
    segment = kafka_broker.data / f"{topic}-0" / f"{0:020}.log"
    segment.write_bytes(segment.read_bytes().replace(b"undamaged", b"outworn__"))
    await trio.to_thread.run_sync(kafka_broker.start)
    seek, places = KafkaConsumer.seek, list[int]()

    def watched_seek(consumer: KafkaConsumer, at: TopicPartition, offset: int) -> None:
        places.append(offset)
        seek(consumer, at, offset)

    async with hasty.open() as log, following(log) as ear:
        monkeypatch.setattr(KafkaConsumer, "seek", watched_seek)
        await ear.until(lambda: bool(ear.records) and bool(ear.all(Corrupt)))
    assert [record.offset for record in ear.records] == [300]
    assert [(skipped.first, skipped.next) for skipped in ear.all(Corrupt)] == [(0, 300)]
    assert [offset for offset in places if offset] == [300]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_read_and_from_the_middle_of_a_batch(store: KafkaStore, codec: str):
    values = [b"%d" % number * 100 for number in range(50)]
    await store.produce(store.topics[0], values, compression_type=codec, linger_ms=1000)
    async with store.open() as log:
        async with following(log) as ear:
            await ear.until_held(50)
        assert await log.read(Partition(store.topics[0], 0), 25) == ear.records[25:]
    assert [record.value for record in ear.records] == values


async def test_only_committed_records_of_transactions_are_read(store: KafkaStore):
    topic = store.topics[0]

    def produce(producer: KafkaProducer, *values: bytes) -> None:
        for value in values:
            producer.send(topic, value, partition=0).get(10)

    def act(producer: KafkaProducer) -> None:
        producer.init_transactions()
        producer.begin_transaction()
        produce(producer, b"committed")
        producer.commit_transaction()
        producer.begin_transaction()
        produce(producer, b"aborted")
        producer.abort_transaction()
        producer.begin_transaction()
        produce(producer, b"open")

    with closing(KafkaProducer(bootstrap_servers=store.brokers, transactional_id=topic)) as producer:
        await trio.to_thread.run_sync(act, producer)
        await store.produce(topic, [b"acknowledged"])
        async with store.open() as log, following(log) as ear:
            await ear.until_held(1)
            assert sum(ear.news[0].lags.values()) == 4, "two records and two marks"
            assert ear.all(Records)[0].lag == 0
            (trouble,) = ear.troubles
            assert (trouble.topic, trouble.number, trouble.kind) == (topic, 0, Hindrance.BLOCKED)
            assert trouble.withheld == 2, "that of the open transaction, and what has been acknowledged since"
            assert (await log.extents())[Partition(topic, 0)].end == 6
            assert [record.value for record in await log.read(Partition(topic, 0), 0)] == [b"committed"]
            await trio.to_thread.run_sync(producer.commit_transaction)
            await ear.until_held(3)
            await ear.until(lambda: not ear.troubles)
    assert [record.value for record in ear.records] == [b"committed", b"open", b"acknowledged"]


# Outages


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_nothing_is_lost_when_the_broker_goes_and_comes_back(kafka_broker: Broker, hasty: KafkaStore, end: str):
    topic = hasty.topics[0]
    async with hasty.open() as log, following(log) as ear:
        async with writing(log, topic) as writer:
            await writer.until(50)
            await trio.to_thread.run_sync(getattr(kafka_broker, end))
            await ear.until(lambda: bool(ear.all(Unavailable)))
            await trio.to_thread.run_sync(kafka_broker.start)
            await ear.until(lambda: bool(ear.all(Available)))
            await writer.until(len(writer.acknowledged) + 50)
        await until_complete(ear, writer)
    assert kinds(ear) == [Unavailable, Available]
    (outage,) = ear.all(Unavailable)
    assert outage.reason == (
        f"Kafka does not answer at {kafka_broker.address}: nothing listens there: start the broker, or see "
        "KAFKA_BROKERS."
    )
    check_complete(ear, writer)


@pytest.mark.parametrize("patience", [20.0, 1.0], ids=["thread waits", "thread is freed"])
async def test_nothing_is_lost_when_the_broker_hangs(kafka_broker: Broker, hasty: KafkaStore, patience: float):
    topic = hasty.topics[0]
    async with hasty.with_timings(hung_after=patience).open() as log, following(log) as ear:
        async with writing(log, topic) as writer:
            await writer.until(50)
            kafka_broker.freeze()
            try:
                await ear.until(lambda: bool(ear.all(Unavailable)))
            finally:
                kafka_broker.thaw()
            await ear.until(lambda: bool(ear.all(Available)))
            await writer.until(len(writer.acknowledged) + 50)
        await until_complete(ear, writer)
    assert kinds(ear) == [Unavailable, Available]
    assert "there is no answer in time" in ear.all(Unavailable)[0].reason
    check_complete(ear, writer)


async def test_a_broker_that_is_missing_at_the_start_is_waited_for(kafka_broker: Broker, hasty: KafkaStore):
    await hasty.produce(hasty.topics[0], [b"a"])
    await trio.to_thread.run_sync(kafka_broker.stop)
    async with hasty.open() as log, following(log) as ear:
        with pytest.raises(LogUnavailableError, match="nothing listens there"):
            await log.append([NewRecord(hasty.topics[0], b"b")])
        with pytest.raises(LogUnavailableError, match="nothing listens there"):
            await log.extents()
        await ear.until(lambda: bool(ear.news))
        await trio.to_thread.run_sync(kafka_broker.start)
        await ear.until_held(1)
        await log.append([NewRecord(hasty.topics[0], b"c")])
        await ear.until_held(2)
    assert [type(news) for news in ear.news[:3]] == [Unavailable, Available, LogMetadata]


async def test_a_cluster_that_has_moved_to_other_addresses_is_found(tmp_path: Path):
    # To connect as in production: how fast a broker answers that has just been started is not ours to say.
    timings = attrs.evolve(HASTY, renew_after=2.0, connect_timeout=5.0)
    old, new = Broker(tmp_path / "old"), Broker(tmp_path / "new")
    try:
        await trio.to_thread.run_sync(old.start)
        store = KafkaStore(old.address)
        await store.create()
        await store.produce(store.topics[0], [b"old"])
        settings = store.settings(kafka_brokers=(old.address, new.address))
        async with open_kafka_log(settings, timings=timings) as log, following(log) as ear:
            await ear.until_held(1)
            await trio.to_thread.run_sync(old.kill)
            await trio.to_thread.run_sync(new.start)
            moved = KafkaStore(new.address, store.topics)
            await moved.create()
            await moved.produce(store.topics[0], [b"new"])
            # Topics are created one after the other, and a look may find the first alone.
            await ear.until(lambda: len(ear.records) == 2 and len(ear.all(TopicRecreated)) == len(store.topics))
    finally:
        await trio.to_thread.run_sync(old.kill)
        await trio.to_thread.run_sync(new.kill)
    assert [record.value for record in ear.records] == [b"old", b"new"]
    assert {news.topic for news in ear.all(TopicRecreated)} == set(store.topics)


# Who we are


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_sasl(kafka_broker: Broker, store: KafkaStore, mechanism: str):
    sasl = sasl_settings(kafka_broker, mechanism, SASL_PASSWORD)
    async with open_kafka_log(store.settings(**sasl)) as log, following(log) as ear:
        await log.append(numbered(store.topics[0], 3))
        await ear.until_held(3)


def sasl_settings(broker: Broker, mechanism: str, password: str) -> dict[str, object]:
    return {
        "kafka_brokers": (broker.sasl_address,),
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": SASL_USER,
        "kafka_sasl_password": password,
    }


@pytest.mark.parametrize("operation", [ACLOperation.ALL, ACLOperation.DESCRIBE])
async def test_a_topic_that_may_not_be_read_is_reported_and_the_others_go_on(
    kafka_broker: Broker, hasty: KafkaStore, operation: ACLOperation
):
    granted, forbidden, _ = hasty.topics
    # A rule for others takes every right from us; one for us, all rights but its own.
    rule = allowed(SASL_USER if operation is ACLOperation.DESCRIBE else "bob", operation, ResourceType.TOPIC, forbidden)
    await hasty.produce(forbidden, [b"a", b"b", b"c"])
    await hasty.administer(lambda admin: admin.create_acls([rule]))
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with hasty.open(**sasl) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.troubles))
        (trouble,) = ear.troubles
        assert (trouble.topic, trouble.kind) == (forbidden, Hindrance.REFUSED)
        assert f"let us read {forbidden}" in trouble.reason
        assert trouble.withheld == (3 if operation is ACLOperation.DESCRIBE else 0)
        with pytest.raises(RecordRejectedError, match="allow WRITE"):
            await log.append([NewRecord(forbidden, b"a")])
        with pytest.raises(LogUnavailableError, match=f"let us read {forbidden}"):
            await log.extents()
        assert {partition.topic for partition in await log.extents(skip_refused=True)} >= {granted}
        with pytest.raises(LogUnavailableError, match=f"let us read {forbidden}"):
            await log.read(Partition(forbidden, 0), 0)
        await log.append([NewRecord(granted, b"a")])
        await ear.until_held(1)
        await hasty.administer(lambda admin: admin.delete_acls([rule]))
        await ear.until_held(4)
        await ear.until(lambda: not ear.troubles)
    assert not ear.all(Unavailable)


async def test_a_right_that_is_withdrawn_stops_nothing_else(kafka_broker: Broker, store: KafkaStore):
    """No look comes meanwhile: it is the fetch that is refused."""
    granted, forbidden, _ = store.topics
    rule = allowed(SASL_USER, ACLOperation.DESCRIBE, ResourceType.TOPIC, forbidden)
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with open_kafka_log(store.settings(**sasl)) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        await store.administer(lambda admin: admin.create_acls([rule]))
        for number in range(3):
            await store.produce(forbidden, [b"%d" % number])
            await store.produce(granted, [b"%d" % number] * 10)
            await ear.until_held(10 * (number + 1))
        assert {record.topic for record in ear.records} == {granted}
        await ear.until(lambda: any(trouble.topic == forbidden for trouble in ear.troubles))
        assert sum(trouble.withheld for trouble in ear.troubles) == 3
        await store.administer(lambda admin: admin.delete_acls([rule]))
        await ear.until_held(33)
        await ear.until(lambda: not ear.troubles)
    assert [record.value for record in ear.records if record.topic == forbidden] == [b"0", b"1", b"2"]


async def test_a_partition_whose_fetches_fail_at_the_broker_stops_nothing_else(
    hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch
):
    sound, broken, _ = hasty.topics
    fails = True

    def handle(fetcher: Any, node: Any, places: Any, sent_at: float, response: Any) -> None:
        for topic in response.responses:
            for part in topic.partitions:
                if topic.topic == broken and fails and part.records:
                    part.error_code, part.records, part.high_watermark, part.last_stable_offset = -1, b"", -1, -1
        original(fetcher, node, places, sent_at, response)

    original = Fetcher._handle_fetch_response
    monkeypatch.setattr(Fetcher, "_handle_fetch_response", handle)
    async with hasty.with_timings(unreadable_after=0.1).open() as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        await hasty.produce(broken, [b"a", b"b"])
        await ear.until(lambda: any(trouble.withheld == 2 for trouble in ear.troubles))
        (trouble,) = ear.troubles
        assert (trouble.topic, trouble.number, trouble.kind) == (broken, 0, Hindrance.UNKNOWN)
        assert "hands out nothing" in trouble.reason
        await hasty.produce(sound, [b"%d" % number for number in range(50)])
        await ear.until_held(50)
        fails = False
        await ear.until_held(52)
        await ear.until(lambda: not ear.troubles)
    assert [record.value for record in ear.records if record.topic == broken] == [b"a", b"b"]


async def test_a_topic_that_does_not_exist_is_reported_unless_it_is_ours(store: KafkaStore):
    missing, own = f"test.missing.{uuid4().hex}", f"test.own.{uuid4().hex}"
    topics = (store.topics[0], missing, own)
    async with open_kafka_log(store.settings(kafka_topics=topics), {own: COMPACTED}) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        assert set(await log.extents()) == {Partition(store.topics[0], number) for number in range(PARTITIONS)}
    (trouble,) = ear.troubles
    assert (trouble.topic, trouble.number, trouble.kind) == (missing, None, Hindrance.ABSENT)


def allowed(principal: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
    pattern = ResourcePattern(kind, name)
    return ACL(f"User:{principal}", "*", operation, ACLPermissionType.ALLOW, pattern)


async def test_a_topic_of_our_own_is_made_with_the_first_record(kafka_broker: Broker, store: KafkaStore):
    own, other = f"test.own.{uuid4().hex}", f"test.own.{uuid4().hex}"
    rules = [
        allowed("bob", ACLOperation.CREATE, ResourceType.CLUSTER, "kafka-cluster"),
        allowed(SASL_USER, ACLOperation.WRITE, ResourceType.TOPIC, other),
    ]
    async with open_kafka_log(store.settings(kafka_topics=(own,)), {own: COMPACTED}) as log:
        assert await log.extents() == {}
        (appended,) = await log.append([NewRecord(own, b"a", b"k")])
        assert [record.value for record in await log.read(place(appended), 0)] == [b"a"]
    await store.administer(lambda admin: admin.create_acls(rules))
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with open_kafka_log(store.settings(kafka_topics=(other,), **sasl), {other: COMPACTED}) as log:
        with pytest.raises(RecordRejectedError, match=r"does not let us make it .* cleanup.policy=compact"):
            await log.append([NewRecord(other, b"a", b"k")])
    await store.administer(lambda admin: admin.delete_acls(rules))


async def first_reason(store: KafkaStore, **others: object) -> str:
    """Return why a follower with other settings than it needs reports an outage."""
    ear = Ear()
    async with open_kafka_log(store.settings(**others)) as log, trio.open_nursery() as nursery:
        nursery.start_soon(log.follow, ear.deliver)
        await ear.until(lambda: bool(ear.news))
        nursery.cancel_scope.cancel()
    (outage,) = ear.news
    assert isinstance(outage, Unavailable)
    return outage.reason


async def test_what_is_wrong_with_the_connection_is_reported(kafka_broker: Broker, hasty: KafkaStore):
    wrong = [
        ("refuses the credentials", sasl_settings(kafka_broker, "PLAIN", "a wrong password")),
        ("refuses the credentials", sasl_settings(kafka_broker, "SCRAM-SHA-256", "a wrong password")),
        ("does not offer this way to authenticate", sasl_settings(kafka_broker, "SCRAM-SHA-512", SASL_PASSWORD)),
        ("nothing listens there", {"kafka_brokers": ("127.0.0.1:9",)}),
        ("cannot be resolved", {"kafka_brokers": ("nowhere.invalid:9092",)}),
        ("does not speak TLS", {"kafka_security_protocol": "SSL"}),
        ("KAFKA_SECURITY_PROTOCOL (PLAINTEXT)", {"kafka_brokers": (kafka_broker.sasl_address,)}),
    ]
    for words, settings in wrong:
        reason = await first_reason(hasty, **settings)
        assert words in reason
        assert "a wrong password" not in reason


async def test_tls(kafka_broker: Broker, hasty: KafkaStore, tmp_path: Path):
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    write_pem(tmp_path / "broker.pem", authority.issue_cert("127.0.0.1"))
    client = write_pem(tmp_path / "client.pem", authority.issue_cert("mesaya-ws@example.com"))
    right = {
        "kafka_brokers": (kafka_broker.tls_address,),
        "kafka_security_protocol": "SSL",
        "kafka_ssl_cafile": str(tmp_path / "authority.pem"),
        "kafka_ssl_certfile": client,
        "kafka_ssl_keyfile": client,
    }
    kafka_broker.use_tls(tmp_path / "broker.pem", tmp_path / "authority.pem")
    await trio.to_thread.run_sync(kafka_broker.restart)
    async with hasty.open(**right) as log, following(log) as ear:
        await log.append(numbered(hasty.topics[0], 3))
        await ear.until_held(3)
    reason = await first_reason(hasty, **right | {"kafka_ssl_cafile": str(tmp_path / "other.pem")})
    assert "KAFKA_SSL_CAFILE" in reason
    reason = await first_reason(hasty, **right | {"kafka_ssl_certfile": "", "kafka_ssl_keyfile": ""})
    assert "KAFKA_SSL_CERTFILE" in reason
    right["kafka_brokers"] = (kafka_broker.tls_address.replace("127.0.0.1", "localhost"),)
    assert "KAFKA_SSL_CHECK_HOSTNAME" in await first_reason(hasty, **right)
    async with hasty.open(**right, kafka_ssl_check_hostname=False) as log:
        assert await log.extents()


async def test_reason_of_an_outage_is_the_present_one(kafka_broker: Broker, hasty: KafkaStore, tmp_path: Path):
    """The broker ends, comes back with a certificate of another authority, and then with the right one."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    for name, issuer in (("right.pem", authority), ("wrong.pem", other)):
        write_pem(tmp_path / name, issuer.issue_cert("127.0.0.1"))
    client = write_pem(tmp_path / "client.pem", authority.issue_cert("mesaya-ws@example.com"))
    kafka_broker.use_tls(tmp_path / "right.pem", tmp_path / "authority.pem")
    await trio.to_thread.run_sync(kafka_broker.restart)
    settings = hasty.settings(
        kafka_brokers=(kafka_broker.tls_address,),
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=str(tmp_path / "authority.pem"),
        kafka_ssl_certfile=client,
        kafka_ssl_keyfile=client,
    )
    async with open_kafka_log(settings, timings=hasty.timings) as log, following(log) as ear:
        await log.append(numbered(hasty.topics[0], 1))
        await ear.until_held(1)
        await trio.to_thread.run_sync(kafka_broker.stop)
        await ear.until(lambda: any("nothing listens there" in outage.reason for outage in ear.all(Unavailable)))
        kafka_broker.use_tls(tmp_path / "wrong.pem", tmp_path / "authority.pem")
        await trio.to_thread.run_sync(kafka_broker.start)
        await ear.until(lambda: "KAFKA_SSL_CAFILE" in ear.all(Unavailable)[-1].reason)
        kafka_broker.use_tls(tmp_path / "right.pem", tmp_path / "authority.pem")
        await trio.to_thread.run_sync(kafka_broker.restart)
        await ear.until(lambda: bool(ear.all(Available)))
        await log.append(numbered(hasty.topics[0], 1))
        await ear.until_held(2)
    assert kinds(ear)[-1] is Available
    assert len(ear.all(Available)) == 1


async def test_files_for_tls_are_checked_first(tmp_path: Path):
    tls = {"kafka_security_protocol": "SSL"}
    nowhere = str(tmp_path / "nowhere.pem")
    store = KafkaStore("127.0.0.1:9")
    with pytest.raises(SettingsError, match="KAFKA_SSL_CAFILE"):
        async with open_kafka_log(store.settings(kafka_ssl_cafile=nowhere, **tls)):
            pass
    with pytest.raises(SettingsError, match="KAFKA_SSL_CERTFILE"):
        async with open_kafka_log(store.settings(kafka_ssl_certfile=nowhere, kafka_ssl_keyfile=nowhere, **tls)):
            pass


# Threads


def kafka_threads() -> set[threading.Thread]:
    """Return the threads that are not Trio's idle ones."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}


async def test_no_thread_is_left(store: KafkaStore):
    before = kafka_threads()
    async with store.open() as log:
        await log.append(numbered(store.topics[0], 10))
        await log.extents()
        async with following(log) as ear:
            await ear.until_held(10)
        assert kafka_threads() > before
    assert kafka_threads() == before


async def test_follower_cancelled_during_a_hanging_refresh_ends_its_threads(
    kafka_broker: Broker, hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch
):
    hanging, ended, frozen = threading.Event(), trio.Event(), False

    def fetch(admin: KafkaAdminClient, topics: Collection[str]) -> Metadata:
        """Have no patience, so that nothing ends it while the broker hangs but that the client is closed."""
        while True:
            if frozen:
                hanging.set()
            try:
                return fetch_metadata(admin, topics)
            except KafkaError:
                if admin._closed or not frozen:
                    raise

    async def follow_until_cancelled() -> None:
        with scope:
            await log.follow(ear.deliver)
        ended.set()

    monkeypatch.setattr(consumer_loop, "fetch_metadata", fetch)
    ear, scope = Ear(), trio.CancelScope()
    async with hasty.open() as log, trio.open_nursery() as nursery:
        before = kafka_threads()
        nursery.start_soon(follow_until_cancelled)
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        kafka_broker.freeze()
        frozen = True
        try:
            await trio.to_thread.run_sync(hanging.wait, PATIENCE)
            scope.cancel()
            with trio.fail_after(PATIENCE):
                await ended.wait()
            assert kafka_threads() == before
        finally:
            frozen = False
            kafka_broker.thaw()


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
async def test_a_peer_that_stays_silent_holds_nobody_up(protocol: str):
    before = kafka_threads()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = KafkaStore(f"127.0.0.1:{silent.getsockname()[1]}")
        async with open_kafka_log(store.settings(kafka_security_protocol=protocol)) as log:
            for ask in (
                log.extents,
                lambda: log.append([NewRecord(store.topics[0], b"a")]),
                lambda: log.follow(Ear().deliver),
            ):
                with trio.fail_after(20), trio.move_on_after(0.5):
                    await ask()
    assert kafka_threads() == before
