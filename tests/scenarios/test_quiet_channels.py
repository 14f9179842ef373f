"""The places on quiet channels that `pong` names: where one may go on, on whichever instance, and whatever has gone."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from tests.support.instance import REVIEWS, a_feed, a_session, ask, reviews, work
from tests.support.log import NOW

RESTAURANTS = Partition(topic_of("restaurants"), 0)
QUIET, BUSY = "restaurant:quiet:reviews", "restaurant:busy:reviews"


class Log:
    """A log with two topics that some instances follow; `begin` is what retention has left of each."""

    def __init__(self):
        self.records = []
        self.begin = {REVIEWS: 0, RESTAURANTS: 0}
        self.end = {REVIEWS: 0, RESTAURANTS: 0}
        self.replicas = []

    def append(self, restaurant, partition=REVIEWS):
        number = self.end[partition]
        self.end[partition] += 1
        value = {"event_type": "created", "entity_id": f"v{number}", "data": {"restaurantId": restaurant}}
        self.records.append(Record(*partition, number, NOW, None, orjson.dumps(value)))
        for replica in self.replicas:
            replica.ingest(Records(None, self.records[-1:], 0), NOW)
            work(replica)

    def retain_nothing(self):
        """Let retention remove all that there is; the instances have read it long ago."""
        self.begin = dict(self.end)
        for replica in self.replicas:
            replica.ingest(self._look(0), NOW)
            work(replica)

    def replica(self, *, max_bytes=1 << 20):
        """Start an instance, which reads all that is left."""
        feed = a_feed(max_bytes=max_bytes)
        left = [record for record in self.records if record.offset >= self.begin[Partition(*record[:2])]]
        feed.ingest(self._look(len(left)), NOW)
        feed.ingest(Records(None, left, 0), NOW)
        work(feed)
        assert feed.live
        self.replicas.append(feed)
        return feed

    def _look(self, lag):
        return LogMetadata({at: OffsetRange(self.begin[at], end, "id") for at, end in self.end.items()}, {None: lag})


def places(session):
    """Return what `pong` names; events that come before it are passed over."""
    return ask(session, "ping")[-1]["positions"]


@pytest.fixture
def log():
    return Log()


def test_a_place_on_a_quiet_channel_outlives_retention(log):
    here = log.replica()
    session = a_session(here)
    start = ask(session, channel=QUIET)[0]["position"]
    for _ in range(5):
        log.append("busy")
    place = places(session)[QUIET]
    log.retain_nothing()
    for feed in (here, log.replica(), log.replica(max_bytes=0)):
        answer = ask(a_session(feed), channel=QUIET, position=place)[0]
        assert (answer["recovered"], answer["replayed"]) == (True, 0), answer
    answer = ask(a_session(log.replica()), channel=QUIET, position=start)[0]
    assert (answer["recovered"], answer["reason"]) == (False, "expired"), "it is the pongs that keep it alive"


def test_a_place_is_good_after_a_topic_has_been_emptied_before_anybody_was_there(log):
    log.append("r", RESTAURANTS)
    log.retain_nothing()
    session = a_session(log.replica())
    ask(session, channel=QUIET)
    place = places(session)[QUIET]
    log.append("quiet")
    answer, *missed = ask(a_session(log.replica()), channel=QUIET, position=place)
    assert (answer["recovered"], reviews(missed)) == (True, ["v0"]), answer


def test_event_being_written_is_not_before_a_position(log):
    feed = log.replica()
    others = [a_session(feed) for _ in range(YIELD_EVERY)]
    session = a_session(feed)
    for each in (*others, session):
        ask(each, channel=BUSY)
    ask(session, channel=QUIET)
    log.replicas.clear()
    log.append("busy")
    feed.ingest(Records(None, log.records, 0), NOW)
    for _ in feed.process(NOW):
        assert places(session).keys() == {QUIET}, "it is gathered"
        steps = feed.hub.fan_out()
        assert next(steps) is None
        assert session.send_queue.said() == []
        assert places(session).keys() == {QUIET}, "others are being written to"
        list(steps)
    assert reviews(session.send_queue.said()) == ["v0"]
    assert places(session).keys() == {QUIET, BUSY}


def test_replay_under_way_is_not_before_a_position(log):
    feed = log.replica()
    start = ask(a_session(feed), channel=BUSY)[0]["position"]
    log.append("busy")
    session = a_session(feed)
    session.send_queue.backlogged = True
    ask(session, channel=BUSY, position=start)
    assert places(session) == {}
    session.send_queue.backlogged = False
    session.delivery.resume()
    assert places(session).keys() == {BUSY}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"), st.sampled_from(["quiet", "busy", "busy"]), st.sampled_from([REVIEWS, RESTAURANTS])
        ),
        st.sampled_from(["ping", "retain nothing", "start a replica"]),
    ),
    max_size=40,
)


@given(ACTIONS, st.sampled_from([0, 500, 1 << 20]))
def test_any_position_is_resumed_exactly_or_answered_with_the_reason(actions, max_bytes):
    log = Log()
    session = a_session(log.replica(max_bytes=max_bytes))
    ask(session, channel=QUIET)
    # Each place, how many events had come before it, and the end of the log then.
    received, taken = 0, []
    for action in actions:
        match action:
            case "append", restaurant, partition:
                log.append(restaurant, partition)
            case "ping":
                received += len(reviews(session.send_queue.said()))
                taken.append((places(session)[QUIET], received))
            case "retain nothing":
                log.retain_nothing()
            case _:
                log.replica()
    everything = [
        f"v{record.offset}"
        for record in log.records
        if Partition(*record[:2]) == REVIEWS and orjson.loads(record.value)["data"]["restaurantId"] == "quiet"
    ]
    for place, before in taken:
        for feed in (*log.replicas, log.replica()):
            back = a_session(feed)
            answer, *missed = ask(back, channel=QUIET, position=place)
            if answer["recovered"]:
                assert reviews(missed) == everything[before:], "the window still held it"
