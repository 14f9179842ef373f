"""Checkpoints are written when they are old enough, by one instance, and an instance that starts reads the rest."""

import math
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import trio
from structlog.testing import capture_logs
from structlog.typing import EventDict
from trio.testing import MockClock

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.changelog import Changelog
from mesaya_ws.core.feed.checkpoint import PART_BYTES
from mesaya_ws.core.log.events import Available, LogEvent, Records, Unavailable
from mesaya_ws.core.log.records import NewRecord, Partition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog
from tests.support.instance import a_feed, written

STATE = "test.state"
TABLES, SECTIONS = topic_of("tables"), topic_of("sections")
PLAN = parse_channel("restaurant:r:tables")
WINDOW = 300.0
YEAR = 365 * 86_400


class Clock:
    """The time of day of all instances, by a clock that jumps; it may be `ahead` of that, in seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> int:
        return round((trio.current_time() + self.ahead) * 1000)


CLOCK = Clock()


@pytest.fixture
def clock(autojump_clock: MockClock) -> Iterator[MockClock]:
    """The clock that jumps, and that the time of day goes by; a test must ask for it itself."""
    yield autojump_clock
    CLOCK.ahead = 0.0


@pytest.fixture
def state() -> FakeLog:
    return FakeLog((STATE,))


@pytest.fixture
def log() -> FakeLog:
    return FakeLog((TABLES, SECTIONS), clock=trio.current_time)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


class Instance:
    """An instance: it begins with a checkpoint, follows the log, and writes checkpoints."""

    def __init__(
        self, log: FakeLog, state: FakeLog, topics: tuple[str, ...] = (TABLES, SECTIONS), **options: int
    ) -> None:
        self.feed = a_feed(seconds=math.inf, max_bytes=1 << 30)
        self.metrics = Metrics()
        self.received: list[LogEvent] = []
        settings = Settings(checkpoint_topic=STATE, window_seconds=WINDOW, kafka_topics=topics)
        self._log = log
        self._checkpoints = Checkpoints(state, log, self.feed, settings, self.metrics, time_ms=CLOCK, **options)
        self._moved = trio.Event()

    @property
    def records(self) -> int:
        """How many records it has read."""
        return sum(len(news.records) for news in self.received if isinstance(news, Records))

    @property
    def tables(self) -> list[str]:
        return [table["tableId"] for table in written(self.feed.states.snapshot(PLAN))["tables"]]

    async def run(self) -> None:
        start = await self._checkpoints.restore(self.receive)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._checkpoints.run)
            nursery.start_soon(self._log.follow, self.receive, start)
            # News comes every few seconds, as of a real log.
            while True:
                await trio.sleep(3)
                await self._checkpoints.capture()

    async def receive(self, news: LogEvent) -> None:
        self.received.append(news)
        if not isinstance(news, Unavailable | Available):
            now = round(trio.current_time() * 1000)
            self.feed.ingest(news, now)
            for _ in self.feed.process(now):
                pass
            if self.feed.live:
                await self._checkpoints.capture()
        self._moved.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._moved = trio.Event()
            await self._moved.wait()


@asynccontextmanager
async def running(log: FakeLog, state: FakeLog, **options: Any) -> AsyncIterator[Instance]:
    """Run an instance for the time of the context; it is live at the beginning."""
    instance = Instance(log, state, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await instance.until(lambda: instance.feed.live)
        yield instance
        nursery.cancel_scope.cancel()


def record(domain: str, id: str, **data: str) -> NewRecord:
    value = {"event_type": "created", "entity_id": id, "data": data}
    return NewRecord(topic_of(domain), orjson.dumps(value))


async def fill(log: FakeLog, *tables: str) -> None:
    await log.append([record("tables", table, sectionId="s") for table in tables])


def whole(state: FakeLog) -> list[str]:
    """Return the ids of the whole checkpoints, the newest first."""
    return [mark.id for mark in read(state).whole()]


def written_marks(state: FakeLog) -> int:
    """Return how many checkpoints were ever written."""
    return sum(one.value is not None and b'"format"' in one.value for one in state.appended)


def read(state: FakeLog) -> Changelog:
    """Return what the topic says."""
    changelog = Changelog()
    for one in state.appended:
        changelog.take(one)
    return changelog


@pytest.fixture
async def kept(log: FakeLog, state: FakeLog) -> None:
    """Have a checkpoint of a section with two tables, which is as old as the window."""
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, "t1", "t2")
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
    assert len(whole(state)) == 1


async def test_an_instance_that_starts_reads_the_rest(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    await fill(log, "t3")
    async with running(log, state) as instance, running(log, FakeLog((STATE,))) as reader:
        assert (instance.records, reader.records) == (1, 4)
        assert instance.tables == reader.tables == ["t1", "t2", "t3"]
        assert instance.feed.position(PLAN) == reader.feed.position(PLAN)
        assert instance.metrics.checkpoint in whole(state)
        assert instance.metrics.checkpoint_rows == 3


async def test_a_checkpoint_is_older_than_the_window_when_it_is_written(clock: MockClock, log: FakeLog, state: FakeLog):
    await fill(log, "t1")
    async with running(log, state):
        await trio.sleep(WINDOW - 10)
        await fill(log, "t2")
        assert state.appended == []
        await trio.sleep(WINDOW * 0.3)
        assert len(whole(state)) == 1
    async with running(log, state) as instance:
        assert instance.records == 1, "what is in the window is read"


async def test_new_ones_follow_as_long_as_there_is_something_new(clock: MockClock, log: FakeLog, state: FakeLog):
    async with running(log, state):
        for number in range(5):
            await fill(log, f"t{number}")
            await trio.sleep(WINDOW * 1.3)
        assert written_marks(state) > 3
        assert len({id.rpartition(".")[0] for id in whole(state)}) == 1
        await trio.sleep(WINDOW * 10)
        count = len(state.appended)
        await trio.sleep(WINDOW * 10)
        assert len(state.appended) == count, "nobody writes the same again"


async def test_one_of_several_instances_writes_and_another_when_that_is_gone(
    clock: MockClock, log: FakeLog, state: FakeLog
):
    async def feed_on() -> None:
        for number in range(1000):
            await fill(log, f"t{number}")
            await trio.sleep(WINDOW / 10)

    def writer() -> str:
        return whole(state)[0].rpartition(".")[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed_on)
        async with running(log, state), running(log, state), running(log, state):
            await trio.sleep(WINDOW * 20)
            first = writer()
            assert {id.rpartition(".")[0] for id in whole(state)} == {first}
            assert written_marks(state) <= 21
        async with running(log, state):
            await trio.sleep(WINDOW * 5)
            assert writer() != first
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ahead", [-YEAR, -300, 300, YEAR])
async def test_one_checkpoint_of_a_clock_that_was_wrong_stops_no_other(
    clock: MockClock, log: FakeLog, state: FakeLog, ahead: int
):
    CLOCK.ahead = ahead
    await fill(log, "t0")
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
    CLOCK.ahead = 0
    [first] = whole(state)
    async with running(log, state):
        for number in range(20):
            await fill(log, f"n{number}")
            await trio.sleep(WINDOW)
    assert len(state.appended) > 20, "a part and a marker each, one after the other"
    assert first not in whole(state)
    async with running(log, state) as late:
        assert late.records < 5
        assert late.feed.coverage.has_all_of([TABLES])


async def test_a_clock_that_goes_wrong_while_it_runs_changes_nothing(clock: MockClock, log: FakeLog, state: FakeLog):
    async with running(log, state), running(log, state):
        for number in range(30):
            CLOCK.ahead = (-1) ** number * YEAR
            await fill(log, f"t{number}")
            await trio.sleep(WINDOW)
        assert 20 < written_marks(state) <= 31, "by one of the two"


async def test_a_checkpoint_of_an_end_that_the_log_has_lost_does_not_stop_others(
    clock: MockClock, log: FakeLog, state: FakeLog
):
    await fill(log, *(f"t{number}" for number in range(20)))
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
    [lost] = whole(state)
    log.lose_end(TABLES, 15)
    await fill(log, "new")
    async with running(log, state) as instance:
        assert instance.records == 6
        await trio.sleep(WINDOW * 1.3)
    newest, before = whole(state)
    assert before == lost
    async with running(log, state) as instance:
        assert instance.records == 0
        assert instance.metrics.checkpoint == newest


async def test_who_has_read_what_the_log_has_lost_writes_none(clock: MockClock, log: FakeLog, state: FakeLog):
    await fill(log, *(f"t{number}" for number in range(20)))
    async with running(log, state) as instance:
        log.lose_end(TABLES, 15)
        await fill(log, *(f"n{number}" for number in range(20)))
        await instance.until(lambda: instance.records == 40)
        await trio.sleep(WINDOW * 5)
        assert state.appended == []
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
        assert len(whole(state)) == 1


async def test_what_retention_has_dropped_is_known(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    await fill(log, "t3", "t4")
    await log.remove_before(Partition(TABLES, 0), 3)
    await log.remove_before(Partition(SECTIONS, 0), 1)
    async with running(log, state) as instance, running(log, FakeLog((STATE,))) as reader:
        assert instance.tables == ["t1", "t2", "t4"]
        assert not instance.feed.states.snapshot(PLAN).complete, "nobody has read t3"
        assert reader.tables == []


async def test_who_has_missed_what_retention_dropped_writes_over_nobody_who_knows_it(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None, logged: list[EventDict]
):
    """It began when the checkpoint was not there yet, and reads further than that; until retention overtakes that."""
    [known] = whole(state)
    records, empty = list(state.appended), FakeLog((STATE,))
    await log.remove_before(Partition(TABLES, 0), 2)
    async with running(log, empty) as instance:
        assert instance.tables == []
        await empty.append([NewRecord(STATE, one.value, one.key) for one in records])
        for number in range(3):
            await fill(log, f"n{number}")
            await trio.sleep(WINDOW * 3)
        assert whole(empty) == [known]
        [said] = [entry for entry in logged if entry["log_level"] == "warning"]
        assert said["event"].startswith("no checkpoint is written")
        assert said["checkpoint"] == known
        async with running(log, empty) as later:
            assert later.tables == ["t1", "t2", "n0", "n1", "n2"]
        await log.remove_before(Partition(TABLES, 0), 4)
        await trio.sleep(WINDOW * 3)
        assert len(whole(empty)) == 2
        assert whole(empty)[1] == known


async def test_who_knows_what_another_has_missed_writes_though_nothing_comes(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    poor = FakeLog((STATE,))
    await log.remove_before(Partition(TABLES, 0), 2)
    async with running(log, poor):
        await trio.sleep(WINDOW * 1.3)
    [missing] = whole(poor)
    async with running(log, state) as instance:
        assert instance.tables == ["t1", "t2"]
        await state.append([NewRecord(STATE, one.value, one.key) for one in poor.appended])
        assert whole(state)[0] == missing
        await trio.sleep(WINDOW * 7)
        assert whole(state)[0] != missing
    async with running(log, state) as later:
        assert later.tables == ["t1", "t2"]


async def test_the_checkpoint_of_another_log_is_not_taken(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    log.replace(TABLES)
    await fill(log, "t9")
    async with running(log, state) as instance:
        assert instance.tables == ["t9"]
        assert instance.records == 2
        await trio.sleep(WINDOW * 1.3)
    async with running(log, state) as instance:
        assert instance.records == 0


async def test_a_log_that_has_lost_its_end_is_another_one(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    log.lose_end(TABLES, 1)
    async with running(log, state) as instance:
        assert instance.records == 2
        assert instance.tables == ["t1"]


async def test_a_log_that_has_lost_its_end_and_goes_on_is_another_one(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    log.lose_end(TABLES, 1)
    await fill(log, "t8", "t9")
    async with running(log, state) as instance:
        assert instance.tables == ["t1", "t8", "t9"]
        assert instance.records == 4
        await trio.sleep(WINDOW * 1.3)
    async with running(log, state) as instance:
        assert instance.records == 0


async def test_a_damaged_checkpoint_is_passed_by(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    await fill(log, "t3")
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
    newest, before = whole(state)
    (part,) = read(state).parts(read(state).by_id[newest])
    await state.append([NewRecord(STATE, part.content[-10:], part.key)])
    assert whole(state) == [newest, before]
    async with running(log, state) as instance:
        assert instance.records == 1
        assert instance.tables == ["t1", "t2", "t3"]


async def test_checkpoints_of_another_version_are_passed_by_with_one_line(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None, logged: list[EventDict]
):
    for one in [one for one in state.appended if one.value and b'"format"' in one.value]:
        await state.append([NewRecord(STATE, one.value.replace(b'"format":3', b'"format":1'), one.key)])
    assert whole(state) == []
    logged.clear()
    async with running(log, state) as instance:
        assert instance.tables == ["t1", "t2"]
    [line] = [line for line in logged if "another version" in line["event"]]
    assert (line["log_level"], line["format"]) == ("info", 1)


async def test_topics_that_are_not_followed_any_more_are_left_out(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    narrow = FakeLog((TABLES,))
    narrow.appended = log.appended
    narrow._held = [entry for entry in log._held if entry[1].topic == TABLES]
    narrow._extents = {at: extent for at, extent in log._extents.items() if at.topic == TABLES}
    async with running(narrow, state, topics=(TABLES,)) as instance:
        assert instance.records == 0
        assert set(instance.feed.cursor.next) == {Partition(TABLES, 0)}


async def test_what_changes_is_all_that_is_written_while_it_is_little(clock: MockClock, log: FakeLog, state: FakeLog):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(1000)))
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
        before = len(state.appended)
        for number in range(20):
            await fill(log, f"n{number}", "t0")
            await trio.sleep(WINDOW * 1.3)
        await trio.sleep(WINDOW * 1.3)
        assert sum(len(one.value or b"") for one in state.appended[before:]) < 20 * 1500
        assert len(read(state).chain(read(state).newest())) < 8, "small ones are put together"
    async with running(log, state) as instance, running(log, FakeLog((STATE,))) as reader:
        assert instance.records == 0
        assert instance.tables == reader.tables
        captured, known = (
            [row for piece in each.feed.persistent.capture()[1] for row in piece] for each in (instance, reader)
        )
        assert captured == known


@pytest.mark.slow
async def test_all_that_is_known_is_written_once_a_day(clock: MockClock, log: FakeLog, state: FakeLog):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(100)))
    begun = trio.current_time()
    async with running(log, state):
        while trio.current_time() - begun < 3 * 86_400:
            await fill(log, "t0")
            await trio.sleep(WINDOW * 10)
    wholes = [one for one in state.appended if one.value is not None and b'"after":[]' in one.value]
    assert len(wholes) == 3


async def test_who_begins_with_the_newest_checkpoint_goes_on_with_it(clock: MockClock, log: FakeLog, state: FakeLog):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(100)))
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
    for number in range(3):
        async with running(log, state):
            await fill(log, f"n{number}")
            await trio.sleep(WINDOW * 1.3)
    changelog = read(state)
    chain = changelog.chain(changelog.newest())
    assert len({mark.id.rpartition(".")[0] for mark in chain}) > 1
    assert chain[0].rows == 101


async def test_who_has_not_begun_with_the_newest_checkpoint_writes_all_that_is_known(
    clock: MockClock, log: FakeLog, state: FakeLog
):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(100)))
    async with running(log, state) as other:
        async with running(log, state):
            await trio.sleep(WINDOW * 1.3)
            await fill(log, "n1")
            await trio.sleep(WINDOW * 2.6)
        await fill(log, "n2")
        await trio.sleep(WINDOW * 5)
        await fill(log, "n3")
        await trio.sleep(WINDOW * 5)
        known = [row for piece in other.feed.persistent.capture()[1] for row in piece]
    async with running(log, state) as instance:
        assert instance.records == 0
        assert [row for piece in instance.feed.persistent.capture()[1] for row in piece] == known


async def test_changes_that_could_not_be_written_are_written_later(clock: MockClock, log: FakeLog, state: FakeLog):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(100)))
    async with running(log, state) as instance:
        await trio.sleep(WINDOW * 1.3)
        with state.failing():
            await fill(log, "n1")
            await trio.sleep(WINDOW * 3)
        with state.losing_acknowledgements():
            await fill(log, "n2")
            await trio.sleep(WINDOW * 3)
        await fill(log, "n3")
        await trio.sleep(WINDOW * 5)
        known = [row for piece in instance.feed.persistent.capture()[1] for row in piece]
    async with running(log, state) as later:
        assert later.records == 0
        assert [row for piece in later.feed.persistent.capture()[1] for row in piece] == known


async def test_more_changes_than_may_wait_are_let_go_of(clock: MockClock, log: FakeLog, state: FakeLog):
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *(f"t{number}" for number in range(100)))
    async with running(log, state, max_changes=10):
        await trio.sleep(WINDOW * 1.3)
        await fill(log, *(f"n{number}" for number in range(20)))
        await trio.sleep(WINDOW * 5)
        assert read(state).newest().rows == 121
        assert read(state).newest().after == []


async def test_a_log_that_does_not_answer_is_waited_for(clock: MockClock, log: FakeLog, state: FakeLog, kept: None):
    state.fail("the cable is out")
    instance = Instance(log, state)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await trio.sleep(60)
        assert instance.received == [Unavailable("the cable is out")]
        state.recover()
        await instance.until(lambda: instance.feed.live)
        assert instance.received[1] == Available()
        assert instance.records == 0
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_written_is_counted_and_tried_again(
    clock: MockClock, log: FakeLog, state: FakeLog, logged: list[EventDict]
):
    await fill(log, "t1")
    async with running(log, state) as instance:
        with state.failing():
            await trio.sleep(WINDOW * 10)
        assert instance.metrics.checkpoint_failures > 3
        assert [entry["event"] for entry in logged if entry["log_level"] == "warning"] == [
            "no checkpoint can be written"
        ]
        await trio.sleep(WINDOW * 3)
        assert len(whole(state)) == 1


@pytest.mark.slow
async def test_a_large_one_has_many_parts_and_may_be_compacted_while_it_is_read(
    clock: MockClock, log: FakeLog, state: FakeLog, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(0)
    names = [chance.randbytes(60).hex() for _ in range(4000)]
    await log.append([record("sections", "s", restaurantId="r")])
    await fill(log, *names[:1000])
    async with running(log, state):
        await trio.sleep(WINDOW * 1.3)
        await fill(log, *names[1000:])  # more than there were
        await trio.sleep(WINDOW * 1.3)
        await fill(log, "last")
        await trio.sleep(WINDOW * 2.6)
        await fill(log, "unwritten")
    changelog = read(state)
    first, last = changelog.chain(changelog.newest())
    assert first.parts >= 4000 * 60 / PART_BYTES
    assert last.rows == 1
    begin = changelog.parts(first)[0].offset
    reading, pages = state.read, 0

    async def read_while_compacted(partition, start, limit):
        nonlocal pages
        pages += 1
        if pages == 2:
            await state.remove_before(partition, begin)
        return await reading(partition, start, limit)

    monkeypatch.setattr(state, "read", read_while_compacted)
    async with running(log, state, page=2) as instance:
        assert instance.records == 1
        assert instance.tables == [*names, "last", "unwritten"]


async def test_unknown_checkpoint_topic_is_waited_for_and_never_overwritten(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    await log.remove_before(Partition(TABLES, 0), 2)
    state.hide(STATE)
    instance = Instance(log, state)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        for number in range(3):
            await fill(log, f"n{number}")
            await trio.sleep(WINDOW * 1.3)
        assert not instance.feed.live, "only the checkpoint knows all tables"
        assert instance.received == [Unavailable(f"{STATE} is unknown.")]
        state.show(STATE)
        await instance.until(lambda: instance.feed.live)
        await trio.sleep(WINDOW * 1.3)
        nursery.cancel_scope.cancel()
    async with running(log, state) as later:
        assert instance.tables == later.tables == ["t1", "t2", "n0", "n1", "n2"]


async def test_checkpoint_is_chosen_only_when_the_whole_log_is_known(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    log.hide(SECTIONS)
    instance = Instance(log, state)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await trio.sleep(WINDOW)
        assert not instance.feed.live
        log.show(SECTIONS)
        await instance.until(lambda: instance.feed.live)
        assert instance.tables == ["t1", "t2"]
        nursery.cancel_scope.cancel()


async def test_a_topic_that_may_not_be_read_is_known_from_the_checkpoint(
    clock: MockClock, log: FakeLog, state: FakeLog, kept: None
):
    log.hide(SECTIONS, Hindrance.REFUSED)
    async with running(log, state) as instance:
        assert instance.tables == ["t1", "t2"]
