"""Reading the past again, from a log that can misbehave. The window is so small that it holds one publication."""

import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.findings import IN_USE, KEPT
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import Available, Records, Unavailable
from mesaya_ws.core.log.records import NewRecord, Partition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.position_text import beginning
from mesaya_ws.core.recovery.window import PositionEvicted, Window
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.gateway.history import HOPELESS, LINGER, READINGS, HistoryReader
from mesaya_ws.runtime.gc_tuning import tuned_gc
from mesaya_ws.settings import Settings
from tests.core.events import record
from tests.core.world import CHANNEL, FakeSendQueue, FakeServices, ask, read_on, reviews
from tests.fakes import FakeLog
from tests.timing import Steps

OTHER = "restaurant:r2:reviews"
REVIEWS = Partition(topic_of("reviews"), 0)


def now() -> int:
    return round(time() * 1000)


class Instance:
    """An instance that follows a log, and has its past read by a historian.

    `readings` are the times when a reading has begun; `is_being_read` says that one is under way. When `pace` is given,
    a reading gets one record in so many seconds.
    """

    def __init__(self, **settings) -> None:
        self.log = FakeLog()
        self.feed = Feed(Hub(), Window(300, 600), 1.0)
        self.readings = []
        self.begun = self.ended = trio.Event()
        self.is_being_read = False
        self.pace = None
        self.follow = self.log.follow
        self.log.follow = self.watched_follow
        self.historian = HistoryReader(self.log, self.feed, Settings(**{"replay_timeout": 30.0} | settings))
        self.services = FakeServices()
        self.services.read_history = self.historian.request
        self.places = {}

    async def watched_follow(self, deliver, *start) -> None:
        async def slowly(news) -> None:
            if self.pace is None or not isinstance(news, Records):
                await deliver(news)
                return
            for number, each in enumerate(news.records, 1):
                await trio.sleep(self.pace)
                await deliver(Records(news.source, [each], news.lag + len(news.records) - number))

        self.readings.append(trio.current_time())
        self.begun.set()
        self.ended = trio.Event()
        self.is_being_read = True
        try:
            await self.follow(slowly, *start)
        finally:
            self.is_being_read = False
            self.ended.set()

    async def deliver(self, news) -> None:
        if not isinstance(news, Unavailable | Available):
            self.feed.ingest(news, now())
        for _ in self.feed.process(now()):
            for _ in self.feed.hub.fan_out():
                pass

    async def says(self, kind, id, **data) -> None:
        said = record(kind, id, **data)
        await self.log.append([NewRecord(said.topic, said.value)])
        await wait_all_tasks_blocked()

    async def missed(self, channel=CHANNEL) -> Session:
        """Return the session of a client that has missed everything on a channel, and asks for it."""
        session = Session("c", self.feed, FakeSendQueue(), Limits(True, 10), self.services)
        assert ask(session, channel=channel, position=self.places[channel]) == []
        return session


@pytest.fixture
def settings():
    """What is set otherwise than usual."""
    return {}


@pytest.fixture
async def instance(nursery, mock_clock, settings) -> Instance:
    instance = Instance(**settings)
    nursery.start_soon(FakeLog.follow, instance.log, instance.deliver)
    nursery.start_soon(instance.historian.run)
    await wait_all_tasks_blocked()
    for channel in (CHANNEL, OTHER):
        first = Session("c", instance.feed, FakeSendQueue(), Limits(True, 10), instance.services)
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
    answer, *rest = session.send_queue.said()
    return answer.get("recovered"), answer.get("reason"), reviews(rest)


async def test_those_who_ask_together_share_a_reading(instance):
    sessions = [await instance.missed(), await instance.missed(), await instance.missed(OTHER)]
    await wait_all_tasks_blocked()
    assert [outcome(session) for session in sessions] == [
        (True, None, ["v0", "v1", "v2"]),
        (True, None, ["v0", "v1", "v2"]),
        (True, None, ["w"]),
    ]
    assert len(instance.readings) == 1
    await instance.says("review.created", "v3", restaurantId="r1")
    assert [reviews(session.send_queue.said()) for session in sessions] == [["v3"], ["v3"], []]


async def test_those_who_ask_meanwhile_join_the_reading(instance, mock_clock):
    async with outage(instance):
        first = await instance.missed()
        await wait_all_tasks_blocked()
        ask(first, channel=OTHER, position=instance.places[OTHER])
        second = await instance.missed(OTHER)
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert reviews(first.send_queue.said()) == ["v0", "v1", "v2", "w"]
    assert outcome(second) == (True, None, ["w"])
    assert len(instance.readings) == 1


