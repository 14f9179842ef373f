"""What clients learn of how fresh their channels are, in every state that the log can be in."""

import orjson
import pytest

from mesaya_ws.core.feed.feed import PROCESS_BATCH
from mesaya_ws.core.log.events import Available, LogMetadata, Records, Unavailable
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.topics import topic_of
from tests.support.instance import a_feed

NOW = 1_800_000_000_000
SECOND = 1000
SECTIONS, TABLES = Partition(topic_of("sections"), 0), Partition(topic_of("tables"), 0)
SECTION = {"event_type": "created", "entity_id": "s1", "data": {"restaurantId": "r1"}}
TABLE = {"event_type": "updated", "entity_id": "t1", "data": {"sectionId": "s1"}}


class Log:
    """A log of two partitions, and a feed that waits a second for parents; times are in seconds from NOW."""

    def __init__(self):
        self.feed = a_feed()
        self.next = dict.fromkeys((SECTIONS, TABLES), 0)

    def look(self, at, *, sections=0, tables=0, troubles=(), blocked=0, steady=None):
        """Let it look at the log, which holds so many records more of each, and tables that are `blocked`."""
        lags = {SECTIONS: sections, TABLES: tables}
        if blocked:
            troubles = [trouble(Hindrance.BLOCKED, blocked)]
        extents = {
            partition: OffsetRange(0, end + lags[partition] + blocked * (partition == TABLES), "id")
            for partition, end in self.next.items()
        }
        self.receive(LogMetadata(extents, lags, troubles=troubles), at, steady)

    def batch(self, partition, value, at, *times, lag=0):
        """Let it read records that were appended at such times."""
        first = self.next[partition]
        self.next[partition] += len(times)
        records = [
            Record(*partition, first + number, round(NOW + time * SECOND), None, orjson.dumps(value))
            for number, time in enumerate(times)
        ]
        self.receive(Records(partition, records, lag), at)

    def receive(self, news, at, steady=None):
        steady = at if steady is None else steady
        self.feed.ingest(news, round(NOW + at * SECOND), round(NOW + steady * SECOND))
        self.work(at, steady)

    def work(self, at, steady=None):
        for _ in self.feed.process(round(NOW + at * SECOND), round(NOW + (at if steady is None else steady) * SECOND)):
            list(self.feed.hub.fan_out())

    @property
    def fresh(self):
        """What clients receive: up to which second the channels are complete, the lag, and whether it is live."""
        fresh = self.feed.freshness()
        as_of = None if fresh["asOf"] is None else (fresh["asOf"] - NOW) / SECOND
        return as_of, fresh["lag"], fresh["live"]


def trouble(kind, withheld=0):
    return Trouble(*TABLES, kind, 0, "why", withheld)


@pytest.fixture
def log():
    log = Log()
    log.look(0)
    return log


def test_of_a_log_that_has_never_answered_nothing_is_known():
    assert Log().feed.freshness() == {"live": False, "asOf": None, "lag": 0}


def test_a_quiet_log_is_complete_as_of_the_last_refresh(log):
    log.look(3)
    assert log.fresh == (3, 0, True)
    log.look(6)
    assert log.fresh == (6, 0, True)


def test_a_refresh_says_what_there_was_when_it_began(log):
    log.receive(LogMetadata({SECTIONS: OffsetRange(0, 0, "id")}, {SECTIONS: 0}, at=NOW + 3 * SECOND), 5)
    assert log.fresh == (3, 0, True)


def test_while_the_log_does_not_answer_time_stands_still(log):
    log.receive(Unavailable("The cable is out."), 5)
    log.work(60)
    assert log.fresh == (0, 0, True)
    log.receive(Available(), 70)
    assert log.fresh == (0, 0, True)
    log.look(71, tables=1)
    assert log.fresh == (0, 1, True)
    log.batch(SECTIONS, SECTION, 72, 60)
    log.batch(TABLES, TABLE, 72, 61)
    assert log.fresh == (71, 0, True)


@pytest.mark.parametrize("kind", [Hindrance.UNKNOWN, Hindrance.REFUSED])
def test_a_part_of_the_log_that_still_answers_does_not_move_time_on(log, kind):
    log.look(6, troubles=[trouble(kind, withheld=3)])
    log.batch(SECTIONS, SECTION, 7, 7)
    assert log.fresh == (0, 3, True)
    log.look(8)
    assert log.fresh == (8, 0, True)


def test_a_topic_that_does_not_exist_hides_nothing(log):
    log.look(6, troubles=[trouble(Hindrance.ABSENT)])
    assert log.fresh == (6, 0, True)


def test_time_stops_where_a_transaction_is_open(log):
    log.look(3)
    log.look(6, blocked=2)
    log.batch(SECTIONS, SECTION, 7, 7)
    log.look(9, blocked=3)
    assert log.fresh == (3, 3, True), "what is acknowledged counts, though it cannot be read"
    log.look(12, tables=3)
    assert log.fresh == (3, 3, True)
    log.batch(TABLES, TABLE, 12, 5, 5, 8)
    assert log.fresh == (12, 0, True)


