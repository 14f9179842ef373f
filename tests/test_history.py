"""Reading the past again, from a log that can misbehave. The window is so small that it holds one publication."""

import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mesaya_ws.core.event_log import NewRecord, Outage, Partition, Restored, topic_of
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.session import Limits, Session
from mesaya_ws.core.window import Overtaken, Window
from mesaya_ws.history import Historian
from mesaya_ws.settings import Settings
from tests.core.events import record
from tests.core.world import CHANNEL, FakeOutbox, ask, read_on, reviews
from tests.fakes import FakeLog

OTHER = "restaurant:r2:reviews"
REVIEWS = Partition(topic_of("reviews"), 0)


def now() -> int:
    return round(time() * 1000)


class Instance:
    """An instance that follows a log, and has its past read by a historian."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.feed = Feed(Hub(), Window(300, 600), 1.0)
        self.readings = 0
        follow = self.log.follow

        async def counted_follow(deliver, *start):
            self.readings += 1
            await follow(deliver, *start)

        self.log.follow = counted_follow
        self.historian = Historian(self.log, self.feed, Settings(replay_seconds=30.0), lambda session: None)
        self.places = {}

    async def deliver(self, news) -> None:
        if not isinstance(news, Outage | Restored):
            self.feed.hear(news, now())
        for _ in self.feed.take(now()):
            for _ in self.feed.hub.fan_out():
                pass

    async def says(self, kind, id, **data) -> None:
        said = record(kind, id, **data)
        await self.log.append([NewRecord(said.topic, said.value)])
        await wait_all_tasks_blocked()

    async def missed(self, channel=CHANNEL) -> Session:
        """Return the session of a client that has missed everything on a channel, and asks for it."""
        session = Session("c", self.feed, FakeOutbox(), Limits(True, 10))
        assert ask(session, channel=channel, position=self.places[channel]) == []
        self.historian.ask(session)
        return session


@pytest.fixture
async def instance(nursery) -> Instance:
    instance = Instance()
    nursery.start_soon(FakeLog.follow, instance.log, instance.deliver)
    nursery.start_soon(instance.historian.run)
    await wait_all_tasks_blocked()
    for channel in (CHANNEL, OTHER):
        first = Session("c", instance.feed, FakeOutbox(), Limits(True, 10))
        instance.places[channel] = ask(first, channel=channel)[0]["position"]
        first.leave()
    for number in range(3):
        await instance.says("review.created", f"v{number}", restaurantId="r1")
    await instance.says("review.created", "w", restaurantId="r2")
    await instance.says("review.created", "x", restaurantId="r3")
    return instance


@asynccontextmanager
async def outage(instance) -> AsyncIterator[None]:
    with instance.log.failing():
        await wait_all_tasks_blocked()
        yield


def outcome(session):
    """Return the answer to a session in short, and the reviews that follow."""
    answer, *rest = session.outbox.said()
    return answer.get("recovered"), answer.get("reason"), reviews(rest)


async def test_those_who_ask_together_share_a_reading(instance):
    sessions = [await instance.missed(), await instance.missed(), await instance.missed(OTHER)]
    await wait_all_tasks_blocked()
    assert [outcome(session) for session in sessions] == [
        (True, None, ["v0", "v1", "v2"]),
        (True, None, ["v0", "v1", "v2"]),
        (True, None, ["w"]),
    ]
    assert instance.readings == 1
    await instance.says("review.created", "v3", restaurantId="r1")
    assert [reviews(session.outbox.said()) for session in sessions] == [["v3"], ["v3"], []]


async def test_those_who_ask_meanwhile_share_the_next_one(instance):
    async with outage(instance):
        first = await instance.missed()
        await wait_all_tasks_blocked()
        ask(first, channel=OTHER, position=instance.places[OTHER])
        instance.historian.ask(first)
        second = await instance.missed(OTHER)
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert reviews(first.outbox.said()) == ["v0", "v1", "v2", "w"]
    assert outcome(second) == (True, None, ["w"])
    assert instance.readings == 2


async def test_an_outage_of_the_log_is_waited_for(instance, autojump_clock: MockClock):
    async with outage(instance):
        session = await instance.missed()
        await trio.sleep(3600)
        assert session.outbox.said() == []
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])


async def test_a_reading_that_takes_too_long_is_given_up(instance, autojump_clock: MockClock):
    async def follow(deliver, start, paused):
        await trio.sleep_forever()

    instance.log.follow = follow
    session = await instance.missed()
    await trio.sleep(29)
    assert session.outbox.said() == []
    await trio.sleep(2)
    assert outcome(session) == (False, "expired", [])


async def test_who_leaves_meanwhile_is_told_nothing(instance):
    async with outage(instance):
        gone, stays = await instance.missed(), await instance.missed()
        await wait_all_tasks_blocked()
        gone.leave()
    await wait_all_tasks_blocked()
    assert gone.outbox.said() == []
    assert outcome(stays) == (True, None, ["v0", "v1", "v2"])
    assert instance.feed.hub.subscriptions == 1


async def test_who_is_gone_is_not_kept_until_the_log_answers_again(instance):
    async with outage(instance):
        stays = await instance.missed()
        await wait_all_tasks_blocked()
        gone = await instance.missed()
        gone.leave()
        gone = weakref.ref(gone)
        assert gone() is None
    await wait_all_tasks_blocked()
    assert outcome(stays) == (True, None, ["v0", "v1", "v2"])


async def test_what_all_readings_have_found_is_bounded_and_who_is_slow_comes_back(instance, autojump_clock: MockClock):
    instance.historian._settings = Settings(replay_seconds=30.0, replay_bytes=1000)
    sessions = [await instance.missed(channel) for channel in (CHANNEL, OTHER)]
    sessions[0].outbox.behind = True
    await wait_all_tasks_blocked()
    for _ in range(2):
        again = await instance.missed()
        again.outbox.behind = True
        await wait_all_tasks_blocked()
        sessions.append(again)
    told = []
    for session in sessions:
        session.outbox.behind = False
        try:
            session.go_on()
        except Overtaken:
            told.append(None)
        else:
            told.append(outcome(session))
    assert told == [None, (True, None, ["w"]), None, (True, None, ["v0", "v1", "v2"])]


async def test_what_was_found_is_let_go_when_it_has_been_told(instance):
    session = await instance.missed()
    session.outbox.behind = True
    await wait_all_tasks_blocked()
    assert len(instance.historian._found) == 1
    read_on(session)
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])
    assert len(instance.historian._found) == 0


async def test_what_is_published_meanwhile_follows_once(instance):
    session = await instance.missed()
    await instance.says("review.created", "v3", restaurantId="r1")
    assert outcome(session) == (True, None, ["v0", "v1", "v2", "v3"])


async def test_retention_that_has_passed_meanwhile(instance):
    async with outage(instance):
        session = await instance.missed()
        await wait_all_tasks_blocked()
        await instance.log.remove_before(REVIEWS, 2)
    await wait_all_tasks_blocked()
    assert outcome(session) == (False, "expired", [])


async def test_a_topic_that_is_created_again_meanwhile(instance, autojump_clock: MockClock):
    async with outage(instance):
        session = await instance.missed()
        await wait_all_tasks_blocked()
        instance.log.replace(REVIEWS.topic)
    await trio.sleep(31)
    assert outcome(session) == (False, "replaced", [])
