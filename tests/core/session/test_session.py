import tracemalloc
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.tally import LOST, RECOVERED, RESTARTED, Tally
from mesaya_ws.core.log.events import Gap, LogMetadata, TopicRecreated
from mesaya_ws.core.log.records import Appended, NewRecord, OffsetRange, Partition
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.core.recovery import position_text
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.commands import Command
from mesaya_ws.core.session.history import next_history_request, on_history
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.session import Limits
from mesaya_ws.core.wire.frames import payload_of, text_frame
from mesaya_ws.core.wire.messages import encode
from tests.steps import calls, most_calls_in_a_step
from tests.support.instance import (
    CHANNEL,
    KEPT,
    NOW,
    RESERVATIONS,
    REVIEWS,
    TABLES,
    Instance,
    KeepingWorld,
    World,
    a_feed,
    ask,
    read_on,
    reservations,
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


def test_private_channel_is_open_to_whom_it_concerns_alone():
    session = World().client()
    session.identity = Identity("u1")
    [own] = ask(session, channel="user:u1:notifications")
    assert own["type"] == "subscribed"
    # One that exists, and one that does not, are refused in the same words.
    for id in ("r1", "unknown"):
        [answer] = ask(session, channel=f"restaurant:{id}:reservations")
        assert (answer["code"], answer["message"].replace(id, "…")) == (
            "unauthorized",
            "The channel 'restaurant:…:reservations' is private.",
        )
    session.identity = Identity("u2", ("ADMIN",))
    assert [ask(session, channel=f"user:{id}:notifications")[0]["type"] for id in ("u1", "u3")] == ["subscribed"] * 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"channel": "nonsense"}, "bad_channel"),
        ({"channel": "restaurant:r1:reservations"}, "unauthorized"),
        ({"channel": "user:u1:notifications"}, "unauthorized"),
        ({"channel": CHANNEL, "position": 1}, "bad_message"),
        ({"kind": "unsubscribe", "channel": CHANNEL}, "not_subscribed"),
        ({"kind": "shout"}, "unknown_type"),
    ],
)
def test_errors_are_answered(fields, code):
    session = World().client()
    [answer] = ask(session, id="7", **fields)
    assert (answer["type"], answer["code"], answer["id"]) == ("error", code, "7")
    assert answer["message"].endswith(".")
    assert answer.get("channel") == fields.get("channel")


def test_private_channels_are_open_when_auth_is_off():
    session = World().client(auth=False)
    assert [
        ask(session, channel=f"{name}")[0]["type"] for name in ("restaurant:r1:reservations", "user:u1:notifications")
    ] == ["subscribed"] * 2


def test_subscriptions_are_limited():
    session = World().client(most=2)
    assert [ask(session, channel=f"restaurant:{n}:menu")[0]["type"] for n in (1, 2, 1, 3)] == ["subscribed"] * 3 + [
        "error"
    ]
    ask(session, "unsubscribe", channel="restaurant:1:menu")
    assert ask(session, channel="restaurant:3:menu")[0]["type"] == "subscribed"


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


def test_before_the_feed_is_live_a_subscription_is_held():
    world = World(live=False)
    world.look(lag=1)
    session = world.client()
    assert ask(session, channel=CHANNEL) == []
    assert session.is_waiting_for_feed
    world.review(1)
    assert world.feed.live
    list(retry_waiting(session))
    assert [message["type"] for message in session.send_queue.said()] == ["subscribed"]
    assert not session.is_waiting_for_feed
    world.review(2)
    assert reviews(session.send_queue.said()) == ["v2"]


def test_a_held_subscription_can_be_left():
    world = World(live=False)
    session = world.client()
    ask(session, channel=CHANNEL)
    assert ask(session, "unsubscribe", channel=CHANNEL)[0]["type"] == "unsubscribed"
    assert not session.is_waiting_for_feed


def test_waiting_client_receives_pending_once_and_an_answer_later():
    world = World(live=False)
    world.look(lag=1)
    session = world.client()
    assert ask(session, channel=CHANNEL, id=7) == []
    assert session.has_unanswered
    session.send_pending()
    assert session.send_queue.said() == [], "it has been asked a moment ago"
    session.send_pending()
    [answer] = session.send_queue.said()
    assert answer.items() >= {"type": "pending", "channel": CHANNEL, "id": 7, "live": False}.items()
    assert "position" not in answer
    session.send_pending()
    assert session.send_queue.said() == []
    world.review(1)
    list(retry_waiting(session))
    [answer] = session.send_queue.said()
    assert (answer["type"], answer["id"], "position" in answer) == ("subscribed", 7, True)
    assert not session.has_unanswered


