"""Topics that come, go and are paused, and what a follower receives of them; on a broker of their own."""

import threading
from collections import Counter
from itertools import count
from time import time
from typing import Any

import pytest
import trio
from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import LogTruncationError

from mesaya_ws.core.log.events import (
    Corrupt,
    LogEvent,
    LogMetadata,
    Records,
    TopicRecreated,
)
from mesaya_ws.core.log.interface import RecordRejectedError
from mesaya_ws.core.log.records import BEGINNING, NewRecord, Partition
from mesaya_ws.eventlog.kafka import consumer_loop
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer
from mesaya_ws.eventlog.kafka.metadata import Metadata, fetch_metadata
from tests.kafka_broker import Broker

from .contract import PATIENCE, Ear, following, numbered
from .kafka_store import HASTY, KafkaStore

pytestmark = pytest.mark.kafka


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
        with trio.fail_after(PATIENCE), pytest.raises(RecordRejectedError, match="create it"):
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
