"""What a feed publishes and promises; and how it begins with a checkpoint, or with what the log has lost."""

import weakref
from collections import defaultdict
from itertools import islice
from math import inf
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import GLOBAL_KINDS, RESTAURANT_KINDS, parse_channel
from mesaya_ws.core.feed import feed as feed_module
from mesaya_ws.core.feed import intake
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, pack, unpack
from mesaya_ws.core.feed.feed import PROCESS_BATCH
from mesaya_ws.core.feed.intake import DECODED_EARLY
from mesaya_ws.core.interactions.acknowledgements import Ack, ack_record
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.events import EpochsBegun, Gap, LogMetadata, Records, TopicRecreated, Truncated
from mesaya_ws.core.log.records import BEGINNING, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.endings import ENDED_AT_ONCE
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.wire.frames import payload_of
from tests.scenarios.test_any_records import records
from tests.support.instance import a_feed, commit, resume, work, written

NOW = 1_800_000_000_000
PARENT_TIMEOUT = 1.0
CHANNELS = [
    *(parse_channel(f"restaurant:{id}:{kind}") for id in "abc" for kind in RESTAURANT_KINDS),
    *(parse_channel(f"global:{kind}") for kind in GLOBAL_KINDS),
]


def new_feed():
    return a_feed(seconds=inf, max_bytes=1 << 30, parent_timeout=PARENT_TIMEOUT)


A, B = Partition("mesa-ya.reviews.events", 0), Partition("mesa-ya.restaurants.events", 0)


def test_a_source_is_paused_while_too_much_of_it_waits_for_another_one():
    feed = a_feed(seconds=inf, max_bytes=1 << 30, parent_timeout=PARENT_TIMEOUT, max_records=10)
    feed.ingest(LogMetadata({A: OffsetRange(0, 20, "a"), B: OffsetRange(0, 1, "b")}, {A: 20, B: 1}), NOW)
    feed.ingest(Records(A, [Record(*A, n, NOW + n, None, b"{}") for n in range(11)], 9), NOW)
    list(feed.process(NOW))
    assert feed.paused == {A}
    feed.ingest(Records(B, [Record(*B, 0, NOW + 5, None, b"{}")], 0), NOW)
    list(feed.process(NOW))
    assert feed.paused == set()
    assert feed.cursor.next[A] == 11


def test_what_waits_has_not_been_decoded():
    """What is made of a record takes many times its memory."""
    with mock.patch.object(intake, "decode", side_effect=AssertionError):
        feed = new_feed()
        feed.ingest(LogMetadata({A: OffsetRange(0, 20, "a"), B: OffsetRange(0, 1, "b")}, {A: 20, B: 1}), NOW)
        feed.ingest(Records(A, [Record(*A, n, NOW + n, None, b"{}") for n in range(11)], 9), NOW)
        list(feed.process(NOW))


class Log:
    """All that a log holds, and how a feed receives it. The embedded one has one order over all of its topics."""

    def __init__(self, values, *, embedded):
        self.embedded = embedded
        self.order = []
        self.held = defaultdict(list)
        for topic, number, timestamp, value in values:
            partition = Partition(topic, 0 if embedded else number)
            record = Record(*partition, len(self.held[partition]), timestamp, None, value)
            self.held[partition].append(record)
            self.order.append(record)

    def deliver(self, feed, sizes, start=BEGINNING):
        """Give it everything after `start`, in batches of these `sizes`; yield at every step."""
        extents = {partition: OffsetRange(0, len(held), partition.topic) for partition, held in self.held.items()}
        waiting = defaultdict(list)
        for record in self.order:
            partition = Partition(record.topic, record.partition)
            if partition not in start or record.offset >= start[partition].next:
                waiting[None if self.embedded else partition].append(record)
        sources = [None] if self.embedded else list(self.held)
        feed.ingest(LogMetadata(extents, {source: len(waiting[source]) for source in sources}), NOW)
        while any(waiting.values()):
            for source in sources:
                size = next(sizes, 500)
                batch, waiting[source] = waiting[source][:size], waiting[source][size:]
                if batch:
                    feed.ingest(Records(source, batch, len(waiting[source])), NOW)
                    yield
                    for _ in feed.process(NOW):
                        yield
        # And when what waits at the end has waited long enough.
        for now in (NOW, NOW + round(PARENT_TIMEOUT * 1000)):
            for _ in feed.process(now):
                pass