def test_client_ahead_receives_pending():
    """As when the log does not answer, and so nobody looks at it."""
    world = World()
    other = World()
    other.review(1)
    ahead = ask(other.client(), channel=CHANNEL)[0]["position"]
    session = world.client()
    assert ask(session, channel=CHANNEL, position=ahead) == []
    for _ in range(3):
        session.send_pending()
    [answer] = session.send_queue.said()
    assert (answer["type"], answer["live"]) == ("pending", True)


def test_pending_is_sent_once_however_often_the_position_is_checked_again():
    ahead, world = World(), World()
    for number in range(5):
        ahead.review(number)
    position = ask(ahead.client(), channel=CHANNEL)[0]["position"]
    world.offsets[REVIEWS] = 5  # the log has them, and this instance has not
    session = world.client()
    ask(session, channel=CHANNEL, position=position)
    for _ in range(4):
        session.send_pending()
        world.look()
        list(retry_waiting(session))
    assert [message["type"] for message in session.send_queue.said()] == ["pending"]


def test_client_receives_pending_while_its_history_is_read():
    world = KeepingWorld(max_bytes=500)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(5):
        world.review(number)
    session = world.client(auth=False)
    assert ask(session, channel=KEPT, position=start) == []
    for _ in range(3):
        session.send_pending()
    [answer] = session.send_queue.said()
    assert (answer["type"], answer["channel"]) == ("pending", KEPT)
    assert session.delivery.awaits_history


# Coming back


def test_missed_events_are_replayed_once_and_in_order():
    world = World()
    first = world.client()
    ask(first, channel=CHANNEL)
    world.review(1)
    [event] = first.send_queue.said()
    first.leave()
    for number in (2, 3):
        world.review(number)
    second = world.client()
    answer, *missed = ask(second, channel=CHANNEL, position=event["position"])
    assert (answer["recovered"], answer["replayed"], reviews(missed)) == (True, 2, ["v2", "v3"])
    assert world.feed.tally == Tally(Counter({(RECOVERED, "window"): 1}))
    world.review(4)
    assert reviews(second.send_queue.said()) == ["v4"]


def test_subscription_may_begin_with_the_last_events_and_resumes_from_any_of_them():
    world = World()
    for number in range(6):
        world.review(number)
    session = world.client()
    [answer, *events] = ask(session, channel=CHANNEL, history=3)
    assert (answer["recovered"], answer["replayed"]) == (True, 3)
    assert reviews(events) == ["v3", "v4", "v5"]
    world.review(6)
    assert reviews(session.send_queue.said()) == ["v6"]
    for position, missed in ((answer["position"], 4), (events[0]["position"], 3)):
        assert len(ask(world.client(), channel=CHANNEL, position=position)[1:]) == missed


def test_last_events_are_those_of_all_partitions_together():
    tables, sections = Partition("mesa-ya.tables.events", 0), Partition("mesa-ya.sections.events", 0)
    instance = Instance(tables, sections)
    channel = parse_channel("restaurant:r1:tables")
    for number in range(3):
        section = {"id": f"s{number}", "restaurantId": "r1"}
        instance.take(instance.record(sections, "created", section["id"], section))
        for table in (f"t{number}", f"u{number}"):
            instance.take(instance.record(tables, "created", table, {"id": table, "sectionId": section["id"]}))
    for count in range(1, 10):
        position = instance.feed.position_before_latest(channel, count)
        verdict = instance.feed.check_position(channel, position, 0)
        assert instance.feed.replay(channel, verdict.vector).count == count
    assert instance.feed.position_before_latest(parse_channel("restaurant:r2:tables"), 5) is None


@pytest.mark.parametrize("more", [{"history": 0}, {"history": 5, "snapshot": True}])
def test_history_is_for_who_brings_no_position_and_wants_no_state(more):
    world = World()
    world.review(0)
    said = ask(world.client(), channel=CHANNEL, **more)
    assert [each["type"] for each in said] == ["subscribed", *(["snapshot"] if "snapshot" in more else [])]
    position = ask(world.client(), channel=CHANNEL)[0]["position"]
    assert ask(world.client(), channel=CHANNEL, position=position, history=5)[0]["replayed"] == 0


