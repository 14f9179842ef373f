"""Producers whose clocks are wrong: what they wrote is kept and shown in its place, whenever an instance reads it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.notifications import read_notifications
from mesaya_ws.core.state.memory import MemoryState
from tests.support.instance import a_feed, commit, resume, work, written
from tests.support.log import NOW, record

HOUR = 3_600_000
DAY = 24 * HOUR
REQUESTS = Partition(topic_of("owner-upgrade"), 0)
INBOX = parse_channel("user:u:notifications")
ANCIENT, BEHIND, AHEAD = 0, NOW - HOUR, NOW + HOUR


def requests(times, first=0):
    """Return records of these times, each of which the inbox shows."""
    return [
        record("owner_upgrade.created", f"o{offset}", offset=offset, timestamp=time, userId="u")
        for offset, time in enumerate(times, first)
    ]


def read(feed, times, *, have_one_order, first=0, now=NOW):
    """Have `feed` read records as one that starts does: all of them before it is live."""
    source = None if have_one_order else REQUESTS
    end = first + len(times)
    feed.ingest(LogMetadata({REQUESTS: OffsetRange(0, end, "id")}, {source: len(times)}), now)
    feed.ingest(Records(source, requests(times, first), 0), now)
    work(feed, now)
    return feed


def instance(times, live_at, *, have_one_order):
    """Return a feed that was live when the record `live_at` came, and all after it; and its store."""
    feed = read(a_feed(retention=Retention(168, 1 << 40)), times[:live_at], have_one_order=have_one_order)
    for offset, each in enumerate(times[live_at:], live_at):
        feed.ingest(Records(None if have_one_order else REQUESTS, requests([each], offset), 0), NOW)
        work(feed)
    store = MemoryState()
    commit(feed, store)
    return feed, store


def inbox(feed, store):
    """Return what a snapshot of the inbox shows, and whether it is complete."""
    stored = None
    if feed.states.reads_notifications(INBOX):
        [stored] = read_notifications(store, [INBOX], feed.states.inbox_events)
        assert feed.states.continues_notifications(stored)
    snapshot = feed.states.snapshot(INBOX, stored)
    data = written(snapshot)
    return [each["data"]["requestId"] for each in data["events"]], data["more"], snapshot.complete


def shown(count):
    return [f"o{n}" for n in range(count)]


RECENT = st.integers(NOW - 2 * HOUR, NOW)


@given(
    first=RECENT,
    others=st.lists(RECENT | st.sampled_from([ANCIENT, BEHIND, AHEAD]), max_size=8),
    live_at=st.integers(0, 9),
    have_one_order=st.booleans(),
)
@example(first=NOW, others=[BEHIND, NOW], live_at=0, have_one_order=True)
def test_inbox_is_the_same_whenever_its_records_were_read(first, others, live_at, have_one_order):
    times = [first, *others]
    early = instance(times, min(live_at, len(times)), have_one_order=have_one_order)
    late = instance(times, len(times), have_one_order=have_one_order)
    assert inbox(*late) == inbox(*early) == (shown(len(times)), False, True)


@pytest.mark.parametrize("have_one_order", [True, False])
def test_latest_notifications_lack_none_that_was_written_by_a_clock_that_is_behind(have_one_order):
    times = [NOW - 1000 + n for n in range(60)]
    times[49] = BEHIND
    late = instance(times, len(times), have_one_order=have_one_order)
    assert inbox(*late) == (shown(60)[10:], True, True)


@pytest.mark.parametrize("have_one_order", [True, False])
def test_history_does_not_end_at_a_record_of_an_ancient_time(have_one_order):
    times = [NOW - 2 * HOUR + n for n in range(5)]
    feed, store = instance([*times, ANCIENT], 6, have_one_order=have_one_order)
    assert feed.coverage.history.reaches_back(INBOX, {REQUESTS: 0})
    again = a_feed(retention=Retention(168, 1 << 40))
    resume(again, store)
    read(again, [ANCIENT], have_one_order=have_one_order, first=6)
    commit(again, store)
    assert again.coverage.history.reaches_back(INBOX, {REQUESTS: 3})
    assert inbox(again, store) == (shown(7), False, True)


def test_notification_stays_where_it_was_when_it_has_left_the_window():
    times = [NOW - 2 * HOUR + n for n in range(60)]
    times[55] = NOW - 200 * HOUR
    feed, store = instance(times, 1, have_one_order=True)
    before = inbox(feed, store)
    work(feed, NOW + 301_000, NOW + 301_000)
    assert not len(feed.window)
    assert inbox(feed, store) == before == (shown(60)[10:], True, True)


@pytest.mark.parametrize("have_one_order", [True, False])
def test_history_on_disk_stays_though_the_clock_is_a_week_ahead_at_the_start(have_one_order):
    times = [NOW - DAY + n for n in range(5)]
    _, store = instance(times, 5, have_one_order=have_one_order)
    again, ahead = a_feed(retention=Retention(168, 1 << 40)), NOW + 8 * DAY
    resume(again, store, ahead)
    read(again, [NOW - 1], have_one_order=have_one_order, first=5, now=ahead)
    commit(again, store, ahead)
    assert again.coverage.history.reaches_back(INBOX, {REQUESTS: 0})
    work(again)  # the clock is right again
    commit(again, store)
    assert again.coverage.history.reaches_back(INBOX, {REQUESTS: 0})
    assert inbox(again, store) == (shown(6), False, True)
