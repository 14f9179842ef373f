"""What the ingest counts; what it moves is tested with the gateway."""

import gc
from functools import partial
from time import time

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.feed import INGEST_BATCH, Feed
from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.core.log.events import Available, Gap, LogMetadata, PollResult, Records, Unavailable
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.envelope import Disposition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.gateway.ingest import ingest, report
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import LINES
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from tests.support.instance import FakeSendQueue, FakeServices, Owner, a_feed, ask
from tests.support.log import NOW, Log

STAYS, GOES = Partition("a", 0), Partition("b", 0)


async def test_what_is_no_more_does_not_lag(nursery):
    feed, metrics = a_feed(max_bytes=1000), Metrics()
    deliver, news = trio.open_memory_channel(1)
    nursery.start_soon(ingest, news, feed, SessionRegistry(), metrics, Status(), trio.Event())
    for lags in ({STAYS: 3, GOES: 1}, {STAYS: 2}):
        await deliver.send(LogMetadata({}, lags))
        await wait_all_tasks_blocked()
        assert feed.lags() == lags | dict.fromkeys({STAYS, GOES} - lags.keys(), 0)


async def test_what_cannot_be_read_is_logged_when_it_begins_and_when_it_ends(nursery, logged):
    feed, metrics = a_feed(max_bytes=1000), Metrics()
    deliver, news = trio.open_memory_channel(1)
    nursery.start_soon(ingest, news, feed, SessionRegistry(), metrics, Status(), trio.Event())
    absent = [Trouble(topic, None, Hindrance.ABSENT, 0, f"There is no {topic}.") for topic in ("c", "d")]
    unknown = [
        Trouble("a", number, Hindrance.UNKNOWN, 0, f"{number} has no leader.", seconds=60) for number in range(30)
    ]
    passing = Trouble("b", 0, Hindrance.BLOCKED, 0, "It waits.", 3, 1.0)
    for troubles in ([*absent, *unknown, passing], [*absent, *unknown], unknown[:29], []):
        await deliver.send(LogMetadata({}, {}, None, troubles))
        await wait_all_tasks_blocked()
        assert metrics.troubles == troubles
    lines = [event for event in logged() if "parts of the event log" in event["event"]]
    assert [(event["level"], event.get("kind") or event["was"], len(event["parts"])) for event in lines] == [
        ("warning", "absent", 2),
        ("warning", "unknown", 21),
        ("info", "absent", 2),
        ("info", "unknown", 1),
        ("info", "unknown", 21),
    ]
    assert lines[0]["parts"] == ["c", "d"]
    assert (lines[1]["parts"][0], lines[1]["parts"][-1], lines[1]["reason"]) == (
        "a/0",
        "and 10 more",
        "0 has no leader.",
    )


async def test_an_outage_has_its_present_reason_and_lasts_since_it_began(nursery, logged):
    feed, metrics, status, clock = a_feed(max_bytes=1000), Metrics(), Status(), iter((10.0, 30.0))
    deliver, news = trio.open_memory_channel(1)
    run = partial(ingest, clock=lambda: next(clock))
    nursery.start_soon(run, news, feed, SessionRegistry(), metrics, status, trio.Event())
    said = []
    for event in (Unavailable("nothing listens there."), Unavailable("its certificate has expired."), Available()):
        await deliver.send(event)
        await wait_all_tasks_blocked()
        said.append((status.outage, status.since, metrics.log_up))
    assert said == [
        ("nothing listens there.", 10.0, False),
        ("its certificate has expired.", 10.0, False),
        (None, 30.0, True),
    ]
    lines = [event["reason"] for event in logged() if event["event"] == "the event log does not answer"]
    assert lines == ["nothing listens there.", "its certificate has expired."]


async def test_records_of_a_wrong_clock_are_logged_by_topic_and_difference(nursery, logged):
    feed, metrics = a_feed(max_bytes=1000), Metrics()
    deliver, news = trio.open_memory_channel(10)
    nursery.start_soon(ingest, news, feed, SessionRegistry(), metrics, Status(), trio.Event())
    hour = round(time() * 1000) + 3_600_000
    ahead, fine = (Records(at, [Record(*at, 0, when, None, None)], 0) for at, when in ((STAYS, hour), (GOES, 1)))
    await deliver.send(PollResult([ahead, fine]))
    await deliver.send(ahead)
    await wait_all_tasks_blocked()
    [event] = [event for event in logged() if "clock" in event["event"]]
    assert event["event"].startswith("records' times are ahead of this machine's clock")
    assert (event["level"], event["topic"], event["partition"], event["offset"]) == ("warning", "a", 0, 0)
    assert event["seconds"] == pytest.approx(3600, abs=60)
    assert metrics.skews.seconds["a"] == pytest.approx(3600, abs=60)