def test_history_of_a_quiet_channel_is_nothing():
    [answer] = ask(World().client(), channel=CHANNEL, history=5)
    assert "recovered" not in answer


@pytest.mark.parametrize("count", [-1, 101, 2.5, "3", True])
def test_history_is_a_number_within_its_bounds(count):
    [error] = ask(World().client(), channel=CHANNEL, history=count)
    assert error["code"] == "bad_message"


def test_every_position_of_a_stream_resumes_right_after_its_event():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    for number in range(5):
        world.review(number)
    events = session.send_queue.said()
    for index, event in enumerate(events):
        back = world.client()
        answer, *missed = ask(back, channel=CHANNEL, position=event["position"])
        assert reviews(missed) == reviews(events)[index + 1 :]
        assert answer["replayed"] == len(missed)


@pytest.mark.parametrize("position", ["", "rubbish", "A" * 60])
def test_what_is_no_position_gives_the_state_instead(position):
    answer, snapshot = ask(World().client(), channel=CHANNEL, position=position)
    assert (answer["recovered"], answer["reason"]) == (False, "invalid_position")
    assert (snapshot["type"], snapshot["data"], snapshot["position"]) == (
        "snapshot",
        {"reviews": []},
        answer["position"],
    )


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, 4))
def test_any_altered_position_shows_no_other_channel_and_ends_nothing(changes, cut):
    world = World(max_bytes=1000)
    for number in range(4):
        world.review(number, restaurant=f"r{number % 2}")
    raw = bytearray(urlsafe_b64decode(ask(world.client(), channel=CHANNEL)[0]["position"] + "=="))
    for place, byte in changes:
        raw[place % len(raw)] = byte
    forged = urlsafe_b64encode(raw[: len(raw) - cut]).rstrip(b"=").decode()
    session = world.client()
    messages = ask(session, channel=CHANNEL, position=forged)
    world.look()
    list(retry_waiting(session))
    messages += session.send_queue.said()
    assert not session.delivery.awaits_history, "reviews have no history"
    assert messages or session.is_waiting_for_feed
    assert {message["channel"] for message in messages} <= {CHANNEL}
    assert {message["type"] for message in messages} <= {"subscribed", "snapshot", "review.created"}
    world.review(4, restaurant="r0")
    world.review(5, restaurant="r1")
    assert set(reviews(session.send_queue.said())) <= {"v5"}


def test_a_position_of_another_channel_brings_nothing_of_this_one():
    world = World()
    position = ask(world.client(), channel="restaurant:r2:reviews")[0]["position"]
    world.review(1)
    answer, _ = ask(world.client(), channel=CHANNEL, position=position)
    assert answer["reason"] == "invalid_position"


def test_recreated_topic_is_answered_as_such():
    world = World()
    position = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.review(1)
    world.offsets[REVIEWS], world.ids[REVIEWS] = 0, "another"
    world.feed.ingest(TopicRecreated(REVIEWS.topic, "another"), NOW)
    world.look()
    world.work()
    answer, *_ = ask(world.client(), channel=CHANNEL, position=position)
    assert (answer["recovered"], answer["reason"]) == (False, "topic_recreated")


def test_position_is_withheld_until_a_gap_is_announced():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    ask(session, channel="restaurant:r1:tables")
    world.feed.ingest(Gap(REVIEWS, 0, 5), NOW)
    list(world.feed.process(NOW))
    [pong] = ask(session, "ping")
    assert pong["positions"].keys() == {"restaurant:r1:tables"}
    [(topic, lost)], world.feed.progress.gaps = world.feed.progress.gaps, []
    session.resync(topic, lost)
    [pong] = ask(session, "ping")
    assert pong["positions"].keys() == {"restaurant:r1:tables"}, "the state is still to be sent"


def test_a_client_that_is_ahead_of_this_instance_is_waited_for():
    ahead, lagging = World(), World()
    for number in (1, 2):
        ahead.review(number)
    position = ask(ahead.client(), channel=CHANNEL)[0]["position"]
    session = lagging.client()
    assert ask(session, channel=CHANNEL, position=position) == []
    lagging.review(1)
    list(retry_waiting(session))
    assert session.is_waiting_for_feed
    lagging.review(2)
    list(retry_waiting(session))
    [answer] = session.send_queue.said()
    assert (answer["recovered"], answer["replayed"]) == (True, 0), answer