def test_where_there_is_always_a_transaction_time_moves_on_with_them(log):
    for second in range(3, 30, 3):
        log.look(second, blocked=1)
        before = log.fresh[0]
        log.batch(TABLES, TABLE, second, second)
    assert before == 24, "all that the look before the last one saw has been read"
    assert log.fresh[1:] == (1, True)


def test_what_one_source_brings_says_nothing_of_the_others(log):
    log.batch(SECTIONS, SECTION, 2, 2)
    assert log.fresh == (0, 0, True)


def test_catching_up_it_is_as_fresh_as_what_has_been_read():
    log = Log()
    log.look(0, sections=2, tables=2)
    assert log.fresh == (None, 4, False)
    log.batch(SECTIONS, SECTION, 0, -3600, -1800, lag=0)
    assert log.fresh[1:] == (4, False), "the tables are waited for"
    log.batch(TABLES, TABLE, 0, -2000, lag=1)
    assert log.fresh == (-2000 - 1, 2, False), "but for what may wait for a parent"
    log.batch(TABLES, TABLE, 0, -1000)
    assert log.fresh == (0, 0, True)


def test_lagging_does_not_turn_time_back(log):
    log.look(3)
    log.batch(SECTIONS, SECTION, 4, -100, lag=5)
    assert log.fresh == (3, 5, True)
    log.look(6, sections=50)
    log.batch(SECTIONS, SECTION, 6, 5, lag=50)
    assert log.fresh == (4, 50, True)


def test_a_producer_whose_clock_is_fast_does_not_make_the_future_known(log):
    log.look(3, sections=2)
    log.batch(SECTIONS, SECTION, 4, 3600, lag=1)
    assert log.fresh == (0, 1, True), "what the look has seen is not all there"


def test_a_record_from_the_future_says_nothing_of_what_comes_after_it(log):
    log.look(3)
    log.look(6, sections=9, tables=1)
    log.batch(SECTIONS, SECTION, 6, 3600, lag=8)
    log.batch(TABLES, TABLE, 6, 1)
    log.work(7)
    assert log.fresh == (3, 8, True)


@pytest.mark.parametrize("back", [300, 86_400, 4_000_000])
def test_a_clock_that_was_ahead_for_one_refresh_leaves_no_trace(log, back):
    """What was promised lies as far back by the clock that is right again as it did by the one that was not."""
    log.look(3)
    log.look(6 + back, steady=6)
    assert log.fresh == (6 + back, 0, True)
    log.receive(Unavailable("The cable is out."), 8, steady=8)
    assert log.fresh == (6, 0, True)
    log.receive(Available(), 9, steady=9)
    log.look(10, steady=10)
    assert log.fresh == (10, 0, True)


def test_a_clock_that_is_set_forward_makes_nothing_known(log):
    log.look(3)
    log.receive(Unavailable("The cable is out."), 304, steady=4)
    assert log.fresh == (3, 0, True)


def test_clocks_that_are_rounded_do_not_turn_time_back(log):
    for milliseconds in range(-20, 20, 7):
        log.look(3, steady=3 + milliseconds / 1000)
        assert log.fresh == (3, 0, True)


def test_what_waits_for_its_parent_is_not_published(log):
    log.batch(TABLES, TABLE, 1, 0.5)
    log.look(1)
    assert log.fresh == (0, 1, True)
    log.batch(SECTIONS, SECTION, 1.2, 1.1)
    assert log.fresh == (1, 0, True)


def test_what_is_read_but_not_written_yet_is_not_published(log):
    log.look(3)
    log.feed.hub.subscribe("restaurant:r1:tables", Silent())
    value = {**SECTION, "event_type": "updated"}
    records = [Record(*SECTIONS, number, NOW, None, orjson.dumps(value)) for number in range(PROCESS_BATCH + 1)]
    log.feed.ingest(Records(SECTIONS, records, 0), NOW)
    extents = {SECTIONS: OffsetRange(0, len(records), "id"), TABLES: OffsetRange(0, 0, "id")}
    log.feed.ingest(LogMetadata(extents, {SECTIONS: 0, TABLES: 0}), NOW + 6 * SECOND)
    turns = log.feed.process(NOW + 6 * SECOND)
    next(turns)
    assert log.fresh == (3, 1, True)
    list(log.feed.hub.fan_out())
    next(turns)
    assert log.fresh == (3, 0, True)
    list(log.feed.hub.fan_out())
    assert list(turns) == []
    assert log.fresh == (6, 0, True)


class Silent:
    def offer(self, data, messages):
        pass


def test_a_topic_that_is_gone_is_not_waited_for(log):
    log.look(3, tables=2)
    assert log.fresh == (0, 2, True)
    log.receive(LogMetadata({SECTIONS: OffsetRange(0, 0, "id")}, {SECTIONS: 0}), 6)
    assert log.fresh == (6, 0, True)
