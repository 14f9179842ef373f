import pytest
from hypothesis import given
from hypothesis import strategies as st
from load.feed import Pace
from load.plan import Due, Place, Plan
from load.wire import Chunk
from load.workload import USERS

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.wire.frames import text_frame


def messages(records):
    projections, found = Projections(), []
    for offset, (topic, value) in enumerate(records):
        found += process(decode(Record(topic, 0, offset, 0, None, value)), projections).messages
    return found


@pytest.mark.parametrize("plan", [Plan(run="x", channels=2), Plan(run="x", channels=2, workload=USERS)])
def test_a_record_becomes_a_message_on_its_channel_with_its_stamp(plan):
    due = Due(1, 5, 123_456_789_000_000_000)
    (message,) = messages([*plan.setup(), plan.record(due)])[len(plan.setup()) :]
    assert message.channel == plan.channel(1)
    assert parse_channel(message.channel) is not None
    assert message.data["stamp"] == "1.5.123456789000000000"


def test_a_finished_message_is_one_that_clients_understand():
    channel, text = Plan(run="x").message(Due(0, 5, 77))
    chunk = Chunk(text_frame(text))
    assert channel == "restaurant:load-x-0:tables"
    assert chunk.plain
    assert chunk.stamps == [(0, 5, 77)]
    assert chunk.position is not None


@given(st.integers(1, 7), st.integers(0, 50))
def test_events_are_numbered_on_their_channel_and_counted_alike(channels, count):
    plan = Plan(run="x", channels=channels)
    events = list(plan.events(0, count, lambda serial: serial))
    for channel, fed in enumerate(plan.fed(count)):
        assert [event.number for event in events if event.channel == channel] == list(range(1, fed + 1))


@given(st.integers(1, 7), st.integers(0, 50), st.integers(1, 50))
def test_clients_expect_what_is_fed_next_on_their_channel(channels, before, count):
    plan = Plan(run="x", channels=channels, fed_before=before)
    events = list(plan.events(before, count, lambda serial: serial))
    for channel in range(channels):
        numbers = [event.number for event in events if event.channel == channel]
        assert numbers == list(range(plan.place(channel).next, plan.fed(before + count)[channel] + 1))


def test_clients_that_were_away_begin_at_the_places_of_their_channel_in_turn_and_bystanders_with_what_comes():
    places = [[Place(3, "p"), Place(5, "q")], [Place(2, "r")]]
    plan = Plan(run="x", channels=2, fed_before=20, bystanders=1, connections=6, places=places)
    assert [plan.place(number) for number in range(6)] == [
        Place(11, None),
        *(places[1][0], places[0][1], places[1][0], places[0][0], places[1][0]),
    ]
    assert plan.present == 1


def test_a_saturating_feed_waits_for_its_audience():
    counters = [0, 0]
    pace = Pace(Plan(run="x", connections=10, channels=2, rate=None, outstanding=4), counters)
    assert pace.due() == 4
    pace.taken = 4
    assert pace.due() == 0
    counters[1] = 10  # two events, by the five clients of each channel
    assert pace.due() == 2


def test_an_event_is_due_when_its_turn_comes_not_when_it_is_sent():
    pace = Pace(Plan(run="x", rate=1000.0), [0])
    assert pace.at(5) - pace.at(0) == 5_000_000


def test_a_backlog_is_due_at_once_and_then_over():
    pace = Pace(Plan(run="x", rate=10.0, backlog=1500), [0])
    assert pace.due() == 1000
    pace.taken = 1000
    assert (pace.due(), pace.over) == (500, False)
    pace.taken = 1500
    assert pace.over


def test_everybody_but_the_bystanders_is_to_be_cut_each_time():
    assert Plan(run="x", connections=110, bystanders=10, duration=60.0, cut_every=15.0).cuts == 400
    assert Plan(run="x", connections=110).cuts == 0
