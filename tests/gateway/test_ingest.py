"""What goes along with each step of the feed; what is moved is tested with the gateway."""

import gc

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.feed import INGEST_BATCH, Feed
from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.core.log.events import Gap, LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.gateway.ingest import Ingest
from mesaya_ws.gateway.log_reports import LogReports
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from tests.steps import counted_task_steps
from tests.support.instance import FakeServices, Owner, a_feed, a_session, ask, session_identities
from tests.support.log import NOW, Log

STAYS, GOES = Partition("a", 0), Partition("b", 0)


class EmptyStore:
    """A state store with room for everything, in which nothing is kept."""

    def note_ready(self):
        pass

    async def make_room(self):
        pass


def an_ingest(feed, registry=None, identities=None):
    metrics = Metrics()
    return Ingest(
        feed=feed,
        registry=registry or SessionRegistry(),
        identities=identities or session_identities(),
        metrics=metrics,
        reports=LogReports(feed, metrics, Status()),
        live=trio.Event(),
        store=EmptyStore(),
        checkpoints=None,
        progressed=lambda: None,
    )


async def test_what_is_no_more_does_not_lag(nursery):
    feed = a_feed(max_bytes=1000)
    deliver, news = trio.open_memory_channel(1)
    nursery.start_soon(an_ingest(feed).run, news)
    for lags in ({STAYS: 3, GOES: 1}, {STAYS: 2}):
        await deliver.send(LogMetadata({}, lags))
        await wait_all_tasks_blocked()
        assert feed.lags() == lags | dict.fromkeys({STAYS, GOES} - lags.keys(), 0)


class NotingFeed(Feed):
    """A feed that only notes what it is to ingest (`note`)."""

    def ingest(self, news, now, steady):
        self.note(news)


async def test_others_run_while_many_records_are_ingested(nursery):
    feed, ingested = a_feed(kind=NotingFeed, max_bytes=1000), []
    deliver, news = trio.open_memory_channel(10)
    for source, count in ((STAYS, 2 * INGEST_BATCH + 1), (GOES, INGEST_BATCH - 2), (GOES, 1)):
        deliver.send_nowait(Records(source, [Record(*source, 0, 0, None, None)] * count, 0))
    with counted_task_steps() as steps:
        feed.note = lambda news: ingested.append((steps.taken, len(news.records)))
        nursery.start_soon(an_ingest(feed).run, news)
        await wait_all_tasks_blocked()
    assert [size for _, size in ingested] == [INGEST_BATCH, INGEST_BATCH, 1, INGEST_BATCH - 2, 1]
    first, second, *rest = [step for step, _ in ingested]
    assert first < second < rest[0], "a step for each of the full pieces"
    assert len(set(rest)) == 1, "and one for what is together less than one of them"


@pytest.mark.parametrize("live", [False, True])
async def test_the_collector_is_not_left_with_many_young_objects(nursery, live):
    feed = a_feed(kind=NotingFeed, max_bytes=1000)
    feed.progress.live = live
    made = []
    feed.note = lambda news: made.extend([record] for record in news.records)
    deliver, news = trio.open_memory_channel(2)
    for count in (9 * INGEST_BATCH + 1, INGEST_BATCH - 1):
        deliver.send_nowait(Records(STAYS, [Record(*STAYS, 0, 0, None, None)] * count, 0))
    gc.disable()
    try:
        nursery.start_soon(an_ingest(feed).run, news)
        await wait_all_tasks_blocked()
        ages = [{id(it) for it in gc.get_objects(generation)} for generation in range(3)]
        assert len(made) == 10 * INGEST_BATCH
        # In a history, they are kept: of no age at all.
        assert [sum(id(it) in age for it in made) for age in ages] == [0, 0, len(made) if live else 0]
    finally:
        gc.unfreeze()
        gc.enable()


async def test_record_that_takes_a_right_away_is_the_last_one_that_is_written_by_it(nursery):
    log, identities = Log(), session_identities()
    feed = a_feed(parent_timeout=0.0)
    log.says("restaurant.created", "R", ownerId="u")
    log.feed_into(feed)
    session = a_session(feed, identities=identities)
    identify(session, Identity("u"), 0)
    ask(session, channel="restaurant:R:reservations")
    records = [
        log.says("reservation.created", "before", timestamp=NOW + 1, restaurantId="R"),
        log.says("restaurant.updated", "R", timestamp=NOW + 2, ownerId="v"),
        log.says("reservation.created", "after", timestamp=NOW + 3, restaurantId="R"),
    ]
    deliver, news = trio.open_memory_channel(10)
    for record in records:
        await deliver.send(Records(Partition(record.topic, record.partition), [record], 0))
    nursery.start_soon(an_ingest(feed, identities=identities).run, news)
    await wait_all_tasks_blocked()
    event, ended = session.send_queue.said()
    assert (event["data"]["reservationId"], ended["reason"]) == ("before", "rights_changed")
    assert feed.progress.rights_changes == []


async def test_gap_for_many_sessions_is_announced_in_steps_before_any_later_position(nursery):
    channel, count = "restaurant:r:reviews", 4 * YIELD_EVERY
    reviews = Partition(topic_of("reviews"), 0)
    feed, lines = a_feed(max_bytes=1000), []
    registry, services = SessionRegistry(), FakeServices()
    deliver, news = trio.open_memory_channel(10)
    nursery.start_soon(an_ingest(feed, registry=registry).run, news)
    await deliver.send(LogMetadata({reviews: OffsetRange(0, 0, "a")}, {}))
    await wait_all_tasks_blocked()
    for number in range(count):
        session = a_session(feed, str(number), services=services)
        ask(session, channel=channel)
        registry.add(Owner(session))

    with counted_task_steps() as steps:
        services.render_snapshot = lambda _: lines.append((steps.taken, bool(feed.progress.gaps)))
        await deliver.send(Gap(reviews, 0, 5))
        await wait_all_tasks_blocked()
    assert len(lines) == count
    assert all(is_owed for _, is_owed in lines)
    assert len({step for step, _ in lines}) >= 4
    assert feed.progress.gaps == []