async def test_who_asks_when_the_reading_has_passed_its_place_waits_for_the_next_one(instance, autojump_clock):
    instance.pace = 1.0
    first = await instance.missed()
    await trio.sleep(4.5)
    early = await instance.missed(OTHER)
    await trio.sleep(1)
    assert outcome(first) == (True, None, ["v0", "v1", "v2"])
    assert early.send_queue.said() == []
    await trio.sleep(10)
    assert outcome(early) == (True, None, ["w"])
    assert len(instance.readings) == 2


async def test_who_asks_before_the_reading_has_come_to_its_place_joins_it(instance, autojump_clock):
    instance.places[OTHER] = instance.feed.cursor.position(OTHER, parse_channel(OTHER).kind)
    for number in range(2):
        await instance.says("review.created", f"w{number}", restaurantId="r2")
    for number in range(4):
        await instance.says("review.created", f"y{number}", restaurantId="r3")
    instance.pace = 1.0
    first = await instance.missed()
    await trio.sleep(4.5)
    later = await instance.missed(OTHER)
    await trio.sleep(10)
    assert outcome(first) == (True, None, ["v0", "v1", "v2"])
    assert outcome(later) == (True, None, ["w0", "w1"])
    assert len(instance.readings) == 1


async def test_who_leaves_and_comes_back_finds_it_done(instance, autojump_clock):
    """A phone that stays for 3 seconds at a time, while the log takes 5 to be read."""
    instance.pace = 1.0
    answers = []
    for _ in range(4):
        phone = await instance.missed()
        await trio.sleep(3)
        answers.append(phone.send_queue.said()[:1])
        phone.leave()
        await trio.sleep(2)
    assert [[answer["recovered"] for answer in each] for each in answers] == [[], [True], [True], [True]]
    assert len(instance.readings) == 1


async def test_a_reading_ends_when_nobody_waits_for_it(instance, autojump_clock):
    instance.pace = 10.0
    gone = await instance.missed()
    await trio.sleep(3)
    assert instance.is_being_read
    gone.leave()
    await trio.sleep(LINGER + 2)
    assert not instance.is_being_read
    assert instance.feed.tally.readings == {"abandoned": 1}
    instance.pace = None
    back = await instance.missed()
    await trio.sleep(1)
    assert outcome(back) == (True, None, ["v0", "v1", "v2"]), "that one was given up is no reason not to try again"
    assert len(instance.readings) == 2


async def test_what_was_found_answers_all_who_ask_later(instance, mock_clock):
    for _ in range(20):
        session = await instance.missed()
        await wait_all_tasks_blocked()
        assert outcome(session) == (True, None, ["v0", "v1", "v2"])
        session.leave()
    assert len(instance.readings) == 1


async def test_what_could_not_be_found_is_remembered(instance, mock_clock):
    await instance.log.remove_before(REVIEWS, 2)
    instance.feed.coverage.reaches_back = lambda channel, vector: True  # it has not looked at the log since
    for _ in range(20):
        session = await instance.missed()
        await wait_all_tasks_blocked()
        assert outcome(session) == (False, "expired", [])
        session.leave()
    assert len(instance.readings) == 1


async def test_what_was_found_is_read_again_when_the_window_has_moved_on(instance, mock_clock):
    first = await instance.missed()
    await wait_all_tasks_blocked()
    first.leave()
    for number in range(3, 9):
        await instance.says("review.created", f"v{number}", restaurantId="r1")
    session = await instance.missed()
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, [f"v{number}" for number in range(9)])
    assert len(instance.readings) == 2


async def test_a_reading_follows_the_window_that_moves_on_meanwhile(instance, autojump_clock):
    instance.pace = 1.0
    session = await instance.missed()
    for number in range(3, 9):
        await trio.sleep(0.5)
        await instance.says("review.created", f"v{number}", restaurantId="r1")
    await trio.sleep(30)
    assert outcome(session) == (True, None, [f"v{number}" for number in range(9)])


@pytest.mark.parametrize("settings", [{"replay_state_bytes": 100}])
async def test_a_reading_that_needs_too_much_memory_is_given_up_and_not_tried_again_soon(instance, autojump_clock):
    instance.pace = 1.0
    for _ in range(3):
        session = await instance.missed()
        await trio.sleep(10)
        assert outcome(session) == (False, "expired", [])
        session.leave()
    assert len(instance.readings) == 1
    await trio.sleep(HOPELESS)
    session = await instance.missed()
    await trio.sleep(10)
    assert len(instance.readings) == 2
    assert instance.feed.tally.readings == {"too_large": 2}