def captured(feed):
    """Return a place, and what is packed of all that is known there."""
    cut, pieces = feed.persistent.capture()
    return cut, [part for part in pack(pieces) if part]


def restored(cut, parts):
    feed = new_feed()
    list(feed.persistent.restore(cut, unpack(parts)))
    return feed


def published(feed, serial=0):
    """Return what was published after the publication `serial`: all of it, but for its number."""
    window = feed.window
    kept = {one.serial for channel in window._channels for one in window.after(channel, {})}
    return [
        (channel, one._replace(serial=0))
        for channel, one in window._order
        if one.serial > serial and one.serial in kept
    ]


def shown(feed, channel):
    """Return what a client is shown of a channel: its state, the place of that, and whether it is complete."""
    snapshot = feed.states.snapshot(channel)
    return written(snapshot), snapshot.position, snapshot.complete


def position(publication):
    return orjson.loads(payload_of(publication.frame))["position"]


def stream():
    value = st.tuples(records(), st.integers(0, 1), st.integers(0, 5000)).map(
        lambda drawn: (drawn[0].topic, drawn[1], drawn[2], drawn[0].value)
    )
    return st.lists(value, max_size=60)


@given(stream(), st.booleans(), st.integers(0, 60), st.lists(st.integers(1, 9), max_size=20))
def test_a_restored_feed_is_the_same_as_one_that_has_read_everything(values, embedded, moment, sizes):
    log = Log(values, embedded=embedded)
    whole = new_feed()
    with mock.patch.object(feed_module, "PROCESS_BATCH", 2):
        delivery = log.deliver(whole, iter(sizes))
        for _ in islice(delivery, moment):
            pass
        cut, parts = captured(whole)
        serial = whole.window.serial
        for _ in delivery:
            pass
    feed = restored(cut, parts)
    for _ in log.deliver(feed, iter(reversed(sizes)), cut.places):
        pass
    assert published(feed) == published(whole, serial)
    assert feed.live
    assert feed.progress.reached == whole.progress.reached
    assert captured(feed) == captured(whole)
    for channel in CHANNELS:
        assert shown(feed, channel) == shown(whole, channel)
    for name, publication in published(feed):
        channel, place = parse_channel(name), position(publication)
        assert feed.coverage.check(channel, place) == whole.coverage.check(channel, place)


TABLES, SECTIONS = (Partition(f"mesa-ya.{domain}.events", 0) for domain in ("tables", "sections"))
PLAN = parse_channel("restaurant:r:tables")


def value(what, id, **data):
    return orjson.dumps({"event_type": what, "entity_id": id, "data": data})


def fed(*values):
    """Return a feed that has received all of a log."""
    feed = new_feed()
    for _ in Log(values, embedded=False).deliver(feed, iter(())):
        pass
    return feed


def a_floor_plan():
    return fed(
        (SECTIONS.topic, 0, 1, value("created", "s", restaurantId="r")),
        (TABLES.topic, 0, 2, value("created", "t1", sectionId="s")),
        (TABLES.topic, 0, 3, value("created", "t2", sectionId="s")),
    )


def test_what_lies_before_the_checkpoint_must_be_read_again():
    whole = a_floor_plan()
    feed = restored(*captured(whole))
    *_, before, last = (position(publication) for channel, publication in published(whole) if channel == PLAN.name)
    assert isinstance(whole.coverage.check(PLAN, before), Recoverable)
    assert isinstance(feed.coverage.check(PLAN, before), NeedsHistory)
    assert isinstance(feed.coverage.check(PLAN, last), Recoverable)
    assert feed.coverage.check(PLAN, "AAAA") == Unrecoverable.INVALID_POSITION


def test_what_retention_dropped_is_known_from_the_checkpoint():
    whole = a_floor_plan()
    feed = restored(*captured(whole))
    extents = {partition: OffsetRange(2, 2, partition.topic) for partition in (TABLES, SECTIONS)}
    feed.ingest(LogMetadata(extents, dict.fromkeys(extents, 0)), NOW)
    feed.ingest(Gap(SECTIONS, 1, 2), NOW)
    list(feed.process(NOW))
    state, _, complete = shown(feed, PLAN)
    assert [table["tableId"] for table in state["tables"]] == ["t1", "t2"]
    assert not complete, "what the gap held is not known"


