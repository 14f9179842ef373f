"""What cannot be read of Kafka is skipped and reported; on a broker of their own."""

from contextlib import closing

import pytest
import trio
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from mesaya_ws.core.log.events import (
    Corrupt,
    Gap,
    Records,
)
from mesaya_ws.core.log.records import Partition, TooLarge
from mesaya_ws.core.log.trouble import Hindrance
from tests.kafka_broker import Broker
from tests.timing import PATIENCE

from .contract import SlowEar, following, numbered
from .kafka_store import KafkaStore

pytestmark = pytest.mark.kafka


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
            producer.send(topic, value, partition=0).get(PATIENCE)

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
