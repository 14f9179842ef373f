"""What every event log promises, as tests: `class TestSqlite(LogContract)`, with a fixture `store` that brings the log.

Partitions, offsets and sources are never assumed to be those of one implementation: what is compared is the records
of each partition, in their order.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import time
from typing import Protocol

import pytest
import trio

from mesaya_ws.core.log.epochs import Epochs
from mesaya_ws.core.log.events import EpochsBegun, Gap, LogEvent, LogMetadata, PollResult, Records, TopicRecreated
from mesaya_ws.core.log.interface import EventLog, OffsetGoneError, RecordRejectedError
from mesaya_ws.core.log.ordering import MAX_BYTES, MAX_RECORDS, Merge
from mesaya_ws.core.log.records import (
    BEGINNING,
    Appended,
    NewRecord,
    OffsetRange,
    Partition,
    PartitionPosition,
    Record,
    Source,
)
from mesaya_ws.core.log.trouble import Trouble
from tests.timing import PATIENCE


class Store(Protocol):
    """Where a log keeps its records; empty at the start of a test."""

    topics: Sequence[str]
    """Three topics that exist and are new."""

    foreign: str
    """The name of a topic that is not configured."""

    def open(self) -> AbstractAsyncContextManager[EventLog]:
        """Open a log of `topics` on this store; several may be open at once."""
        ...

    async def remove_before(self, partition: Partition, offset: int) -> None:
        """Remove the records of `partition` before `offset`, as retention does."""
        ...


class Ear:
    """A follower that keeps what it receives."""

    def __init__(self) -> None:
        self.news: list[LogEvent] = []
        self.records: list[Record] = []
        self.lags: dict[Source, int] = {}
        self._received = trio.Event()

    async def deliver(self, news: LogEvent) -> None:
        for one in news.batches if isinstance(news, PollResult) else [news]:
            self.news.append(one)
            if isinstance(one, Records):
                self.records += one.records
                self.lags[one.source] = one.lag
            elif isinstance(one, LogMetadata):
                self.lags.update(one.lags)
        self._received.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds after something was received. Raises `AssertionError` with what was."""
        with trio.move_on_after(PATIENCE):
            while not condition():
                self._received = trio.Event()
                await self._received.wait()
            return
        raise AssertionError(
            f"Not within {PATIENCE:.0f} s: {len(self.records)} records, lags {self.lags}, troubles "
            f"{[trouble.reason for trouble in self.troubles]}, last {self.news[-1:]}"
        )

    async def until_held(self, count: int) -> None:
        """Wait until at least `count` records have come, all of those that are known of."""
        await self.until(lambda: len(self.records) >= count and not any(self.lags.values()))

    @property
    def troubles(self) -> Sequence[Trouble]:
        """What the last look could not see."""
        looks = [news for news in self.news if isinstance(news, LogMetadata)]
        return looks[-1].troubles if looks else ()

    def all(self, kind: type) -> list[LogEvent]:
        return [news for news in self.news if isinstance(news, kind)]


class SlowEar(Ear):
    """A follower that is stuck in its first batch until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self._inside = False

    async def deliver(self, news: LogEvent) -> None:
        assert not self._inside, "one item at a time"
        self._inside = True
        await super().deliver(news)
        if isinstance(news, Records | PollResult):
            await self.gate.wait()
        self._inside = False


class MergingEar(SlowEar):
    """A slow follower that takes records in the order of their time, once all is known that lies before."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Record] = []
        self._merge: Merge[tuple[Record, None]] = Merge(lambda item: None, 0, lambda item: item, MAX_RECORDS, MAX_BYTES)

    async def deliver(self, news: LogEvent) -> None:
        if isinstance(news, LogMetadata):
            self._merge.lags(news.lags)
        for batch in news.batches if isinstance(news, PollResult) else [news] if isinstance(news, Records) else []:
            self._merge.push(batch.source, [(record, None) for record in batch.records], batch.lag, 0)
        self.taken += [record for record, _ in self._merge.take(0)]
        await super().deliver(news)