def test_a_position_that_the_log_does_not_reach_is_lost():
    ahead, world = World(), World()
    for number in (1, 2):
        ahead.review(number)
    position = ask(ahead.client(), channel=CHANNEL)[0]["position"]
    session = world.client()
    assert ask(session, channel=CHANNEL, position=position) == []
    world.look()
    list(retry_waiting(session))
    assert session.is_waiting_for_feed, "that look may have begun before the log reached so far"
    world.look()
    list(retry_waiting(session))
    answer, snapshot = session.send_queue.said()
    assert (answer["reason"], snapshot["type"]) == ("position_ahead", "snapshot")


def test_what_has_left_the_window_is_read_from_the_store_and_then_the_channel_is_live():
    world = KeepingWorld(max_bytes=1200)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(4):
        world.review(number)
    world.commit()
    session = world.client(auth=False)
    assert ask(session, channel=KEPT, position=start) == []
    world.review(4)
    world.read(session)
    answer, *missed = session.send_queue.said()
    assert (answer["recovered"], answer["replayed"]) == (True, 5), answer
    assert world.feed.tally == Tally(Counter({(RECOVERED, "store"): 1}))
    read_on(session)
    missed += session.send_queue.said()
    assert reservations(missed) == [f"v{number}" for number in range(5)]
    world.review(5)
    assert reservations(session.send_queue.said()) == ["v5"]


def test_several_channels_are_read_one_after_the_other():
    world = KeepingWorld(max_bytes=1)
    other = "restaurant:r2:reservations"
    start, start_there = (ask(world.client(auth=False), channel=name)[0]["position"] for name in (KEPT, other))
    world.review(1)
    world.review(2, restaurant="r2")
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    ask(session, channel=other, position=start_there)
    world.read(session)
    world.read(session)
    read_on(session)
    assert reservations(session.send_queue.said()) == ["v1", "v2"]


def test_a_client_that_leaves_during_a_reading_is_sent_nothing():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    world.review(1)
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    subscription, request = next_history_request(session.delivery)
    page = world.page(request)
    ask(session, "unsubscribe", channel=KEPT)
    on_history(session.delivery, subscription, page)
    assert session.send_queue.said() == []
    assert world.feed.hub.subscriptions == 1, "that of the first client"


def test_what_cannot_be_read_has_expired():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    world.review(1)
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    subscription, _ = next_history_request(session.delivery)
    on_history(session.delivery, subscription, None)
    answer, snapshot = session.send_queue.said()
    assert (answer["recovered"], answer["reason"], snapshot["type"]) == (False, "expired", "snapshot")


def test_what_is_neither_in_the_store_yet_nor_in_the_window_any_more_has_expired():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    world.review(1)
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    world.read(session)
    answer, _ = session.send_queue.said()
    assert (answer["recovered"], answer["reason"]) == (False, "expired")


def test_a_position_before_the_history_has_expired_at_once():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    world.review(1)
    world.commit()
    world.feed.history.raise_floor(RESERVATIONS, 1)
    session = world.client(auth=False)
    answer, _ = ask(session, channel=KEPT, position=start)
    assert (answer["recovered"], answer["reason"]) == (False, "expired")
    assert not session.delivery.awaits_history


def test_gap_while_a_page_is_awaited_is_answered_with_the_snapshot():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(3):
        world.review(number, size=40_000)
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    world.read(session)
    read_on(session)
    assert reservations(session.send_queue.said()) == ["v0"]
    assert session.delivery.awaits_history
    subscription, request = next_history_request(session.delivery)
    page = world.page(request)
    world.lose()
    on_history(session.delivery, subscription, page)
    assert session.delivery.to_render.name == KEPT


def test_what_retention_has_passed_is_lost_at_once():
    world = World(max_bytes=1)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.review(1)
    world.look(begin=1)
    answer, _ = ask(world.client(), channel=CHANNEL, position=start)
    assert answer["reason"] == "expired"
    assert world.feed.tally == Tally(Counter({(LOST, Unrecoverable.EXPIRED): 1}), snapshots=1)


