"""A cluster of two brokers, of which one goes away: what it alone holds is not known then, and the rest goes on."""

import gc
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from itertools import count
from pathlib import Path

import pytest
import trio
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from mesaya_ws.core.log.epochs import Epochs
from mesaya_ws.core.log.events import EpochsBegun, LogMetadata, Truncated, Unavailable
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError
from mesaya_ws.core.log.records import NewRecord, OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka import COMPACTED
from tests.kafka_broker import Broker

from .contract import PATIENCE, Ear, following
from .kafka_store import CLOSING, KafkaStore

pytestmark = pytest.mark.kafka

# What the answers of a partition that has lost one of two replicas depend on, and how soon that is noticed: not so soon
# that a broker which a crowded machine holds up for a moment counts as one that is away.
SAFE = {
    "min.insync.replicas": "2",
    "default.replication.factor": "1",
    "replica.lag.time.max.ms": "6000",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Broker]]:
    """Two brokers; the first one is the controller, and always there; the second one, at the start of a test."""
    folder = tmp_path_factory.mktemp("cluster")
    first = Broker(folder / "1", properties=SAFE)
    second = member(folder / "2", 2, first)
    first.start()
    second.start()
    until_serving(first, 2)
    yield first, second
    second.kill()
    first.kill()


def member(folder: Path, number: int, first: Broker) -> Broker:
    """Return another broker, which is not started yet, of the cluster that the first one controls."""
    voters = f"1@127.0.0.1:{first.controller_port}"
    roles = {"process.roles": "broker", "node.id": f"{number}", "controller.quorum.voters": voters}
    broker = Broker(folder, properties={**SAFE, **roles})
    broker.listens_to_controllers = False
    return broker