def test_what_was_ingested_but_not_processed_is_read_again_though_a_gap_follows():
    feed = new_feed()
    extents = {partition: OffsetRange(0, 1, partition.topic) for partition in (TABLES, SECTIONS)}
    feed.ingest(LogMetadata(extents, dict.fromkeys(extents, 1)), NOW)
    feed.ingest(Records(TABLES, [Record(*TABLES, 0, 1, None, value("created", "t", sectionId="s"))], 0), NOW)
    list(feed.process(NOW))
    feed.ingest(Gap(TABLES, 1, 5), NOW)
    cut, _ = feed.persistent.capture()
    assert cut.places == {partition: PartitionPosition(partition.topic, 0) for partition in (TABLES, SECTIONS)}


def test_a_checkpoint_that_is_damaged_changes_nothing():
    cut, pieces = a_floor_plan().persistent.capture()
    feed = new_feed()
    with pytest.raises(CorruptCheckpointError):
        list(feed.persistent.restore(cut, [*pieces, [("alive/table", "t", 7)]]))
    assert captured(feed) == captured(new_feed())


# What it publishes, and what it promises

RESTAURANTS, IMAGES, MENUS = (Partition(f"mesa-ya.{domain}.events", 0) for domain in ("restaurants", "images", "menus"))


class Reader:
    def __init__(self):
        self.received = []

    def offer(self, data, messages):
        self.received.append(data)


def test_history_is_kept_and_news_are_sent():
    feed, reader = new_feed(), Reader()
    feed.hub.subscribe(PLAN.name, reader)
    feed.ingest(LogMetadata({SECTIONS: OffsetRange(0, 2, "id")}, {SECTIONS: 2}), NOW)
    for offset in (0, 1):
        feed.ingest(Records(SECTIONS, [section(offset)], 1 - offset), NOW)
        list(feed.process(NOW))
        list(feed.hub.fan_out())
    assert feed.live
    assert (len(feed.window), reader.received) == (2, [])
    feed.ingest(Records(SECTIONS, [section(2)], 0), NOW)
    list(feed.process(NOW))
    list(feed.hub.fan_out())
    assert [orjson.loads(payload_of(frame))["data"]["sectionId"] for frame in reader.received] == ["s2"]


def section(offset, timestamp=NOW):
    return Record(*SECTIONS, offset, timestamp, None, value("created", f"s{offset}", restaurantId="r"))


def test_others_run_after_every_few_records(live):
    live.ingest(Records(SECTIONS, [section(offset) for offset in range(1, 2 * PROCESS_BATCH + 2)], 0), NOW)
    assert [live.cursor.next[SECTIONS] for _ in live.process(NOW)] == [
        PROCESS_BATCH + 1,
        2 * PROCESS_BATCH + 1,
        2 * PROCESS_BATCH + 2,
    ]


