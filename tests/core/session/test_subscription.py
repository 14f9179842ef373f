"""The states of a subscription: which may follow which, and what the client has in each."""

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session import subscription as module
from mesaya_ws.core.session.history import next_history_request, on_history
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.subscription import TRANSITIONS, InvalidTransitionError, State, Subscription, Wait
from mesaya_ws.core.wire.encoding import position_of
from tests.support.instance import CHANNEL, KEPT, NOW, REVIEWS, KeepingWorld, World, ask, read_on, reviews

ENTER = {
    State.WAITING_FOR_FEED: lambda subscription: subscription.wait_for_feed(Wait(0)),
    State.READING_HISTORY: lambda subscription: subscription.read_history(Wait(0)),
    State.SNAPSHOT_DUE: Subscription.await_queue,
    State.RENDERING: Subscription.await_rendering,
    State.AWAITING_PAGE: Subscription.await_page,
    State.REPLAYING: lambda subscription: subscription.start_replay(object(), "p"),
    State.LIVE: Subscription.go_live,
    State.ENDED: Subscription.end,
}


def subscription_in(state):
    return Subscription(parse_channel(CHANNEL), {}, None, None, state)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_only_a_state_of_the_table_follows_another(before, after):
    subscription = subscription_in(before)
    if after in TRANSITIONS[before]:
        ENTER[after](subscription)
        assert subscription.state is after
    else:
        with pytest.raises(InvalidTransitionError):
            ENTER[after](subscription)
        assert subscription.state is before


def test_the_docstring_lists_every_state():
    rows = [line.split("|")[1].strip() for line in module.__doc__.splitlines() if line.startswith("| ")]
    assert rows == ["state", *(state.name for state in State)]


def test_the_index_holds_what_is_not_live_the_longest_in_its_state_first():
    unsettled = {}
    one, other = (Subscription(parse_channel(f"restaurant:{name}:menu"), unsettled, None, None) for name in "ab")
    one.await_queue()
    other.await_queue()
    one.await_rendering()
    assert list(unsettled) == [other, one]
    one.go_live()
    other.end()
    assert unsettled == {}


def test_position_of_an_event_is_read_from_its_frame():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    world.review(1, size=PAGE_BYTES)
    [frame] = session.send_queue.frames
    [event] = session.send_queue.said()
    assert position_of(frame) == event["position"]


# The server ends a subscription


def ended(session, channel=CHANNEL):
    """End a subscription; return what the client receives, and that nothing follows."""
    session.end(channel, "rights_changed")
    *before, last = session.send_queue.said()
    assert (last["type"], last["channel"], last["reason"]) == ("unsubscribed", channel, "rights_changed")
    assert session.delivery.unsettled == {}
    return before, last.get("position")


def missed_after(world, position):
    """Return the reviews that a client gets that comes back with a position."""
    session = world.client()
    answer, *missed = ask(session, channel=CHANNEL, position=position)
    assert answer["recovered"] is True, answer
    return reviews(missed)


def test_a_live_subscription_ends_with_the_present_position():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    world.review(1)
    before, position = ended(session)
    assert reviews(before) == ["v1"]
    world.review(2)
    assert session.send_queue.said() == []
    assert missed_after(world, position) == ["v2"]
    assert world.feed.hub.subscriptions == 1, "that of the client that came back"


def test_subscription_waiting_for_the_feed_ends_with_the_clients_position():
    ahead, world = World(), World()
    ahead.review(1)
    position = ask(ahead.client(), channel=CHANNEL)[0]["position"]
    session = world.client()
    assert ask(session, channel=CHANNEL, position=position) == []
    assert ended(session) == ([], position)
    world.review(1)
    list(retry_waiting(session))
    assert session.send_queue.said() == []


def test_subscription_reading_history_ends_with_the_clients_position():
    world = KeepingWorld(max_bytes=1)
    session, start = world.late_client(commits=True)
    subscription, request = next_history_request(session.delivery)
    session.end(KEPT, "rights_changed")
    [message] = session.send_queue.said()
    assert (message["type"], message["position"]) == ("unsubscribed", start)
    on_history(session.delivery, subscription, world.page(request))
    assert session.send_queue.said() == []


