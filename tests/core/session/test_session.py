import orjson

from mesaya_ws.core.feed.tally import RESTARTED
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.commands import Command
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import payload_of, text_frame
from tests.support.instance import (
    CHANNEL,
    NOW,
    REVIEWS,
    World,
    ask,
    reviews,
)


def test_a_client_is_greeted():
    greeting = orjson.loads(payload_of(World().client().greeting(0)))
    assert greeting == {"type": "welcome", "connection": "c1", "live": True, "asOf": NOW, "lag": 0}


def test_subscriber_receives_events_until_it_unsubscribes():
    world = World()
    session = world.client()
    [answer] = ask(session, channel=CHANNEL, id="7")
    assert answer.pop("position")
    assert answer == {"type": "subscribed", "channel": CHANNEL, "id": "7"}
    world.review(1)
    [event] = session.send_queue.said()
    assert (event["type"], event["channel"], event["data"]["reviewId"]) == ("review.created", CHANNEL, "v1")
    assert event["timestamp"] == "2027-01-15T08:00:00.000Z"
    assert ask(session, "unsubscribe", channel=CHANNEL) == [{"type": "unsubscribed", "channel": CHANNEL}]
    world.review(2)
    assert session.send_queue.said() == []


def test_pong_has_positions_of_quiet_channels():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    world.review(1, restaurant="another")
    [pong] = ask(session, "ping", id="1")
    assert {name: pong[name] for name in ("type", "id", "live", "asOf", "lag")} == {
        "type": "pong",
        "id": "1",
        "live": True,
        "asOf": NOW,
        "lag": 0,
    }
    later = world.client()
    assert ask(later, channel=CHANNEL, position=pong["positions"][CHANNEL])[0]["replayed"] == 0


def test_leaving_ends_all_subscriptions():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    session.leave()
    assert (world.feed.hub.channels, world.feed.hub.subscriptions) == (0, 0)


def test_position_is_withheld_until_a_gap_is_announced():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    ask(session, channel="restaurant:r1:tables")
    world.feed.ingest(Gap(REVIEWS, 0, 5), NOW)
    list(world.feed.process(NOW))
    [pong] = ask(session, "ping")
    assert pong["positions"].keys() == {"restaurant:r1:tables"}
    [(topic, lost)] = world.feed.progress.gaps
    session.resync(topic, lost)
    world.feed.progress.gaps_announced()
    [pong] = ask(session, "ping")
    assert pong["positions"].keys() == {"restaurant:r1:tables"}, "the state is still to be sent"


def test_who_missed_something_for_good_begins_anew_wherever_that_was():
    world = World(max_bytes=PAGE_BYTES)
    live, elsewhere, served, lagging = (world.client() for _ in range(4))
    start = ask(live, channel=CHANNEL)[0]["position"]
    ask(elsewhere, channel="global:announcements")
    world.review(1, size=PAGE_BYTES // 2)
    lagging.send_queue.backlogged = served.send_queue.backlogged = True
    for session in (served, lagging):
        ask(session, channel=CHANNEL, position=start)
    ask(lagging, channel=CHANNEL, snapshot=True)
    live.send_queue.said()
    for session in (live, elsewhere, served, lagging):
        session.resync(REVIEWS.topic, Unrecoverable.EXPIRED)
        assert session.send_queue.said() == []
    served.send_queue.backlogged = lagging.send_queue.backlogged = False
    lagging.delivery.resume()
    assert [message["type"] for message in lagging.send_queue.said()] == ["subscribed", "snapshot"], (
        "it had not begun yet"
    )
    world.review(2)
    for session in (live, served):
        state = world.feed.states.snapshot(session.delivery.to_render)
        list(state.write())
        session.delivery.on_rendered(state)
        [snapshot] = session.send_queue.said()
        assert (snapshot["type"], snapshot["recovered"], snapshot["reason"]) == ("snapshot", False, "expired")
        assert [review["reviewId"] for review in snapshot["data"]["reviews"]] == ["v1", "v2"]
    assert world.feed.tally.resumes[RESTARTED, Unrecoverable.EXPIRED] == 2
    assert elsewhere.delivery.to_render is None
    world.review(3)
    assert [reviews(session.send_queue.said()) for session in (live, served, lagging)] == [["v3"], ["v3"], ["v2", "v3"]]


def test_a_session_asks_by_itself_for_what_it_waits_for():
    world = World(live=False)
    session = world.client()
    ask(session, channel=CHANNEL)
    assert (session.is_waiting_for_feed, world.services.waiting) == (True, [session])


def test_command_is_appended_and_answered_with_its_result():
    world = World()
    session, other = world.client(), world.client()
    command = Command(NewRecord(REVIEWS.topic, b"{}"), lambda place: text_frame(encode("done", offset=place.offset)))
    session.append(command)
    assert world.services.commands == [(session, command)]
    assert session.send_queue.said() == []
    session.on_appended(command, Appended(REVIEWS.topic, 0, 7, NOW))
    assert session.send_queue.said() == [{"type": "done", "offset": 7}]
    assert other.send_queue.said() == []