class Told(trio.abc.Instrument):
    """Counts the most messages that `send_queue` was offered in one step of a task."""

    def __init__(self, send_queue) -> None:
        self.send_queue, self.most, self._before = send_queue, 0, 0

    def before_task_step(self, task) -> None:
        self._before = len(self.send_queue.frames)

    def after_task_step(self, task) -> None:
        self.most = max(self.most, len(self.send_queue.frames) - self._before)


@pytest.mark.parametrize("settings", [{"replay_timeout": 0.0}])
async def test_who_asks_for_much_that_cannot_be_found_receives_the_snapshots_one_by_one(instance, mock_clock):
    first = await instance.missed()
    await wait_all_tasks_blocked()
    assert outcome(first) == (False, "expired", [])
    session = Session("c", instance.feed, FakeSendQueue(), Limits(True, 100), instance.services)
    told = Told(session.send_queue)
    for name in (f"restaurant:r{number}:reviews" for number in range(20)):
        place = beginning(name, single=True) + instance.places[CHANNEL][4:]
        assert ask(session, channel=name, position=place) == []
    trio.lowlevel.add_instrument(told)
    await wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(told)
    assert [message["type"] for message in session.send_queue.said()] == ["subscribed", "snapshot"] * 20
    assert told.most == 2


async def test_one_connection_has_only_so_much_read(instance, mock_clock):
    session = Session("c", instance.feed, FakeSendQueue(), Limits(True, 100), instance.services)
    outcomes = []
    for number in range(READINGS + 1):
        channel = f"restaurant:q{number}:reviews"
        place = instance.feed.cursor.position(channel, parse_channel(channel).kind)
        for what in ("created", *["updated"] * 5):
            await instance.says(f"review.{what}", f"q{number}", restaurantId=f"q{number}")
        assert ask(session, channel=channel, position=place) == []
        await wait_all_tasks_blocked()
        outcomes.append(outcome(session)[:2])
    assert outcomes == [(True, None)] * READINGS + [(False, "expired")]
    assert len(instance.readings) == READINGS
    other = await instance.missed()
    await wait_all_tasks_blocked()
    assert outcome(other) == (True, None, ["v0", "v1", "v2"])


async def test_readings_take_their_share_of_the_time(nursery):
    """By a real clock: what is measured is how long a reading keeps the loop busy."""
    instance = Instance(replay_share=0.1)
    nursery.start_soon(instance.follow, instance.deliver)
    nursery.start_soon(instance.historian.run)
    await wait_all_tasks_blocked()
    for channel in (CHANNEL, OTHER):
        instance.places[channel] = instance.feed.cursor.position(channel, parse_channel(channel).kind)
    said = [record("review.created", f"v{number}", restaurantId="r1") for number in range(2000)]
    said += [record("review.created", f"w{number}", restaurantId="r2") for number in range(3)]
    await instance.log.append([NewRecord(each.topic, each.value) for each in said])
    while instance.feed.cursor.next[REVIEWS] < len(said):
        await wait_all_tasks_blocked()
    first = await instance.missed()
    began = trio.current_time()
    while not first.send_queue.frames:
        await trio.lowlevel.checkpoint()
    took = trio.current_time() - began
    instance.begun = trio.Event()
    second = await instance.missed(OTHER)
    with trio.fail_after(60):
        await instance.begun.wait()
        await instance.ended.wait()
    await wait_all_tasks_blocked()
    assert outcome(second) == (True, None, ["w0", "w1", "w2"])
    assert instance.readings[1] - instance.readings[0] > 1.5 * took


async def test_who_says_much_while_it_waits_causes_no_more_work(instance, mock_clock):
    judged, judge = [], instance.feed.coverage.check
    async with outage(instance):
        session = await instance.missed()
        await wait_all_tasks_blocked()
        instance.feed.coverage.check = lambda *asked: judged.append(asked) or judge(*asked)
        for _ in range(100):
            assert [answer["type"] for answer in ask(session, "ping")] == ["pong"]
            await wait_all_tasks_blocked()
        assert judged == []
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])


async def test_an_outage_of_the_log_is_waited_for(instance, autojump_clock: MockClock):
    async with outage(instance):
        session = await instance.missed()
        await trio.sleep(3600)
        assert session.send_queue.said() == []
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])


@pytest.mark.parametrize("hidden", ["reviews", "restaurants"])
async def test_a_part_of_the_log_that_is_not_known_now_is_waited_for(instance, autojump_clock: MockClock, hidden: str):
    instance.log.hide(topic_of(hidden))
    await wait_all_tasks_blocked()
    session = await instance.missed()
    await trio.sleep(3600)
    assert session.send_queue.said() == [], "what follows may depend on it"
    instance.log.show(topic_of(hidden))
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])
    assert instance.feed.tally.readings == {"found": 1}


