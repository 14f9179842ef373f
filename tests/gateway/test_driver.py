"""The loop that drives a feed; what it carries is tested with the ingest."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mesaya_ws.core.feed.feed import INGEST_BATCH
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.gateway.driver import EVENTS_AHEAD, Driver
from mesaya_ws.gateway.snapshots import between_records
from mesaya_ws.runtime.clocks import steady
from tests.support.instance import a_feed
from tests.support.log import record
from tests.timing import PATIENCE

REVIEWS, TABLES = Partition(topic_of("reviews"), 0), Partition(topic_of("tables"), 0)
PARENT_TIMEOUT = 2.0


class Observer:
    """Notes what happens around a feed, in its order."""

    def __init__(self):
        self.log = []

    def received(self, event):
        self.log.append(event)

    async def ingested(self, seconds):
        self.log.append(("ingested", seconds))
        await trio.sleep(1)

    async def processed(self, seconds):
        self.log.append(("processed", seconds))
        await trio.sleep(1)


class World:
    def __init__(self):
        self.feed = a_feed(parent_timeout=PARENT_TIMEOUT)
        self.observer = Observer()
        self.deliver, self.events = trio.open_memory_channel(2 * EVENTS_AHEAD)
        self.driver = Driver(self.feed, self.events, self.observer)
        extents = {REVIEWS: OffsetRange(0, 0, "a"), TABLES: OffsetRange(0, 0, "b")}
        self.deliver.send_nowait(LogMetadata(extents, dict.fromkeys(extents, 0)))

    def send(self, count, first=0):
        reviews = [Record(*REVIEWS, first + n, 0, None, b"{}") for n in range(count)]
        self.deliver.send_nowait(Records(REVIEWS, reviews, 0))

    async def advance(self):
        """Return what has happened in one round."""
        await self.driver.advance()
        log, self.observer.log = self.observer.log, []
        return log


@pytest.fixture
def world():
    return World()


async def test_what_waits_is_ingested_before_anything_is_processed(autojump_clock: MockClock, world):
    for number in range(3):
        world.send(1, number)
    *events, processed = await world.advance()
    assert [type(event) for event in events] == [LogMetadata, Records, Records, Records]
    assert processed[0] == "processed"
    assert world.feed.cursor.next[REVIEWS] == 3
    assert world.feed.live


async def test_what_another_task_leaves_over_is_done_without_anything_from_the_log(nursery, world):
    feed = a_feed(retention=Retention(1, 1 << 20))
    driver = Driver(feed, world.events, world.observer)
    feed.progress.interrupt = driver.interrupt

    async def drive():
        while True:
            await driver.advance()

    nursery.start_soon(drive)
    await wait_all_tasks_blocked()
    assert feed.next_deadline_in(steady()) > 0
    feed.persistent.restart_changes()
    assert feed.next_deadline_in(steady()) == 0
    with trio.fail_after(PATIENCE):
        await between_records(feed)
    nursery.cancel_scope.cancel()


async def test_waiting_events_are_ingested_up_to_a_bound_before_processing(autojump_clock: MockClock, world):
    for number in range(EVENTS_AHEAD + 1):
        world.send(1, number)
    events = [event for event in await world.advance() if isinstance(event, LogMetadata | Records)]
    assert len(events) == 1 + EVENTS_AHEAD
    assert world.feed.cursor.next[REVIEWS] == EVENTS_AHEAD


async def test_others_run_after_every_batch_also_if_it_came_in_small_events(autojump_clock: MockClock, world):
    await world.advance()
    world.send(2 * INGEST_BATCH + 1)
    steps = [step[0] for step in await world.advance() if step[0] in ("ingested", "processed")]
    assert steps[:2] == ["ingested", "ingested"]
    assert set(steps[2:]) == {"processed"}
    for number in range(INGEST_BATCH - 1):
        world.send(1, 2 * INGEST_BATCH + 1 + number)
        steps = [step[0] for step in await world.advance() if step[0] in ("ingested", "processed")]
        assert ("ingested" in steps) == (number == INGEST_BATCH - 2), "the one that was left over counts too"


async def test_the_time_in_which_others_ran_is_not_counted(autojump_clock: MockClock, world):
    world.send(2 * INGEST_BATCH)
    seconds = [step[1] for step in await world.advance() if step[0] in ("ingested", "processed")]
    assert len(seconds) > 3
    assert set(seconds) == {0.0}, "by this clock, only the others take time"


async def test_a_feed_is_woken_at_its_deadline_though_nothing_comes(autojump_clock: MockClock, world):
    await world.advance()
    world.deliver.send_nowait(Records(TABLES, [record("table.created", "t", sectionId="s")], 0))
    await world.advance()
    assert world.feed.cursor.next[TABLES] == 0, "it waits for its section"
    began = trio.current_time()
    assert [step[0] for step in await world.advance()] == ["processed"]
    assert trio.current_time() - began <= PARENT_TIMEOUT + 1
    assert world.feed.cursor.next[TABLES] == 1