def until_serving(broker: Broker, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    # The question may go to the one that hangs.
    options = {"bootstrap_servers": broker.address, "request_timeout_ms": 1000, **CLOSING}
    with closing(KafkaAdminClient(**options)) as admin:
        while True:
            with suppress(KafkaError):
                if sum(not it["is_fenced"] for it in admin.describe_cluster()["brokers"]) == count:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
async def store(cluster: tuple[Broker, Broker]) -> KafkaStore:
    """Topics of one partition: the first on the first broker, the second on the second one, the third on both."""
    # Two brokers and what starts them on a crowded machine: an answer may take long, and that is no outage.
    store = KafkaStore(cluster[0].address).with_timings(refresh_interval=0.2, outage_after=30.0)
    await trio.to_thread.run_sync(until_serving, cluster[0], 2)
    for topic, replicas in zip(store.topics, ([1], [2], [2, 1]), strict=True):
        await store.administer(lambda admin, topic=topic, on=replicas: admin.create_topics(placed(topic, on)))
    return store


def placed(topic: str, replicas: list[int]) -> dict[str, dict[str, object]]:
    return {topic: {"num_partitions": -1, "replication_factor": -1, "assignments": {0: replicas}}}


@asynccontextmanager
async def away(cluster: tuple[Broker, Broker], *, hangs: bool = False) -> AsyncIterator[None]:
    """Have the second broker away for the time of the context: it has ended, or `hangs` with its connections open."""
    first, second = cluster
    await trio.to_thread.run_sync(second.freeze if hangs else second.stop)
    try:
        await trio.to_thread.run_sync(until_serving, first, 1)
        yield
    finally:
        # Also after a test that fails, or each of the next ones would.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(second.thaw if hangs else second.start)
            await trio.to_thread.run_sync(until_serving, first, 2)


def hindrances(ear: Ear) -> dict[str, Hindrance]:
    return {trouble.topic: trouble.kind for trouble in ear.troubles}


def reason_of(ear: Ear, topic: str) -> str:
    return next((trouble.reason for trouble in ear.troubles if trouble.topic == topic), "")


def end_is_settled(ear: Ear, topic: str) -> bool:
    """Whether the end of `topic` is known, or the reason that its new leader does not know it.

    That depends on whether the other replica was told of its high watermark before its leader went away: with fewer in
    sync than min.insync.replicas asks for, it cannot move afterwards.
    """
    return topic in topics_seen(ear) or "min.insync.replicas" in reason_of(ear, topic)


def topics_seen(ear: Ear) -> set[str]:
    looks = ear.all(LogMetadata)
    return {partition.topic for partition in looks[-1].extents} if looks else set()


def values(ear: Ear, topic: str) -> list[bytes | None]:
    return [record.value for record in ear.records if record.topic == topic]


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_is_on_a_broker_that_is_away_is_not_known_and_the_rest_goes_on(
    cluster: tuple[Broker, Broker], store: KafkaStore, hangs: bool
):
    here, there, both = store.topics
    for topic in store.topics:
        await store.produce(topic, [b"1", b"2"])
    async with store.open() as log, following(log) as ear:
        await ear.until_held(6)
        async with away(cluster, hangs=hangs):
            await ear.until(lambda: "no leader" in reason_of(ear, there) and end_is_settled(ear, both))
            assert {there} <= hindrances(ear).keys() <= {there, both}
            assert set(hindrances(ear).values()) == {Hindrance.UNKNOWN}
            await log.append([NewRecord(here, b"3")])
            await ear.until_held(7)
            for question in (log.extents(), log.extents(skip_refused=True), log.read(Partition(there, 0), 0)):
                with pytest.raises(LogUnavailableError, match="no leader"):
                    await question

            # Who starts meanwhile reads what can be read, and knows what it does not know.
            async with store.open() as later, following(later) as newcomer:
                # A fetch says the end, too: how far the new leader knows that records were acknowledged.
                await newcomer.until(lambda: topics_seen(newcomer) == {here, both} and not any(newcomer.lags.values()))
                assert values(newcomer, here) == [b"1", b"2", b"3"]
                so_far = values(newcomer, both)
                assert so_far == [b"1", b"2"][: len(so_far)]
                assert {there} <= hindrances(newcomer).keys() <= {there, both}
                assert set(hindrances(newcomer).values()) == {Hindrance.UNKNOWN}
        await store.produce(there, [b"3"])
        await store.produce(both, [b"3"])
        await ear.until_held(9)
        await ear.until(lambda: not ear.troubles)
        assert len(await log.extents()) == 3
    assert not ear.all(Unavailable)
    for topic in store.topics:
        assert values(ear, topic) == [b"1", b"2", b"3"]


async def test_a_partition_that_has_never_been_seen_is_read_when_its_broker_is_there(
    cluster: tuple[Broker, Broker], store: KafkaStore
):
    there = store.topics[1]
    await store.produce(there, [b"1", b"2"])
    async with store.open() as log, trio.open_nursery() as nursery:
        ear = Ear()
        async with away(cluster):
            nursery.start_soon(log.follow, ear.deliver)
            await ear.until(lambda: bool(ear.all(LogMetadata)))
            assert hindrances(ear)[there] is Hindrance.UNKNOWN
            assert Partition(there, 0) not in ear.all(LogMetadata)[0].extents
        await ear.until_held(2)
        await ear.until(lambda: not ear.troubles)
        assert Partition(there, 0) in ear.all(LogMetadata)[-1].extents
        nursery.cancel_scope.cancel()


# The plain client of these tests leaves a socket behind when it asks a broker that has just gone.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_leader_that_did_not_have_all_is_noticed(
    cluster: tuple[Broker, Broker], store: KafkaStore, tmp_path: Path
):
    """An unclean election: what was acknowledged is lost, and its offsets are given to others."""
    first, second = cluster
    third = member(tmp_path / "3", 3, first)
    await trio.to_thread.run_sync(third.start)
    try:
        await trio.to_thread.run_sync(until_serving, first, 3)
        topic = f"test.unclean.{tmp_path.name}"
        unclean = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}
        wanted = {**placed(topic, [2, 3])[topic], "configs": unclean}
        await store.administer(lambda admin: admin.create_topics({topic: wanted}))
        at = Partition(topic, 0)
        async with store.open(kafka_topics=(topic,)) as log, following(log) as ear:
            await store.produce(topic, [b"1", b"2"])
            await ear.until_held(2)
            kept = place_in(ear, await log.extents(), at)
            await trio.to_thread.run_sync(third.stop)
            await trio.to_thread.run_sync(until_serving, first, 2)
            await store.produce(topic, [b"lost", b"lost", b"lost"])
            await ear.until_held(5)
            lost = place_in(ear, await log.extents(), at)
            await trio.to_thread.run_sync(second.stop)
            await trio.to_thread.run_sync(third.start)
            await trio.to_thread.run_sync(until_serving, first, 2)
            await store.administer(lambda admin: until_led(admin, topic, 3))
            await store.produce(topic, [b"%d" % number for number in range(3, 10)])
            await ear.until_held(12)
            assert await log.lost_ends({at: kept}) == set()
            assert await log.lost_ends({at: lost}) == {at}, "though it is longer than it was"
        assert ear.all(Truncated) == [Truncated(at, 2)]
        assert [record.offset for record in ear.records] == [0, 1, 2, 3, 4, *range(2, 9)]
        assert values(ear, topic)[5:] == [b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
        # Who was as far as that when it began goes on from where the log does, too.
        async with store.open(kafka_topics=(topic,)) as log, following(log, {at: lost}) as later:
            await later.until_held(7)
            assert later.all(Truncated) == [Truncated(at, 2)]
    finally:
        if second.process is None:
            await trio.to_thread.run_sync(second.start)
        await trio.to_thread.run_sync(third.kill)
        await trio.to_thread.run_sync(until_serving, first, 2)
        gc.collect()


def until_led(admin: KafkaAdminClient, topic: str, leader: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while admin.describe_topics([topic])[0]["partitions"][0]["leader_id"] != leader:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def place_in(ear: Ear, extents: Mapping[Partition, OffsetRange], partition: Partition) -> PartitionPosition:
    """Return where a follower is that has read everything."""
    epochs = Epochs()
    for news in ear.news:
        for at, first, number in news.begun if isinstance(news, EpochsBegun) else ():
            if at == partition:
                epochs.begin(first, number)
    _, end, id = extents[partition]
    return PartitionPosition(id, end, epochs.at(end))


async def test_a_topic_of_our_own_has_a_replica_on_each_of_a_few_brokers(
    cluster: tuple[Broker, Broker], store: KafkaStore
):
    own = store.foreign
    async with store.open({own: COMPACTED}, kafka_topics=(own,)) as log:
        await log.append([NewRecord(own, b"a", b"k")])
    (described,) = await store.administer(lambda admin: admin.describe_topics([own]))
    assert sorted(described["partitions"][0]["replica_nodes"]) == [1, 2]


async def test_what_cannot_be_appended_to_one_partition_is_no_reason_to_refuse_the_others(
    cluster: tuple[Broker, Broker], store: KafkaStore
):
    here, there, both = store.topics
    refused: list[tuple[str, str]] = []

    async def append(log: EventLog, topic: str) -> None:
        with pytest.raises(LogUnavailableError) as error:
            await log.append([NewRecord(topic, b"lost")])
        refused.append((topic, str(error.value)))

    async with store.with_timings(delivery_timeout=10.0).open() as log:
        for topic in store.topics:
            await log.append([NewRecord(topic, b"0")])
        async with away(cluster):
            numbers = count()

            async def go_on() -> None:
                while len(refused) < 4:
                    await log.append([NewRecord(here, b"%d" % next(numbers))])

            async with trio.open_nursery() as nursery:
                for topic in (there, both, there, both):
                    nursery.start_soon(append, log, topic)
                for _ in range(5):
                    nursery.start_soon(go_on)
            assert next(numbers) > 10
        for topic in store.topics:
            await log.append([NewRecord(topic, b"again")])
    sentences = dict(refused)
    assert there in sentences[there]
    assert both in sentences[both]