def test_records_that_cannot_be_decoded_do_not_fill_the_log(logged):
    metrics, limiter = Metrics(), LogLimiter()
    outcome = Outcome([], Disposition.UNKNOWN_TOPIC, "No rule says what this topic's records mean.")
    for offset in range(5000):
        report(metrics, limiter, Record("strange", 0, offset, 0, None, b"{}"), outcome)
    lines = [event for event in logged() if event["event"] == "record skipped"]
    assert len(lines) == LINES
    assert metrics.records == {("strange", Disposition.UNKNOWN_TOPIC): 5000}


class Steps(trio.abc.Instrument):
    """Counts the steps of tasks."""

    taken = 0

    def before_task_step(self, task):
        self.taken += 1


class NotingFeed(Feed):
    """A feed that only notes what it is to ingest (`note`)."""

    def ingest(self, news, now, steady):
        self.note(news)


async def test_others_run_while_many_records_are_ingested(nursery):
    feed, steps, ingested = a_feed(kind=NotingFeed, max_bytes=1000), Steps(), []
    feed.note = lambda news: ingested.append((steps.taken, len(news.records)))
    trio.lowlevel.add_instrument(steps)
    deliver, news = trio.open_memory_channel(10)
    for source, count in ((STAYS, 2 * INGEST_BATCH + 1), (GOES, INGEST_BATCH - 2), (GOES, 1)):
        deliver.send_nowait(Records(source, [Record(*source, 0, 0, None, None)] * count, 0))
    nursery.start_soon(ingest, news, feed, SessionRegistry(), Metrics(), Status(), trio.Event())
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
        nursery.start_soon(ingest, news, feed, SessionRegistry(), Metrics(), Status(), trio.Event())
        await wait_all_tasks_blocked()
        ages = [{id(it) for it in gc.get_objects(generation)} for generation in range(3)]
        assert len(made) == 10 * INGEST_BATCH
        # In a history, they are kept: of no age at all.
        assert [sum(id(it) in age for it in made) for age in ages] == [0, 0, len(made) if live else 0]
    finally:
        gc.unfreeze()
        gc.enable()


async def test_record_that_takes_a_right_away_is_the_last_one_that_is_written_by_it(nursery):
    log, identities = Log(), SessionIdentities()
    feed = a_feed(parent_timeout=0.0)
    log.says("restaurant.created", "R", ownerId="u")
    log.feed_into(feed)
    session = Session("c", feed, FakeSendQueue(), Limits(True, 10), FakeServices(), identities=identities)
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
    nursery.start_soon(
        partial(ingest, identities=identities), news, feed, SessionRegistry(), Metrics(), Status(), trio.Event()
    )
    await wait_all_tasks_blocked()
    event, ended = session.send_queue.said()
    assert (event["data"]["reservationId"], ended["reason"]) == ("before", "rights_changed")
    assert feed.progress.rights_changes == []


async def test_gap_for_many_sessions_is_announced_in_steps_before_any_later_position(nursery):
    channel, count = "restaurant:r:reviews", 4 * YIELD_EVERY
    reviews = Partition(topic_of("reviews"), 0)
    feed, steps, lines = a_feed(max_bytes=1000), Steps(), []

    registry, services = SessionRegistry(), FakeServices()

    def show(_):
        lines.append((steps.taken, bool(feed.progress.gaps)))

    services.render_snapshot = show
    deliver, news = trio.open_memory_channel(10)
    nursery.start_soon(ingest, news, feed, registry, Metrics(), Status(), trio.Event())
    await deliver.send(LogMetadata({reviews: OffsetRange(0, 0, "a")}, {}))
    await wait_all_tasks_blocked()
    for number in range(count):
        session = Session(str(number), feed, FakeSendQueue(), Limits(True, 10), services)
        ask(session, channel=channel)
        registry.add(Owner(session))

    trio.lowlevel.add_instrument(steps)
    await deliver.send(Gap(reviews, 0, 5))
    await wait_all_tasks_blocked()
    assert len(lines) == count
    assert all(is_owed for _, is_owed in lines)
    assert len({step for step, _ in lines}) >= 4
    assert feed.progress.gaps == []
