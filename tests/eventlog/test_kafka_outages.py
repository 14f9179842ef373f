"""Brokers that go, hang and move lose nothing; on a broker of their own."""

import socket
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import attrs
import pytest
import trio
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from mesaya_ws.core.log.events import (
    Available,
    LogMetadata,
    TopicRecreated,
    Unavailable,
)
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.eventlog.kafka import consumer_loop, open_kafka_log
from mesaya_ws.eventlog.kafka.metadata import Metadata, fetch_metadata
from tests.kafka_broker import Broker

from .contract import PATIENCE, Ear, following, kinds, numbered
from .kafka_store import HASTY, KafkaStore

pytestmark = pytest.mark.kafka


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


def is_down(ear: Ear) -> bool:
    return kinds(ear)[-1:] == [Unavailable]


def check_outages(ear: Ear) -> None:
    """Nothing but outages that began and ended: on a busy machine, a broker that is back may answer late again."""
    assert kinds(ear)[0] is Unavailable
    assert set(kinds(ear)) == {Unavailable, Available}


async def until_complete(ear: Ear, writer: Writer) -> None:
    last = b"%d" % writer.acknowledged[-1]
    await ear.until(lambda: any(record.value == last for record in ear.records))


# Brokers that go


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_nothing_is_lost_when_the_broker_goes_and_comes_back(kafka_broker: Broker, hasty: KafkaStore, end: str):
    topic = hasty.topics[0]
    reason = (
        f"Kafka does not answer at {kafka_broker.address}: nothing listens there: start the broker, or see "
        "KAFKA_BROKERS."
    )
    async with hasty.open() as log, following(log) as ear:
        async with writing(log, topic) as writer:
            await writer.until(50)
            await trio.to_thread.run_sync(getattr(kafka_broker, end))
            await ear.until(lambda: is_down(ear) and ear.all(Unavailable)[-1].reason == reason)
            await trio.to_thread.run_sync(kafka_broker.start)
            await ear.until(lambda: not is_down(ear))
            await writer.until(len(writer.acknowledged) + 50)
        await until_complete(ear, writer)
    check_outages(ear)
    check_complete(ear, writer)


@pytest.mark.parametrize("patience", [20.0, 1.0], ids=["thread waits", "thread is freed"])
async def test_nothing_is_lost_when_the_broker_hangs(kafka_broker: Broker, hasty: KafkaStore, patience: float):
    topic = hasty.topics[0]
    async with hasty.with_timings(hung_after=patience).open() as log, following(log) as ear:
        async with writing(log, topic) as writer:
            await writer.until(50)
            kafka_broker.freeze()
            try:
                await ear.until(lambda: is_down(ear))
            finally:
                kafka_broker.thaw()
            await ear.until(lambda: not is_down(ear))
            await writer.until(len(writer.acknowledged) + 50)
        await until_complete(ear, writer)
    check_outages(ear)
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
    assert list(dict.fromkeys(map(type, ear.news)))[:3] == [Unavailable, Available, LogMetadata]


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
                with trio.fail_after(PATIENCE), trio.move_on_after(0.5):
                    await ask()
    assert kafka_threads() == before