def kinds(ear: Ear) -> list[type]:
    """Return what happened, without the looks, the records and their epochs."""
    return [type(news) for news in ear.news if not isinstance(news, LogMetadata | Records | EpochsBegun)]


@asynccontextmanager
async def following(log: EventLog, start: Mapping[Partition, PartitionPosition] = BEGINNING) -> AsyncIterator[Ear]:
    """Follow `log` for the time of the context."""
    ear = Ear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.follow, ear.deliver, start)
        yield ear
        nursery.cancel_scope.cancel()


def by_partition(records: Sequence[Record]) -> dict[Partition, list[Record]]:
    sorted_out: dict[Partition, list[Record]] = defaultdict(list)
    for record in records:
        sorted_out[Partition(record.topic, record.partition)].append(record)
    return dict(sorted_out)


def place(appended: Appended) -> Partition:
    return Partition(appended.topic, appended.partition)


def places(extents: Mapping[Partition, OffsetRange]) -> dict[Partition, PartitionPosition]:
    """Return where a follower is that has read everything."""
    return {partition: PartitionPosition(extent.topic_id, extent.end) for partition, extent in extents.items()}


def is_before(record: Record, cut: Mapping[Partition, PartitionPosition]) -> bool:
    known = cut.get(Partition(record.topic, record.partition))
    return known is not None and record.offset < known.next


def numbered(topic: str, count: int, key: bytes | None = b"one") -> list[NewRecord]:
    """Make records that have their number as value; the same key keeps them in one partition."""
    return [NewRecord(topic, b"%d" % number, key) for number in range(count)]


async def read_all(log: EventLog, partition: Partition, start: int, limit: int) -> list[Record]:
    records: list[Record] = []
    while page := await log.read(partition, start, limit):
        assert len(page) <= limit
        records += page
        start = page[-1].offset + 1
    return records


