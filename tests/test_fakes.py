"""The fakes keep the promises of what they stand for."""

import pytest
import trio

from mesaya_ws.core.log.events import Available, EpochsBegun, Gap, LogMetadata, Records, TopicRecreated, Unavailable
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import NewRecord, Partition

from .eventlog.contract import LogContract, SlowEar, following, numbered
from .fakes import FakeLog

TOPICS = ("a.events", "b.events", "c.events")
A = Partition("a.events", 0)


@pytest.fixture
def store() -> FakeLog:
    return FakeLog(TOPICS)


class TestFakeLog(LogContract):
    pass


async def test_an_outage_is_reported_and_loses_nothing(store: FakeLog):
    async with following(store) as ear:
        await store.append(numbered("a.events", 2))
        await ear.until_held(2)
        with store.failing("the cable is out"):
            await ear.until(lambda: bool(ear.all(Unavailable)))
            for question in (store.append(numbered("a.events", 1)), store.read(A, 0), store.extents()):
                with pytest.raises(LogUnavailableError, match="the cable is out"):
                    await question
        await store.append(numbered("a.events", 1))
        await ear.until_held(3)
    assert [type(news) for news in ear.news[-3:]] == [Unavailable, Available, Records]
    assert ear.all(Unavailable) == [Unavailable("the cable is out")]


async def test_a_lost_acknowledgement(store: FakeLog):
    with store.losing_acknowledgements(), pytest.raises(LogUnavailableError):
        await store.append([NewRecord("a.events", b"x")])
    assert [record.value for record in store.appended] == [b"x"]


async def test_retention_and_replaced_topics_are_reported(store: FakeLog):
    await store.append(numbered("a.events", 1))
    ear = SlowEar()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.follow, ear.deliver)
        await ear.until_held(1)
        await store.append(numbered("a.events", 3))
        await store.remove_before(A, 2)
        ear.gate.set()
        await ear.until_held(3)
        store.replace("a.events")
        await store.append(numbered("a.events", 1))
        await ear.until_held(4)
        nursery.cancel_scope.cancel()
    assert ear.all(Gap) == [Gap(A, 1, 2)]
    assert ear.all(TopicRecreated) == [TopicRecreated("a.events", "a.events#2")]
    assert [record.offset for record in ear.records] == [0, 2, 3, 0]


async def test_a_silent_log_waits(store: FakeLog, autojump_clock: trio.testing.MockClock):
    with trio.move_on_after(3600):
        async with following(store) as ear:
            await trio.sleep_forever()
    assert [type(news) for news in ear.news] == [LogMetadata, EpochsBegun]


async def test_what_nobody_could_read_is_a_gap(store: FakeLog):
    await store.append(numbered("a.events", 1))
    async with following(store) as ear:
        await ear.until_held(1)
        store.lose("a.events", 2)
        await store.append(numbered("a.events", 1))
        await ear.until_held(2)
    assert ear.all(Gap) == [Gap(A, 1, 3)]
    assert [record.offset for record in ear.records] == [0, 3]