def test_what_is_large_is_as_much_as_many_records(live):
    large = value("created", "s", restaurantId="r", name="x" * 1024 * (PROCESS_BATCH // 2 - 1))
    live.ingest(Records(SECTIONS, [section(offset)._replace(value=large) for offset in range(1, 5)], 0), NOW)
    assert [live.cursor.next[SECTIONS] for _ in live.process(NOW)] == [3, 5, 5]


def test_what_becomes_of_a_record_counts_too(live):
    """A small record may be a large message."""
    live.ingest(Records(SECTIONS, [section(1)], 0), NOW)
    tables = [
        Record(*TABLES, n, NOW, None, value("created", f"t{n}", sectionId="s1", note="x" * 2500))
        for n in range(PARTS_AT_ONCE - 1)
    ]
    live.ingest(Records(TABLES, tables, 0), NOW)
    list(live.process(NOW))
    moves = [Record(*SECTIONS, n, NOW, None, value("updated", "s1", restaurantId=f"r{n}")) for n in range(2, 5)]
    live.ingest(Records(SECTIONS, moves, 0), NOW)
    assert [live.cursor.next[SECTIONS] for _ in live.process(NOW)] == [3, 4, 5, 5], "each with hundreds of tables"


def test_large_record_is_decoded_in_another_step_than_it_is_processed(live):
    large = section(1)._replace(value=value("created", "s1", restaurantId="r", name="x" * DECODED_EARLY))
    live.ingest(Records(SECTIONS, [large], 0), NOW)
    with mock.patch.object(intake, "decode", side_effect=AssertionError):
        list(live.process(NOW))
    assert live.cursor.next[SECTIONS] == 2


@pytest.fixture
def ends_with_much(live):
    """A feed that is about to take the end of a section with a thousand tables, and another record."""
    tables = [Record(*TABLES, n, NOW, None, value("created", f"t{n}", sectionId="s1")) for n in range(1000)]
    live.ingest(Records(SECTIONS, [section(1)], 0), NOW)
    live.ingest(Records(TABLES, tables, 0), NOW)
    list(live.process(NOW))
    gone = Record(*SECTIONS, 2, NOW + 1, None, value("deleted", "s1"))
    live.ingest(Records(SECTIONS, [gone, section(3, NOW + 1)], 0), NOW + 1)
    return live


def test_others_run_while_what_ends_with_a_section_ends(ends_with_much):
    places = [ends_with_much.cursor.next[SECTIONS] for _ in ends_with_much.process(NOW + 1)]
    assert places.count(3) >= 1000 // ENDED_AT_ONCE - 1
    assert places[-1] == 4


def test_capture_in_the_middle_of_a_record_first_brings_it_to_its_end_in_pieces(ends_with_much):
    taking = ends_with_much.process(NOW + 1)
    next(taking)
    assert ends_with_much.cursor.next[SECTIONS] == 3
    assert ends_with_much.is_mid_record
    cut, pieces = ends_with_much.persistent.capture()
    assert cut.places[SECTIONS].next == 3
    rows = [len(piece) for piece in pieces]
    assert rows.count(0) >= 1000 // ENDED_AT_ONCE - 1, "others run meanwhile"
    assert not ends_with_much.is_mid_record
    assert not ends_with_much.known.projections.entities["table"].alive
    list(taking)
    assert ends_with_much.cursor.next[SECTIONS] == 4


def test_what_became_of_every_record_is_reported():
    became = []
    feed = a_feed(
        lambda record, outcome: became.append((record.offset, outcome.reason)), seconds=inf, max_bytes=1 << 30
    )
    feed.ingest(LogMetadata({RESTAURANTS: OffsetRange(0, 2, "id")}, {RESTAURANTS: 0}), NOW)
    values = (value("created", "r", name="Casa"), b"{}")
    records = [Record(*RESTAURANTS, offset, NOW, None, said) for offset, said in enumerate(values)]
    feed.ingest(Records(RESTAURANTS, records, 0), NOW)
    list(feed.process(NOW))
    assert became == [(0, Disposition.PUBLISHED), (1, Disposition.UNKNOWN_EVENT_TYPE)]


@pytest.mark.parametrize(
    ("late", "incomplete"),
    [
        (RESTAURANTS, {"tables", "menu", "reviews", "info", "restaurants"}),
        (SECTIONS, {"tables", "info"}),
        (MENUS, {"menu", "info"}),
        (IMAGES, {"info"}),
    ],
)
def test_snapshot_is_complete_if_its_topics_were_read_from_the_beginning(late, incomplete):
    feed = new_feed()
    extents = {at: OffsetRange(int(at == late), 1, "id") for at in (RESTAURANTS, SECTIONS, MENUS, IMAGES)}
    feed.ingest(LogMetadata(extents, dict.fromkeys(extents, 0)), NOW)
    feed.ingest(Records(RESTAURANTS, [Record(*RESTAURANTS, 1, NOW, None, value("created", "a"))], 0), NOW)
    list(feed.process(NOW))
    assert {channel.kind.name for channel in CHANNELS[:5] + CHANNELS[15:] if not shown(feed, channel)[2]} - {
        "reservations"
    } == incomplete


def test_notifications_are_complete_as_long_as_none_can_have_left_the_window():
    feed, channel = a_feed(seconds=inf, max_bytes=1), parse_channel("user:u:notifications")
    feed.ingest(LogMetadata({RESTAURANTS: OffsetRange(0, 0, "id")}, {RESTAURANTS: 0}), NOW)
    list(feed.process(NOW))
    assert shown(feed, channel)[2]
    feed.ingest(Records(RESTAURANTS, [Record(*RESTAURANTS, 0, NOW, None, value("created", "r"))], 0), NOW)
    list(feed.process(NOW))
    assert not shown(feed, channel)[2]


# What the log has lost


def ingest(feed, *records, source=TABLES, lag=0):
    feed.ingest(Records(source, list(records), lag), NOW)


def table(offset, timestamp=NOW):
    return Record(*TABLES, offset, timestamp, None, value("created", f"t{offset}", sectionId="s"))


EXTENTS = {partition: OffsetRange(0, 9, partition.topic) for partition in (TABLES, SECTIONS)}


@pytest.fixture
def live():
    """A feed that is live, and knows a section."""
    feed = new_feed()
    feed.ingest(LogMetadata(EXTENTS, dict.fromkeys(EXTENTS, 0)), NOW)
    ingest(feed, Record(*SECTIONS, 0, 1, None, value("created", "s", restaurantId="r")), source=SECTIONS)
    list(feed.process(NOW))
    assert feed.live
    return feed


def test_a_feed_rests_until_something_happens_by_itself(live):
    assert live.next_deadline_in(NOW) == inf
    ingest(live, Record(*TABLES, 0, NOW, None, value("created", "t", sectionId="unknown")))
    list(live.process(NOW))
    assert live.next_deadline_in(NOW) == PARENT_TIMEOUT
    over_at = NOW + round(PARENT_TIMEOUT * 1000)
    assert live.next_deadline_in(over_at + 1) == 0
    list(live.process(over_at))
    assert live.next_deadline_in(over_at) == inf


def parents_wait(feed, now, steady, timestamp):
    """Return how long, of a feed's two clocks, a table waits for its section that bears such a time."""
    feed.ingest(
        Records(TABLES, [table(0, timestamp)._replace(value=value("created", "t", sectionId="x"))], 0), now, steady
    )
    list(feed.process(now, steady))
    return feed.next_deadline_in(steady)


@pytest.mark.parametrize("ours", [-300_000, 0, 300_000])
@pytest.mark.parametrize("theirs", [-86_400_000, 0, 86_400_000])
def test_a_parent_is_waited_for_as_long_whatever_clocks_say(live, ours, theirs):
    assert parents_wait(live, NOW + ours, 5000, NOW + theirs) == PARENT_TIMEOUT
    list(live.process(NOW - ours, 5999))  # our clock is set
    assert live.cursor.next[TABLES] == 0
    list(live.process(NOW - ours, 6000))
    assert live.cursor.next[TABLES] == 1


@pytest.mark.parametrize("theirs", [-86_400_000, 0, 86_400_000])
def test_news_stay_in_the_window_for_their_time_whatever_clocks_say(theirs):
    feed = a_feed(parent_timeout=PARENT_TIMEOUT)
    feed.ingest(LogMetadata(EXTENTS, dict.fromkeys(EXTENTS, 0)), NOW, 0)
    list(feed.process(NOW, 0))
    section = Record(*SECTIONS, 0, NOW + theirs, None, value("created", "s", restaurantId="r"))
    feed.ingest(Records(SECTIONS, [section], 0), NOW, 0)
    list(feed.process(NOW, 0))
    for now in (NOW, NOW + 3_600_000, NOW - 3_600_000):
        list(feed.process(now, 299_999))
        assert len(feed.window) == 1
    list(feed.process(NOW - 3_600_000, 300_001))
    assert len(feed.window) == 0


def test_truncated_log_continues_and_subscribers_are_informed(live):
    live.ingest(EpochsBegun([(TABLES, 0, 1)]), NOW)
    positions = []
    for offset in range(4):
        ingest(live, table(offset))
        list(live.process(NOW))
        positions.append(live.position(PLAN))
    ingest(live, table(4)._replace(value=value("created", "t4", sectionId="unknown")))
    list(live.process(NOW))
    live.ingest(Truncated(TABLES, 2), NOW)
    assert live.progress.gaps == [(TABLES.topic, Unrecoverable.TOPIC_RECREATED)]
    live.progress.gaps_announced()
    assert live.cursor.next[TABLES] == 2
    assert live.position(PLAN) == positions[1]
    assert isinstance(live.coverage.check(PLAN, positions[1]), Recoverable)
    assert live.coverage.check(PLAN, positions[3]) == Unrecoverable.TOPIC_RECREATED, "it need not be waited for"
    live.ingest(EpochsBegun([(TABLES, 2, 3)]), NOW)
    for offset in (2, 3, 4):
        ingest(live, table(offset)._replace(value=value("created", f"new{offset}", sectionId="s")))
    list(live.process(NOW))
    assert live.cursor.next[TABLES] == 5
    tables = [publication.offset for channel, publication in published(live) if publication.partition == TABLES]
    assert tables == [0, 1, 2, 3, 4]
    for position in positions[2:]:
        assert live.coverage.check(PLAN, position) == Unrecoverable.TOPIC_RECREATED
    assert isinstance(live.coverage.check(PLAN, live.position(PLAN)), Recoverable)
    list(live.process(NOW + 10_000))
    assert live._merge.caught_up, "what waited for its parent is no more"


def test_a_checkpoint_knows_the_epoch_of_its_place(live):
    live.ingest(EpochsBegun([(TABLES, 0, 7)]), NOW)
    ingest(live, table(0))
    list(live.process(NOW))
    begun = restored(*captured(live))
    assert begun.position(PLAN) == live.position(PLAN)
    begun.ingest(EpochsBegun([(TABLES, 0, 8)]), NOW)
    assert begun.cursor.places()[TABLES].epoch == 8


def test_a_gap_comes_after_the_records_that_were_ingested_before_it(live):
    """While those wait, no place lies after the gap: whoever had it would never receive them."""
    live.ingest(LogMetadata(EXTENTS, {TABLES: 0, SECTIONS: 1}), NOW)
    ingest(live, table(0), table(1))
    live.ingest(Gap(TABLES, 2, 5), NOW)
    ingest(live, table(5))
    list(live.process(NOW))
    assert live.cursor.next[TABLES] == 0
    assert live.progress.gaps == []
    ingest(live, Record(*SECTIONS, 1, NOW, None, b"{}"), source=SECTIONS)
    places = []
    for _ in live.process(NOW):
        places.append((live.cursor.next[TABLES], live.progress.gaps))
        live.progress.gaps_announced()
    assert places == [(5, [(TABLES.topic, Unrecoverable.EXPIRED)]), (6, [])], (
        "it can be sent before what comes after it"
    )


def test_across_a_gap_nobody_goes_on(live):
    before = live.position(PLAN)
    ingest(live, table(0))
    list(live.process(NOW))
    snapshot = live.states.snapshot(PLAN)
    live.ingest(Gap(TABLES, 1, 3), NOW)
    list(live.process(NOW))
    assert isinstance(live.coverage.check(PLAN, before), NeedsHistory)
    assert not snapshot.continues_in(live.window)
    assert not live.states.snapshot(PLAN).complete
    assert isinstance(live.coverage.check(PLAN, live.position(PLAN)), Recoverable)


def test_before_a_feed_is_live_gaps_concern_nobody():
    feed = new_feed()
    feed.ingest(LogMetadata({TABLES: OffsetRange(3, 9, "id")}, {TABLES: 6}), NOW)
    feed.ingest(Gap(TABLES, 3, 5), NOW)
    list(feed.process(NOW))
    assert (feed.progress.gaps, feed.cursor.next[TABLES]) == ([], 5)


@pytest.mark.parametrize("waits", [True, False])
def test_what_was_published_of_a_topic_that_is_created_again_is_lost(live, waits):
    if waits:
        live.ingest(LogMetadata(EXTENTS, {TABLES: 0, SECTIONS: 1}), NOW)
    ingest(live, table(0))
    list(live.process(NOW))
    live.ingest(TopicRecreated(TABLES.topic, "another"), NOW)
    live.ingest(LogMetadata({TABLES: OffsetRange(0, 1, "another")}, {TABLES: 1}), NOW)
    ingest(live, Record(*TABLES, 0, NOW, None, value("created", "new", sectionId="s")))
    steps = live.process(NOW)
    next(steps)
    assert live.progress.gaps == [(TABLES.topic, Unrecoverable.TOPIC_RECREATED)]
    live.progress.gaps_announced()
    list(steps)
    assert [orjson.loads(payload_of(one.frame))["data"].get("tableId") for _, one in published(live)] == [None, "new"]
    assert live.cursor.next[TABLES] == 1


def test_a_feed_that_is_let_go_does_not_wait_for_the_garbage_collector():
    feed = a_feed()
    feed.ingest(LogMetadata({}, {}), 0)
    list(feed.process(0))
    gone = weakref.ref(feed)
    del feed
    assert gone() is None


# What cannot be read now

UNSEEN = Trouble(*SECTIONS, Hindrance.UNKNOWN, 0, "It has no leader.")
TABLE = Record(*TABLES, 0, NOW, None, value("created", "t1", sectionId="s0"))


def look(feed, *partitions, troubles=(), now=NOW):
    feed.ingest(
        LogMetadata(
            {at: OffsetRange(0, 1, EXTENTS[at].topic_id) for at in partitions},
            dict.fromkeys(partitions, 1),
            None,
            troubles,
        ),
        now,
    )


def test_nothing_is_taken_before_all_that_exists_has_been_seen():
    feed = new_feed()
    look(feed, TABLES, troubles=[UNSEEN])
    feed.ingest(Records(TABLES, [TABLE], 0), NOW)
    list(feed.process(NOW))
    assert (feed.live, feed.cursor.next[TABLES]) == (False, 0), "its section may be older"
    look(feed, TABLES, SECTIONS)
    feed.ingest(Records(TABLES, [], 0), NOW)
    list(feed.process(NOW))
    assert not feed.live
    feed.ingest(Records(SECTIONS, [section(0, NOW - 1)], 0), NOW)
    list(feed.process(NOW))
    assert feed.live
    assert [table["tableId"] for table in shown(feed, PLAN)[0]["tables"]] == ["t1"]


@pytest.mark.parametrize("kind", [Hindrance.REFUSED, Hindrance.ABSENT, Hindrance.BLOCKED])
def test_what_may_not_be_read_or_does_not_exist_or_waits_itself_is_not_waited_for(kind):
    feed = new_feed()
    look(feed, TABLES, troubles=[UNSEEN._replace(kind=kind)])
    feed.ingest(Records(TABLES, [TABLE], 0), NOW)
    list(feed.process(NOW + 2000))
    assert feed.live


def test_who_is_live_goes_on_with_the_others(live):
    live.ingest(LogMetadata({TABLES: OffsetRange(0, 1, "id")}, {TABLES: 1}, None, [UNSEEN]), NOW)
    live.ingest(Records(TABLES, [TABLE], 0), NOW)
    list(live.process(NOW + 2000))
    assert (live.live, live.cursor.next[TABLES]) == (True, 1)


def test_a_place_of_which_nothing_is_known_now_is_waited_for_and_not_lost(live):
    ahead = new_feed()
    look(ahead, SECTIONS, TABLES)
    for partition, record in ((SECTIONS, section(0)), (TABLES, TABLE)):
        ahead.ingest(Records(partition, [record], 0), NOW)
    ahead.ingest(Records(SECTIONS, [section(1)], 0), NOW)
    list(ahead.process(NOW + 2000))
    verdict = live.coverage.check(PLAN, ahead.position(PLAN))
    assert isinstance(verdict, NotReached)
    live.ingest(LogMetadata({TABLES: EXTENTS[TABLES]}, {TABLES: 1}, None, [UNSEEN]), NOW)
    assert live.coverage.reaches(verdict.vector)
    live.ingest(
        LogMetadata({TABLES: EXTENTS[TABLES]}, {TABLES: 1}, None, [UNSEEN._replace(kind=Hindrance.REFUSED)]), NOW
    )
    assert not live.coverage.reaches(verdict.vector), "nobody waits for what may not be read"


def test_topic_that_is_read_before_a_refresh_shows_it_is_committed_after_that():
    """As the first record of a topic of our own, while the broker is slow to say anything else of it."""
    feed, store, acks = a_feed(retention=Retention(60, 1 << 20)), MemoryState(), Partition(ACKS, 0)
    held = {A: OffsetRange(0, 0, "id")}
    feed.ingest(LogMetadata(held, {}), NOW)
    new = ack_record(Ack("x1", "r1", "o1"))
    feed.ingest(Records(None, [Record(ACKS, 0, 0, NOW, new.key, new.value)], 0), NOW)
    work(feed)
    assert feed.persistent.capture_changes(NOW, NOW) is None
    assert acks not in feed.persistent.capture()[0].places
    feed.ingest(LogMetadata(held | {acks: OffsetRange(0, 1, "id")}, {}), NOW)
    work(feed)
    commit(feed, store)
    assert resume(a_feed(retention=Retention(60, 1 << 20)), store)[acks].next == 1
