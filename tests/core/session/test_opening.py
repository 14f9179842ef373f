"""How subscriptions begin: what is refused, what is replayed, and when the state comes instead."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.tally import LOST, RECOVERED, Tally
from mesaya_ws.core.log.events import Gap, TopicRecreated
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.opening import retry_waiting
from tests.support.instance import (
    CHANNEL,
    NOW,
    REVIEWS,
    Instance,
    World,
    ask,
    reviews,
)


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
    quiet = parse_channel("restaurant:r2:tables")
    assert instance.feed.position_before_latest(quiet, 5) == instance.feed.position(quiet)


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
    assert (answer["recovered"], answer["replayed"]) == (True, 0)


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
