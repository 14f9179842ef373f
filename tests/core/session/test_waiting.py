"""Subscriptions that wait for the feed: to be live, or to reach their positions."""

import tracemalloc

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.tally import LOST
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import OffsetRange
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.core.recovery import position_text
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.session import Limits
from tests.steps import calls, most_calls_in_a_step
from tests.support.instance import (
    CHANNEL,
    NOW,
    REVIEWS,
    TABLES,
    World,
    a_feed,
    ask,
    reviews,
)


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
    session.limits = Limits(auth=True, max_subscriptions=50, conflate=False)
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