def test_a_subscription_that_awaits_a_page_ends_with_the_position_of_the_one_before():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(3):
        world.review(number, size=PAGE_BYTES)
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    world.read(session)
    read_on(session)
    messages = session.send_queue.said()
    assert session.delivery.awaits_history
    session.end(KEPT, "rights_changed")
    [message] = session.send_queue.said()
    assert message["position"] == messages[-1]["position"]


@pytest.mark.parametrize("rendering", [False, True])
def test_a_subscription_whose_snapshot_is_due_or_rendered_ends_without_one(rendering):
    world = World(max_bytes=10 * PAGE_BYTES)
    for number in range(3):
        world.review(number, size=PAGE_BYTES // 2)
    session = world.client()
    session.send_queue.backlogged = not rendering
    assert ask(session, channel=CHANNEL, snapshot=True) == []
    snapshot = world.feed.states.snapshot(parse_channel(CHANNEL))
    list(snapshot.write())
    assert ended(session) == ([], None)
    session.send_queue.backlogged = False
    session.delivery.on_rendered(snapshot)
    session.delivery.resume()
    assert session.send_queue.said() == []


def test_a_replay_ends_with_the_position_of_its_last_page():
    world = World(max_bytes=20 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    for number in range(8):
        world.review(number, size=PAGE_BYTES)
    session = world.client()
    session.send_queue.backlogged = True
    ask(session, channel=CHANNEL, position=start)
    session.send_queue.backlogged = False
    session.delivery.resume()
    before, position = ended(session)
    assert reviews(before) == ["v0", "v1", "v2", "v3"]
    back = world.client()
    _, *missed = ask(back, channel=CHANNEL, position=position)
    read_on(back)
    assert reviews(missed + back.send_queue.said()) == ["v4", "v5", "v6", "v7"]


def test_a_replay_that_has_not_begun_ends_with_the_position_that_it_brought():
    world = World()
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.review(1)
    session = world.client()
    session.send_queue.backlogged = True
    ask(session, channel=CHANNEL, position=start)
    assert ended(session) == ([], start)
    assert missed_after(world, start) == ["v1"]


def test_a_replay_after_a_snapshot_ends_with_the_position_of_the_snapshot():
    world = World(max_bytes=10 * PAGE_BYTES)
    for number in range(3):
        world.review(number, size=PAGE_BYTES // 2)
    session = world.client()
    ask(session, channel=CHANNEL, snapshot=True)
    snapshot = world.feed.states.snapshot(parse_channel(CHANNEL))
    list(snapshot.write())
    world.review(3)
    stream = session.send_queue.stream

    def stream_and_fall_behind(frames):
        stream(frames)
        session.send_queue.backlogged = True

    session.send_queue.stream = stream_and_fall_behind
    session.delivery.on_rendered(snapshot)
    before, position = ended(session)
    assert [message["type"] for message in before] == ["subscribed", "snapshot"]
    assert position == snapshot.position
    assert missed_after(world, position) == ["v3"]


def test_a_replay_that_the_log_interrupted_ends_without_a_position():
    world = World(max_bytes=20 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    for number in range(8):
        world.review(number, size=PAGE_BYTES)
    session = world.client()
    ask(session, channel=CHANNEL, position=start)
    session.resync(REVIEWS.topic, Unrecoverable.EXPIRED)
    _, position = ended(session)
    assert position is None, "the client would go on before the gap, and would not learn of it"


@pytest.mark.parametrize("reported", [False, True])
def test_after_the_log_lost_records_a_subscription_ends_without_a_position(reported):
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    world.feed.ingest(Gap(REVIEWS, 0, 5), NOW)
    list(world.feed.process(NOW))
    if reported:
        [gap] = world.feed.progress.gaps
        session.resync(*gap)
        world.feed.progress.gaps_announced()
    assert ended(session) == ([], None)


def test_subscription_during_fan_out_ends_without_a_position():
    world = World()
    session = world.client()
    ask(session, channel=CHANNEL)
    world.feed.hub.publish(CHANNEL, b"", NOW, 1)
    assert ended(session) == ([], None)


def test_ending_what_is_not_subscribed_to_says_nothing():
    session = World().client()
    session.end(CHANNEL, "rights_changed")
    assert session.send_queue.said() == []