class LogContract:
    """The promises; subclasses bring the fixture `store`."""

    # append

    async def test_append_returns_the_place_of_each_record(self, store: Store):
        first, second, _ = store.topics
        new = [NewRecord(first, b"a", b"k"), NewRecord(second, b"b", b"k"), NewRecord(first, b"c", b"k")]
        before = time() * 1000
        async with store.open() as log:
            appended = await log.append(new)
            assert [one.topic for one in appended] == [first, second, first]
            assert place(appended[0]) == place(appended[2])
            assert appended[0].offset == appended[1].offset == 0, "topics have offsets of their own"
            assert appended[2].offset == 1
            for one, record in zip(appended, new, strict=True):
                assert before - 60_000 <= one.timestamp <= time() * 1000 + 60_000
                (held,) = await log.read(place(one), one.offset, 1)
                assert held == (one.topic, one.partition, one.offset, one.timestamp, record.key, record.value)

    async def test_nothing_to_append(self, store: Store):
        async with store.open() as log:
            assert await log.append([]) == []

    @pytest.mark.parametrize("key", [None, b"", b"key", bytes(range(256))], ids=["none", "empty", "text", "bytes"])
    @pytest.mark.parametrize("value", [None, b"", b"{}", bytes(range(256))], ids=["none", "empty", "text", "bytes"])
    async def test_keys_and_values_come_back_as_they_were(self, store: Store, key: bytes | None, value: bytes | None):
        async with store.open() as log:
            (appended,) = await log.append([NewRecord(store.topics[0], value, key)])
            (record,) = await log.read(place(appended), appended.offset)
            async with following(log) as ear:
                await ear.until_held(1)
        assert ear.records == [record]
        assert (record.key, record.value) == (key, value)

    async def test_many_appending_at_once_each_keep_their_order(self, store: Store):
        async def append(log: EventLog, name: bytes) -> None:
            for number in range(10):
                await log.append([NewRecord(store.topics[0], b"%b %d" % (name, number), b"one")])

        names = [b"%d" % number for number in range(20)]
        async with store.open() as log:
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    for name in names:
                        nursery.start_soon(append, log, name)
            async with following(log) as ear:
                await ear.until_held(200)
        order = defaultdict(list)
        for record in ear.records:
            name, number = (record.value or b"").split()
            order[name].append(int(number))
        assert order == {name: list(range(10)) for name in names}

    async def test_a_topic_that_is_not_configured_is_refused(self, store: Store):
        topic = store.topics[0]
        async with store.open() as log:
            with pytest.raises(RecordRejectedError, match=store.foreign):
                await log.append([NewRecord(topic, b"a", b"k"), NewRecord(store.foreign, b"b"), NewRecord(topic, b"c")])
            async with following(log) as ear:
                await ear.until_held(1)
                await log.append([NewRecord(topic, b"d", b"k")])
                await ear.until(lambda: len(ear.records) >= 2 and ear.records[-1].value == b"d")
        assert ear.records[0].value == b"a", "what came before the refused record is there"

    async def test_a_record_that_is_too_large_is_refused_and_harms_no_other(self, store: Store):
        topic = store.topics[0]
        async with store.open() as log:
            with pytest.raises(RecordRejectedError):
                await log.append([NewRecord(topic, b"a", b"k"), NewRecord(topic, bytes(1024 * 1024 + 1), b"k")])
            (appended,) = await log.append([NewRecord(topic, b"b", b"k")])
            records = await log.read(place(appended), 0)
        assert [record.value for record in records] == [b"a", b"b"]

    async def test_a_large_record_is_taken(self, store: Store):
        value = bytes(1000 * 1000)
        async with store.open() as log:
            (appended,) = await log.append([NewRecord(store.topics[0], value)])
            (record,) = await log.read(place(appended), 0)
        assert record.value == value

    async def test_what_was_acknowledged_is_there_when_the_log_is_opened_again(self, store: Store):
        topic = store.topics[0]
        async with store.open() as log:
            before = await log.append(numbered(topic, 3))
            extents = await log.extents()
        async with store.open() as log:
            assert await log.extents() == extents
            (after,) = await log.append([NewRecord(topic, b"3", b"one")])
            records = await log.read(place(after), 0)
        assert after.offset > before[-1].offset
        assert [record.value for record in records] == [b"0", b"1", b"2", b"3"]

    # follow

    async def test_follower_receives_metadata_first(self, store: Store):
        async with store.open() as log:
            await log.append(numbered(store.topics[0], 5))
            extents = await log.extents()
            async with following(log) as ear:
                await ear.until_held(5)
        first = ear.news[0]
        assert isinstance(first, LogMetadata)
        assert first.extents == extents
        assert {partition.topic for partition in first.extents} == set(store.topics)
        assert sum(first.lags.values()) == 5

    async def test_a_follower_of_an_empty_log_is_at_its_end_at_once(self, store: Store):
        async with store.open() as log, following(log) as ear:
            await ear.until(lambda: bool(ear.news))
        first = ear.news[0]
        assert isinstance(first, LogMetadata)
        assert first.lags
        assert not any(first.lags.values())

    async def test_a_follower_gets_what_is_held_and_then_what_comes(self, store: Store):
        first, second, third = store.topics
        async with store.open() as log:
            await log.append(numbered(first, 700) + numbered(second, 700))
            async with following(log) as ear:
                await ear.until_held(1400)
                for number in range(700, 710):
                    await log.append([NewRecord(first, b"%d" % number, b"one")])
                    await ear.until_held(1400 + number - 699)
                await log.append([NewRecord(third, b"0", b"one")])
                await ear.until_held(1411)
            held = by_partition(ear.records)
            assert [[int(record.value) for record in records] for _, records in sorted(held.items())] == [
                list(range(count)) for _, count in sorted([(first, 710), (second, 700), (third, 1)])
            ]
            for partition, records in held.items():
                assert records == await read_all(log, partition, 0, 200)

    async def test_batches_are_bounded_and_have_their_lag(self, store: Store):
        async with store.open() as log:
            for topic in store.topics:
                await log.append(numbered(topic, 800))
            async with following(log) as ear:
                await ear.until_held(2400)
        left = Counter(dict(ear.news[0].lags))
        batches = ear.all(Records)
        assert sum(left.values()) == sum(len(batch.records) for batch in batches) == 2400
        for batch in batches:
            assert len(batch.records) <= 1000
            left[batch.source] -= len(batch.records)
            assert batch.lag == left[batch.source]

    async def test_followers_of_one_log_do_not_share_but_all_get_everything(self, store: Store):
        async with store.open() as log, following(log) as first, following(log) as second:
            await log.append(numbered(store.topics[0], 10) + numbered(store.topics[1], 10))
            await first.until_held(20)
            await second.until_held(20)
            async with following(log) as late:
                await late.until_held(20)
        assert by_partition(first.records) == by_partition(second.records) == by_partition(late.records)

    async def test_two_logs_on_one_store_see_the_same(self, store: Store):
        topic = store.topics[0]
        async with store.open() as one, store.open() as other, following(one) as first, following(other) as second:
            for number in range(10):
                log = (one, other)[number % 2]
                await log.append([NewRecord(topic, b"%d" % number, b"one")])
            await first.until_held(10)
            await second.until_held(10)
            assert await one.extents() == await other.extents()
        assert first.records == second.records
        assert [int(record.value) for record in first.records] == list(range(10))

    async def test_a_slow_follower_holds_up_its_own_reading_and_nobody_else(self, store: Store):
        async with store.open() as log, trio.open_nursery() as nursery:
            await log.append(numbered(store.topics[0], 1500))
            slow = SlowEar()
            nursery.start_soon(log.follow, slow.deliver)
            await slow.until(lambda: bool(slow.records))
            received = len(slow.news)
            async with following(log) as other:
                await log.append(numbered(store.topics[1], 10))
                await other.until_held(1510)
            assert len(slow.news) == received
            slow.gate.set()
            await slow.until_held(1510)
            nursery.cancel_scope.cancel()
        assert by_partition(slow.records) == by_partition(other.records)

    async def test_what_came_while_a_follower_was_held_up_is_taken_in_the_order_of_its_time(self, store: Store):
        async with store.open() as log, trio.open_nursery() as nursery:
            slow = MergingEar()
            nursery.start_soon(log.follow, slow.deliver)
            await log.append(numbered(store.topics[0], 1))
            await slow.until(lambda: bool(slow.records))
            for _ in range(60):
                for topic in store.topics:
                    await log.append(numbered(topic, 2))
            slow.gate.set()
            await slow.until(lambda: len(slow.taken) == 361)
            nursery.cancel_scope.cancel()
        timestamps = [record.timestamp for record in slow.taken]
        assert timestamps == sorted(timestamps)

    async def test_a_follower_can_be_cancelled_at_any_point(self, store: Store):
        async def wait_for_ever(news: LogEvent) -> None:
            await trio.sleep_forever()

        async with store.open() as log:
            await log.append(numbered(store.topics[0], 10))
            with trio.fail_after(PATIENCE), trio.move_on_after(0.05) as waiting:
                await log.follow(wait_for_ever)
            async with following(log) as idle:
                await idle.until_held(10)
            with trio.fail_after(PATIENCE), trio.CancelScope() as before:
                before.cancel()
                await log.follow(wait_for_ever)
            assert waiting.cancelled_caught
            assert before.cancelled_caught
            await log.append(numbered(store.topics[0], 1))

    async def test_what_deliver_raises_ends_the_follower(self, store: Store):
        async def fail(news: LogEvent) -> None:
            raise LookupError("a bug in the follower")

        async with store.open() as log:
            with trio.fail_after(PATIENCE), pytest.raises(LookupError, match="a bug in the follower"):
                await log.follow(fail)

    # follow, from a place on

    async def test_a_follower_can_go_on_from_where_another_one_was(self, store: Store):
        first, second, third = store.topics
        async with store.open() as log:
            await log.append(numbered(first, 5) + numbered(second, 700))
            cut = places(await log.extents())
            del cut[next(partition for partition in cut if partition.topic == third)]
            await log.append(numbered(second, 3) + numbered(third, 600) + numbered(first, 2))
            async with following(log) as all_of_it, following(log, cut) as rest:
                await all_of_it.until_held(1310)
                await rest.until_held(605)
                await log.append(numbered(first, 1))
                await all_of_it.until_held(1311)
                await rest.until_held(606)
        assert sum(rest.news[0].lags.values()) == 605
        whole = by_partition(all_of_it.records)
        for partition, records in by_partition(rest.records).items():
            assert records == [record for record in whole[partition] if not is_before(record, cut)]

    async def test_at_the_end_there_is_nothing_to_go_on_with(self, store: Store):
        async with store.open() as log:
            await log.append(numbered(store.topics[0], 5))
            async with following(log, places(await log.extents())) as ear:
                await ear.until(lambda: bool(ear.news))
                assert not any(ear.news[0].lags.values())
                await log.append(numbered(store.topics[0], 1))
                await ear.until_held(1)
        assert [record.value for record in ear.records] == [b"0"]
        assert ear.all(Gap) == ear.all(TopicRecreated) == []

    async def test_what_was_removed_after_that_place_is_reported(self, store: Store):
        async with store.open() as log:
            appended = await log.append(numbered(store.topics[0], 10))
            partition = place(appended[0])
            cut = places(await log.extents()) | {
                partition: PartitionPosition((await log.extents())[partition].topic_id, 3)
            }
            await store.remove_before(partition, 6)
            async with following(log, cut) as ear:
                await ear.until_held(4)
            assert ear.all(Gap) == [Gap(partition, 3, 6)]
            assert [record.offset for record in ear.records] == [6, 7, 8, 9]

    async def test_a_place_in_a_topic_that_was_replaced_is_none(self, store: Store):
        async with store.open() as log:
            appended = await log.append(numbered(store.topics[0], 3) + numbered(store.topics[1], 3))
            extents = await log.extents()
            former = place(appended[0])
            cut = places(extents) | {former: PartitionPosition("00000000-0000-0000-0000-000000000000", 7)}
            async with following(log, cut) as ear:
                await ear.until_held(3)
        assert ear.all(TopicRecreated) == [TopicRecreated(former.topic, extents[former].topic_id)]
        assert [record.offset for record in ear.records] == [0, 1, 2]
        assert {record.topic for record in ear.records} == {former.topic}

    # epochs

    async def test_epoch_of_a_record_is_delivered_before_it(self, store: Store):
        async with store.open() as log, following(log) as early:
            await log.append(numbered(store.topics[0], 3) + numbered(store.topics[1], 300))
            await early.until_held(303)
            async with following(log) as late:
                await late.until_held(303)
        epochs = []
        for ear in (early, late):
            known: dict[Partition, Epochs] = defaultdict(Epochs)
            of_records = {}
            for news in ear.news:
                match news:
                    case EpochsBegun(begun):
                        for partition, first, number in begun:
                            known[partition].begin(first, number)
                    case Records(_, records, _):
                        for record in records:
                            partition = Partition(record.topic, record.partition)
                            of_records[partition, record.offset] = known[partition].at(record.offset + 1)
            epochs.append(of_records)
        assert epochs[0] == epochs[1]
        assert len(epochs[0]) == 303
        assert None not in epochs[0].values()

    async def test_a_place_is_in_the_log_or_in_an_end_that_it_has_lost(self, store: Store):
        async with store.open() as log:
            await log.append(numbered(store.topics[0], 5) + numbered(store.topics[1], 5))
            extents = await log.extents()
            async with following(log) as ear:
                await ear.until_held(10)
            known: dict[Partition, Epochs] = defaultdict(Epochs)
            for news in ear.news:
                if isinstance(news, EpochsBegun):
                    for partition, first, number in news.begun:
                        known[partition].begin(first, number)
            here = {at: PartitionPosition(id, end, known[at].at(end)) for at, (_, end, id) in extents.items()}
            assert await log.lost_ends(here) == set()
            assert await log.lost_ends({}) == set()
            some = next(at for at, place in here.items() if place.next)
            id, end, epoch = here[some]
            assert await log.lost_ends({some: PartitionPosition(id, end)}) == set()
            assert await log.lost_ends({some: PartitionPosition(id, end + 1)}) == {some}
            assert await log.lost_ends({some: PartitionPosition(id, end + 1, epoch)}) == {some}
            assert await log.lost_ends({some: PartitionPosition(id, end, (epoch or 0) + 1)}) == {some}
            assert await log.lost_ends({some: PartitionPosition("another", end + 1)}) == set()
            assert await log.lost_ends({some._replace(number=99): PartitionPosition(id, end + 1)}) == set()

    # read, extents, retention

    async def test_a_partition_is_read_in_pages(self, store: Store):
        async with store.open() as log:
            appended = await log.append(numbered(store.topics[0], 10))
            partition = place(appended[0])
            everything = await log.read(partition, 0)
            assert [int(record.value) for record in everything] == list(range(10))
            assert await log.read(partition, appended[4].offset, 3) == everything[4:7]
            assert await log.read(partition, appended[8].offset, 3) == everything[8:]
            assert await log.read(partition, appended[9].offset + 1) == []
            assert await read_all(log, partition, 0, 3) == everything

    async def test_extents_of_new_topics(self, store: Store):
        async with store.open() as log:
            extents = await log.extents()
        assert {partition.topic for partition in extents} == set(store.topics)
        assert {(extent.begin, extent.end) for extent in extents.values()} == {(0, 0)}
        ids = {partition.topic: extent.topic_id for partition, extent in extents.items()}
        assert len(set(ids.values())) == len(store.topics), "a topic's id is its own"

    async def test_what_retention_removed_is_gone(self, store: Store):
        async with store.open() as log:
            appended = await log.append(numbered(store.topics[0], 10))
            partition = place(appended[0])
            before = (await log.extents())[partition]
            await store.remove_before(partition, appended[6].offset)
            assert (await log.extents())[partition] == OffsetRange(appended[6].offset, before.end, before.topic_id)
            with pytest.raises(OffsetGoneError):
                await log.read(partition, appended[5].offset)
            assert [int(record.value) for record in await log.read(partition, appended[6].offset)] == [6, 7, 8, 9]
            async with following(log) as ear:
                await ear.until_held(4)
            assert sum(ear.news[0].lags.values()) == 4
            assert [int(record.value) for record in ear.records] == [6, 7, 8, 9]

    async def test_offsets_go_on_when_retention_removed_everything(self, store: Store):
        async with store.open() as log:
            appended = await log.append(numbered(store.topics[0], 10))
            partition = place(appended[0])
            await store.remove_before(partition, appended[-1].offset + 1)
            extent = (await log.extents())[partition]
            assert extent.begin == extent.end == appended[-1].offset + 1
            assert await log.read(partition, extent.end) == []
            with pytest.raises(OffsetGoneError):
                await log.read(partition, 0)
        async with store.open() as log:
            assert (await log.extents())[partition] == extent
            (after,) = await log.append([NewRecord(partition.topic, b"10", b"one")])
            assert after.offset >= extent.end
            async with following(log) as ear:
                await ear.until_held(1)
        assert [record.value for record in ear.records] == [b"10"]
