import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.core.session.delivery import SENT_AT_ONCE
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.wire import codes
from tests.support.instance import CHANNEL, World, ask, read_on, reviews, written


def test_a_long_replay_waits_for_the_send_queue_and_then_goes_live():
    world = World(max_bytes=10 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    for number in range(20):
        world.review(number, size=PAGE_BYTES // 5)
    session = world.client()
    session.send_queue.backlogged = True
    [answer] = ask(session, channel=CHANNEL, position=start)
    assert (answer["recovered"], answer["replayed"]) == (True, 20), answer
    world.review(20)
    assert session.send_queue.said() == []
    read_on(session)
    world.review(21)
    assert reviews(session.send_queue.said()) == [f"v{number}" for number in range(22)]


def test_long_replay_to_a_fast_client_yields_to_others():
    world = World(max_bytes=20 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    for number in range(10):
        world.review(number, size=PAGE_BYTES)
    session, received, turns = world.client(), [], 0
    received += reviews(ask(session, channel=CHANNEL, position=start))
    assert len(received) == SENT_AT_ONCE
    while session.send_queue.deferred:
        world.review(10 + turns)
        assert session.send_queue.said() == []
        session.send_queue.backlogged = session.send_queue.deferred = False
        session.delivery.resume()
        received += reviews(session.send_queue.said())
        turns += 1
        assert len(received) <= (turns + 1) * SENT_AT_ONCE + turns
    world.review(10 + turns)
    assert turns > 1
    assert received + reviews(session.send_queue.said()) == [f"v{number}" for number in range(11 + turns)]


def test_many_snapshots_due_at_once_are_sent_in_turns():
    world = World(live=False)
    session = world.client(most=100)
    names = [f"restaurant:r{number}:reviews" for number in range(10)]
    for name in names:
        assert ask(session, channel=name, snapshot=True) == []
    world.look()
    world.work()
    list(retry_waiting(session))
    assert session.send_queue.deferred
    assert session.send_queue.said() == []
    read_on(session)
    assert [message["channel"] for message in session.send_queue.said() if message["type"] == "snapshot"] == names


def test_a_replay_is_not_overtaken_by_what_leaves_the_window_on_other_channels():
    world = World(max_bytes=4 * PAGE_BYTES)
    names = CHANNEL, "restaurant:quiet:reviews", "restaurant:r2:reviews"
    starts = {name: ask(world.client(), channel=name)[0]["position"] for name in names}
    world.review(0, size=PAGE_BYTES, restaurant="another")
    world.review(1, size=PAGE_BYTES)
    world.review(2, restaurant="r2")
    session = world.client()
    session.send_queue.backlogged = True
    for name, start in starts.items():
        ask(session, channel=name, position=start)
    world.review(3, size=PAGE_BYTES, restaurant="another")
    world.review(4, size=PAGE_BYTES, restaurant="another")
    assert world.feed.window.evicted == 1
    session.send_queue.backlogged = False
    session.delivery.resume()
    world.review(5, restaurant="quiet")
    assert reviews(session.send_queue.said()) == ["v1", "v2", "v5"]


def replaying_while_slow():
    """Return a world, and a client that has missed something there, and is too slow to receive it yet."""
    world = World(max_bytes=2 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.review(1, size=PAGE_BYTES)
    session = world.client()
    session.send_queue.backlogged = True
    ask(session, channel=CHANNEL, position=start)
    return world, session


def overtake(world, session):
    """Let what the client has missed leave the window before it is sent."""
    for number in range(2, 5):
        world.review(number, size=PAGE_BYTES)
    session.send_queue.backlogged = False
    session.delivery.resume()
    assert session.send_queue.closed is codes.SLOW


def test_a_replay_that_is_overtaken_by_the_window_is_not_continued_with_a_gap():
    world, session = replaying_while_slow()
    overtake(world, session)


@pytest.mark.parametrize("entrance", ["a position", "the feed", "a snapshot"])
def test_whatever_finds_the_client_evicted_before_its_send_queue_has_drained_closes_the_connection(entrance):
    """The gateway's tasks serve all clients, and a client that is too slow must end none of them."""
    world = World(max_bytes=2 * PAGE_BYTES)
    other = "restaurant:r2:reviews"
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.review(1, size=PAGE_BYTES)
    session = world.client()
    session.send_queue.backlogged = True
    ask(session, channel=CHANNEL, position=start)
    if entrance == "the feed":
        ahead = World()
        ahead.review(0, restaurant="r2")
        for number in range(9):
            ahead.review(number)
        ask(session, channel=other, position=ahead.feed.position(parse_channel(other)))
    elif entrance == "a snapshot":
        world.feed.states.written_at_once = 1
        for number in range(2):
            world.review(f"-other-{number}", restaurant="r2")
        session.send_queue.backlogged = False
        ask(session, channel=other, snapshot=True)
        session.send_queue.backlogged = True
    for number in range(2, 5):
        world.review(number, size=PAGE_BYTES)
    quiet = ask(world.client(), channel=other)[0]["position"]
    world.review(5, restaurant="r2")
    session.send_queue.backlogged = False
    match entrance:
        case "a position":
            ask(session, channel=other, position=quiet)
        case "the feed":
            for number in range(6, 12):
                world.review(number, restaurant="r2")
            list(retry_waiting(session))
        case "a snapshot":
            snapshot = world.feed.states.snapshot(parse_channel(other))
            list(snapshot.write())
            world.review(6, restaurant="r2")
            session.delivery.on_rendered(snapshot)
    assert session.send_queue.closed is codes.SLOW
    assert session.subscriptions == {}


def test_evicted_client_receives_nothing_while_its_connection_closes():
    world, session = replaying_while_slow()
    ahead = World()
    for number in range(9):
        ahead.review(number)
    assert (
        ask(
            session,
            channel="restaurant:r2:reviews",
            position=ahead.feed.position(parse_channel("restaurant:r2:reviews")),
        )
        == []
    )
    overtake(world, session)
    for number in range(5, 12):
        world.review(number, restaurant="r2")
    list(retry_waiting(session))
    assert session.send_queue.said() == []


def test_snapshot_waits_outside_of_a_backlogged_send_queue():
    world = World()
    session = world.client()
    session.send_queue.backlogged = True
    assert ask(session, channel=CHANNEL, snapshot=True, id="s") == []
    assert ask(session, channel="restaurant:r2:reviews", position="rubbish") == []
    assert ask(session, channel="restaurant:r3:reviews", snapshot=True) == []
    assert ask(session, "unsubscribe", channel="restaurant:r3:reviews")[0]["type"] == "unsubscribed"
    assert ask(session, "ping")[0]["positions"] == {}
    world.review(1)
    assert session.send_queue.said() == []
    session.send_queue.backlogged = False
    session.delivery.resume()
    answer, snapshot, other, another = session.send_queue.said()
    assert (answer["type"], answer["id"], answer["position"]) == ("subscribed", "s", snapshot["position"])
    assert [review["reviewId"] for review in snapshot["data"]["reviews"]] == ["v1"]
    assert (other["reason"], another["type"]) == ("invalid_position", "snapshot")
    world.review(2)
    assert reviews(session.send_queue.said()) == ["v2"]


def test_a_snapshot_that_is_due_is_sent_before_the_pages_of_a_replay():
    world = World(max_bytes=20 * PAGE_BYTES)
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    for number in range(3):
        world.review(number, size=PAGE_BYTES)
    session = world.client()
    session.send_queue.backlogged = True
    ask(session, channel=CHANNEL, position=start)
    ask(session, channel="restaurant:r2:reviews", snapshot=True)
    read_on(session)
    assert [message["type"] for message in session.send_queue.said()] == [
        "subscribed",
        "snapshot",
        *["review.created"] * 3,
    ]


def test_snapshots_are_handed_over_one_at_a_time():
    world = World()
    session = world.client()
    offer = session.send_queue.offer

    def offer_and_fall_behind(data, messages):
        offer(data, messages)
        session.send_queue.backlogged = b'"snapshot"' in data

    session.send_queue.offer = offer_and_fall_behind
    names = [f"restaurant:r{number}:reviews" for number in range(3)]
    said = [[message["type"] for message in ask(session, channel=name, snapshot=True)] for name in names]
    assert said == [["subscribed", "snapshot"], [], []]
    for name in names[1:]:
        session.send_queue.backlogged = False
        session.delivery.resume()
        assert [(message["type"], message["channel"]) for message in session.send_queue.said()] == [
            ("subscribed", name),
            ("snapshot", name),
        ]


def test_rendered_snapshot_is_for_who_waits_for_that_of_its_channel():
    world, other = World(), "restaurant:r2:reviews"
    start = ask(world.client(), channel=CHANNEL)[0]["position"]
    world.feed.states.written_at_once = 1
    for number in range(2):
        world.review(number)
        world.review(f"-other-{number}", restaurant="r2")
    session = world.client()
    for channel in (CHANNEL, other):
        assert ask(session, channel=channel, snapshot=True) == []
    own, foreign = (world.feed.states.snapshot(parse_channel(channel)) for channel in (CHANNEL, other))
    for snapshot in (own, foreign):
        written(snapshot)
    session.delivery.on_rendered(foreign)
    assert [(each["type"], each["channel"]) for each in session.send_queue.said()] == [
        ("subscribed", other),
        ("snapshot", other),
    ]
    # Who has asked for something else meanwhile does not wait for it any more.
    session.send_queue.backlogged = True
    assert [each["replayed"] for each in ask(session, channel=CHANNEL, position=start)] == [2]
    session.send_queue.backlogged = False
    session.delivery.on_rendered(own)
    assert session.send_queue.said() == []
    read_on(session)
    assert reviews(session.send_queue.said()) == ["v0", "v1"]


def test_a_few_entities_that_are_large_are_written_by_others():
    world = World(max_bytes=10 * PAGE_BYTES)
    for number in range(3):
        world.review(number, size=PAGE_BYTES // 2)
    session = world.client()
    assert ask(session, channel=CHANNEL, snapshot=True) == []
    assert session.delivery.to_render == parse_channel(CHANNEL)
    snapshot = world.feed.states.snapshot(session.delivery.to_render)
    assert len(written(snapshot)["reviews"]) == 3
    session.delivery.on_rendered(snapshot)
    assert [message["type"] for message in session.send_queue.said()] == ["subscribed", "snapshot"]