def test_what_retention_took_before_it_was_read_is_lost():
    world = World()
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.feed.ingest(Gap(REVIEWS, 0, 5), NOW)
    world.offsets[REVIEWS] = 5
    world.look(begin=5)
    world.work()
    answer, snapshot = ask(world.client(), channel=CHANNEL, position=start)
    assert (answer["reason"], snapshot["complete"]) == ("expired", False)


def test_a_snapshot_is_the_state_as_of_the_position():
    world = World()
    world.review(1)
    session = world.client()
    answer, snapshot = ask(session, channel=CHANNEL, snapshot=True, id="s")
    assert "recovered" not in answer
    assert snapshot["position"] == answer["position"]
    assert [review["reviewId"] for review in snapshot["data"]["reviews"]] == ["v1"]
    assert world.feed.tally == Tally(snapshots=1)
    world.review(2)
    assert reviews(session.send_queue.said()) == ["v2"]


def test_position_ahead_is_checked_again_only_after_a_change():
    ahead, lagging = World(), World()
    for number in (1, 2):
        ahead.review(number)
    position = ask(ahead.client(), channel=CHANNEL)[0]["position"]
    lagging.offsets[REVIEWS] = 2
    session = lagging.client()
    ask(session, channel=CHANNEL, position=position)
    checked, check = 0, lagging.feed.coverage.check

    def counted(*args):
        nonlocal checked
        checked += 1
        return check(*args)

    lagging.feed.coverage.check = counted
    for _ in range(5):
        list(retry_waiting(session))
    assert checked == 0
    lagging.look()
    for _ in range(5):
        list(retry_waiting(session))
    assert (checked, session.is_waiting_for_feed) == (1, True)


def test_a_place_in_a_topic_that_is_not_known_here_yet_is_waited_for():
    knows, late = World(), World()
    position = ask(knows.client(), channel=CHANNEL)[0]["position"]
    late.feed = a_feed()
    late.feed.ingest(LogMetadata({TABLES: OffsetRange(0, 0, "b")}, {}), NOW)
    late.work()
    session = late.client()
    assert ask(session, channel=CHANNEL, position=position) == []
    late.look()
    list(retry_waiting(session))
    assert session.send_queue.said()[0]["recovered"] is True


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
    lagging.resume()
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


def far_ahead(feed, name, partitions=1000):
    """Return a position that somebody forged: of partitions that may come yet, as far as anybody knows."""
    channel, as_number = parse_channel(name), position_text.number
    check = position_text.decode(feed.position(channel), channel).check
    named = {REVIEWS.topic: as_number(partitions) + bytes(partitions)}
    numbers = [named.get(topic, as_number(0)) for topic in channel.kind.topics if topic != PARENTS_TOPIC]
    return position_text.beginning(name, single=False) + position_text.encode(check + b"".join(numbers))


def test_many_that_wait_with_large_positions_cost_little_memory_and_hold_nobody_up():
    world = World()
    session = world.client()
    session.limits = Limits(auth=True, max_subscriptions=50)
    names = [f"restaurant:{number}:reviews" for number in range(50)]
    positions = {name: far_ahead(world.feed, name) for name in names}
    one = calls(lambda: world.feed.coverage.check(parse_channel(names[0]), positions[names[0]]))
    tracemalloc.start()
    try:
        for name in names:
            assert ask(session, channel=name, position=positions[name]) == []
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 50 * 8000, "a position, not what it stands for"
    for _ in range(2):
        world.look()
        assert most_calls_in_a_step(retry_waiting(session)) < 2 * one
    assert not session.is_waiting_for_feed
    assert world.feed.tally.resumes == {(LOST, Unrecoverable.POSITION_AHEAD): len(names)}


def test_session_that_leaves_during_an_answer_receives_nothing_more():
    world = World(live=False)
    world.look(lag=1)
    session = world.client()
    for channel in (CHANNEL, "restaurant:r2:reviews", "restaurant:r3:reviews"):
        ask(session, channel=channel)
    world.review(1)
    steps = retry_waiting(session)
    next(steps)
    session.send_queue.said()
    assert ask(session, "unsubscribe", channel="restaurant:r2:reviews")[0]["type"] == "unsubscribed"
    list(steps)
    assert [message["channel"] for message in session.send_queue.said()] == ["restaurant:r3:reviews"]
    assert not session.is_waiting_for_feed


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