async def test_what_may_not_be_read_any_more_is_not_tried(instance, autojump_clock: MockClock):
    instance.log.hide(topic_of("reviews"), Hindrance.REFUSED)
    await wait_all_tasks_blocked()
    session = Session("c", instance.feed, FakeSendQueue(), Limits(True, 10), instance.services)
    answer, *_ = ask(session, channel=CHANNEL, position=instance.places[CHANNEL])
    assert (answer["recovered"], answer["reason"]) == (False, "expired")
    assert not session.history_requests
    assert instance.readings == []


async def test_a_part_of_the_log_that_may_not_be_read_is_not_waited_for(instance, autojump_clock: MockClock):
    instance.log.hide(topic_of("menus"), Hindrance.REFUSED)
    await wait_all_tasks_blocked()
    session = await instance.missed()
    await wait_all_tasks_blocked()
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])


async def test_a_reading_that_takes_too_long_is_given_up(instance, autojump_clock: MockClock):
    async def follow(deliver, start, paused):
        await trio.sleep_forever()

    instance.log.follow = follow
    session = await instance.missed()
    await trio.sleep(29)
    assert session.send_queue.said() == []
    await trio.sleep(2)
    assert outcome(session) == (False, "expired", [])
    assert instance.feed.tally.readings == {"too_long": 1}


async def test_who_leaves_meanwhile_receives_nothing(instance):
    async with outage(instance):
        gone, stays = await instance.missed(), await instance.missed()
        await wait_all_tasks_blocked()
        gone.leave()
    await wait_all_tasks_blocked()
    assert gone.send_queue.said() == []
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


@pytest.mark.parametrize("settings", [{"replay_bytes": 600}])
async def test_what_all_readings_have_found_is_bounded_and_who_is_slow_comes_back(instance, mock_clock):
    sessions = []
    for channel in (CHANNEL, OTHER):
        session = await instance.missed(channel)
        session.send_queue.backlogged = True
        await wait_all_tasks_blocked()
        sessions.append(session)
    assert instance.historian._findings.bytes <= 600
    told = []
    for session in sessions:
        session.send_queue.backlogged = False
        try:
            session.resume()
        except PositionEvicted:
            told.append(None)
        else:
            told.append(outcome(session))
    assert told == [None, (True, None, ["w"])]


async def test_what_was_found_is_let_go_when_nobody_has_come_for_it_or_still_receives_it(instance, autojump_clock):
    findings = instance.historian._findings
    session = await instance.missed()
    session.send_queue.backlogged = True
    await trio.sleep(2 * KEPT)
    assert findings.bytes > 0
    read_on(session)
    assert outcome(session) == (True, None, ["v0", "v1", "v2"])
    await trio.sleep(2 * IN_USE)
    assert findings.bytes == 0
    session = await instance.missed()
    await trio.sleep(KEPT / 2)
    assert findings.bytes > 0
    session = await instance.missed()
    await trio.sleep(KEPT / 2 + 1)
    assert findings.bytes > 0
    await trio.sleep(KEPT / 2)
    assert findings.bytes == 0


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
    assert outcome(session) == (False, "topic_recreated", [])


async def test_a_reading_holds_nobody_up_and_what_it_took_comes_back(nursery, autojump_clock):
    instance, count = Instance(), 3000
    nursery.start_soon(instance.follow, instance.deliver)
    nursery.start_soon(instance.historian.run)
    await wait_all_tasks_blocked()
    instance.places[CHANNEL] = instance.feed.cursor.position(CHANNEL, parse_channel(CHANNEL).kind)
    said = [record("review.created", f"v{number}", restaurantId="r1", comment="x" * 500) for number in range(count)]
    await instance.log.append([NewRecord(each.topic, each.value) for each in said])
    await trio.sleep(1)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        session = await instance.missed()
        await trio.sleep(1)
        held, _ = tracemalloc.get_traced_memory()
        assert held - before > count * 500, "what was found"
        read_on(session)
        assert len(session.send_queue.said()) == 1 + count
        session.leave()
        await trio.sleep(2 * KEPT)
        after, _ = tracemalloc.get_traced_memory()
        # Python itself keeps up to 2,000 tuples of each size that were freed.
        assert after - before < 400_000
    finally:
        tracemalloc.stop()
    # As in production, where the collector never looks at everything.
    async with tuned_gc():
        with Steps() as steps:
            session = await instance.missed()
            await trio.sleep(1)
            read_on(session)
            await trio.sleep(2 * KEPT)
    assert len(session.send_queue.said()) == 1 + count
    steps.check()
