"""A client of /events, with a session of the core's small world."""

from time import time

import orjson
import pytest
import trio
import trio.testing

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.identity_changes import run_due
from mesaya_ws.core.wire import codes
from mesaya_ws.server.http.event_client import COMMENT_INTERVAL, EventClient
from tests.support.instance import CHANNEL, World, a_session, session_identities

OTHER = "restaurant:r2:reviews"
OWN = "user:u1:notifications"


class Reader:
    """What has been written to a client, who may take nothing."""

    def __init__(self):
        self.text = b""
        self.reads = trio.Event()
        self.reads.set()

    async def write(self, text):
        await self.reads.wait()
        self.text += text

    def blocks(self):
        return [block for block in self.text.decode().split("\n\n") if block]

    def events(self):
        """Return the messages, and the id that the client has now."""
        messages, id = [], None
        for block in self.blocks():
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                if name == "data":
                    messages.append(orjson.loads(value))
                elif name == "id":
                    id = value
        return messages, id


def reviews(messages):
    return [message["data"]["reviewId"] for message in messages if message["type"] == "review.created"]


def client_of(world, *channels, since=None, snapshot=False, most=100, page=False, auth=True):
    def open_session(queue):
        session = a_session(world.feed, "c", queue, world.services, auth=auth, most=3, identities=world.identities)
        world.sessions.append(session)
        return session

    return EventClient(
        open_session,
        channels or (CHANNEL,),
        since,
        snapshot=snapshot,
        most_messages=most,
        most_bytes=1 << 16,
        write_timeout=20.0,
        ends_when_full=page,
        address=None,
        opened_at=0.0,
    )


@pytest.fixture
async def reading(nursery):
    """Have a client read; return what it has read."""

    async def read(client, **options):
        reader = Reader()
        assert client.subscribe(**options) is None
        nursery.start_soon(client.stream, reader.write)
        await trio.testing.wait_all_tasks_blocked()
        return reader

    return read


async def settle():
    await trio.testing.wait_all_tasks_blocked()


async def test_stream_shows_what_is_published_and_its_id_resumes_exactly(reading):
    world = World()
    first = client_of(world)
    reader = await reading(first)
    for number in range(3):
        world.review(number)
    await settle()
    messages, id = reader.events()
    assert reviews(messages) == ["v0", "v1", "v2"]
    first.leave()
    world.review(3)
    world.review(4)
    again = await reading(client_of(world, since=id))
    world.review(5)
    await settle()
    assert reviews(again.events()[0]) == ["v3", "v4", "v5"]
    assert again.events()[0][0]["recovered"] is True


async def test_one_id_is_of_all_channels(reading):
    world = World()
    client = client_of(world, CHANNEL, OTHER)
    reader = await reading(client)
    world.review(0)
    world.review(1, restaurant="r2")
    await settle()
    _, id = reader.events()
    client.leave()
    world.review(2, restaurant="r2")
    world.review(3)
    again = await reading(client_of(world, CHANNEL, OTHER, since=id))
    assert sorted(reviews(again.events()[0])) == ["v2", "v3"]


async def test_snapshot_comes_first_and_who_leaves_before_it_gets_it_again(reading):
    world = World()
    world.review(0)
    client = client_of(world, snapshot=True)
    reader = await reading(client)
    assert [message["type"] for message in reader.events()[0]] == ["subscribed", "snapshot"]
    assert reader.blocks()[0].count("id:") == 0
    assert reader.blocks()[1].count("id:") == 1


async def test_id_of_another_stream_is_answered_with_a_snapshot(reading):
    reader = await reading(client_of(World(), CHANNEL, OTHER, since="IVYDW96tAitD"))
    messages, _ = reader.events()
    assert [message["type"] for message in messages] == ["subscribed", "snapshot"] * 2
    assert [message["reason"] for message in messages[::2]] == ["invalid_position"] * 2


async def test_id_that_none_can_be_adds_no_event_to_the_stream(reading):
    reader = await reading(client_of(World(), CHANNEL, OTHER, since='IVYD\ndata: {"type":"of a stranger"}\n\n.'))
    messages, _ = reader.events()
    assert [message["type"] for message in messages] == ["subscribed", "snapshot"] * 2
    assert [message["reason"] for message in messages[::2]] == ["invalid_position"] * 2


async def test_silent_stream_says_every_15_seconds_that_it_lives_and_where_it_is(reading, autojump_clock):
    world = World()
    client = client_of(world)
    reader = await reading(client)
    _, id = reader.events()
    world.review(0, restaurant="elsewhere")
    for _ in range(int(COMMENT_INTERVAL) + 1):
        client.check(trio.current_time())
        await trio.sleep(1)
    messages, moved = reader.events()
    assert reader.blocks()[-3:-1] == [":", f"id: {moved}"]
    assert reader.blocks()[-1].startswith("event: pong\n")  # which nobody is shown who listens to messages
    assert messages[-1]["positions"] == {CHANNEL: moved}
    assert messages[-1]["live"] is True
    assert moved != id
    assert sum(block == ":" for block in reader.blocks()) == 1


async def test_busy_stream_says_so_too(reading, autojump_clock):
    world = World()
    client = client_of(world)
    reader = await reading(client)
    for number in range(2 * int(COMMENT_INTERVAL) + 1):
        world.review(number)
        client.check(trio.current_time())
        await trio.sleep(1)
    assert [message["type"] for message in reader.events()[0]].count("pong") == 2


async def test_of_a_partial_stream_a_channel_that_is_refused_is_said_and_the_others_are_shown(reading):
    world, channels = World(), ("user:u1:notifications", "nonsense", CHANNEL)
    assert client_of(world, *channels).subscribe() is codes.UNAUTHORIZED
    client = client_of(world, *channels)
    reader = await reading(client, partial=True)
    world.review(0)
    await settle()
    messages, id = reader.events()
    refused = [(message["code"], message["channel"]) for message in messages if message["type"] == "error"]
    assert refused == [("unauthorized", "user:u1:notifications"), ("bad_channel", "nonsense")]
    assert reviews(messages) == ["v0"]
    client.leave()
    world.review(1)
    again = await reading(client_of(world, *channels, since=id), partial=True)
    assert reviews(again.events()[0]) == ["v1"]


async def test_client_that_takes_nothing_is_let_go_of_and_bounded(nursery, autojump_clock):
    world = World()
    client, reader = client_of(world, most=10), Reader()
    client.subscribe()
    ended = trio.Event()

    async def stream():
        await client.stream(reader.write)
        ended.set()

    nursery.start_soon(stream)
    await settle()
    reader.reads = trio.Event()
    for number in range(30):
        world.review(number, size=1000)
        await settle()
    assert client.waiting_bytes < 20_000
    with trio.fail_after(60):
        await ended.wait()


async def test_slow_client_is_closed_with_slow_and_resumes_with_its_id(reading):
    world = World()
    client = client_of(world, most=5)
    reader = await reading(client)
    reader.reads = trio.Event()
    for number in range(20):
        world.review(number)
    reader.reads.set()
    await settle()
    messages, id = reader.events()
    assert (messages[-1]["type"], messages[-1]["code"]) == ("close", codes.SLOW.code)
    client.leave()
    again = await reading(client_of(world, since=id))
    assert reviews(messages) + reviews(again.events()[0]) == [f"v{number}" for number in range(20)]


async def test_going_away_has_an_event_of_its_own_and_the_close_is_the_last_word(reading):
    client = client_of(World())
    reader = await reading(client)
    client.announce(2.5)
    await settle()
    assert reader.blocks()[-1].split("\n")[:2] == ["event: going_away", 'data: {"type":"going_away","closeIn":2.5}']
    client.close(codes.SERVICE_RESTART)
    await settle()
    assert reader.blocks()[-1].startswith("event: close\n")
    assert reader.events()[0][-1] == {"type": "close", "code": 1012, "name": "service_restart", "reconnect": True}


async def test_stream_shows_nothing_private_after_the_end_of_its_token(reading, autojump_clock):
    world = World()
    client = client_of(world, CHANNEL, OWN)
    assert client.sign_in(Identity("u1", (), None, time() + 1000)) is None
    reader = await reading(client)
    for _ in run_due(world.identities, time() + 1005):
        pass
    world.review(1)
    await settle()
    *_, ended, event = reader.events()[0]
    assert (ended["type"], ended["channel"], ended["reason"]) == ("unsubscribed", OWN, "token_expired")
    assert (event["type"], event["channel"]) == ("review.created", CHANNEL)
    assert client.close_code is None


@pytest.mark.parametrize(("identity", "seconds"), [(None, 10), (Identity("u1", (), None, 0.0), 5)])
async def test_stream_of_nobody_is_closed_in_time_where_an_identity_is_required(reading, identity, seconds):
    world = World(identities=session_identities(required=True, patience=10.0))
    client = client_of(world)
    assert client.sign_in(identity) is None
    reader = await reading(client)
    for later in (0, seconds):  # the identity ends, and then the stream
        for _ in run_due(world.identities, time() + later):
            pass
    await settle()
    assert client.close_code is codes.UNAUTHENTICATED
    assert reader.events()[0][-1]["code"] == 4401


@pytest.mark.parametrize(
    ("channels", "code"),
    [
        (("nonsense",), codes.BAD_CHANNEL),
        (("user:u1:notifications",), codes.UNAUTHORIZED),
        ((CHANNEL, "restaurant:r1:reservations"), codes.UNAUTHORIZED),
        ([f"restaurant:r{n}:reviews" for n in range(4)], codes.TOO_MANY_SUBSCRIPTIONS),
    ],
)
def test_channels_that_cannot_be_had_are_refused(channels, code):
    assert client_of(World(), *channels).subscribe() is code


async def page_of(client, wait=0.0, most=500):
    assert client.subscribe() is None
    page = await client.page(wait, most)
    client.leave()
    return [orjson.loads(event) for event in page.events], page.id


async def test_pages_show_everything_once_whatever_their_size(autojump_clock):
    world = World()
    _, id = await page_of(client_of(world, page=True))
    for number in range(57):
        world.review(number, size=100)
    seen = []
    for _ in range(100):
        events, id = await page_of(client_of(world, since=id, page=True, most=10), most=7)
        seen += reviews(events)
        if not events:
            break
    assert seen == [f"v{number}" for number in range(57)]


async def test_page_waits_for_the_first_event(autojump_clock, nursery):
    world = World()
    _, id = await page_of(client_of(world, page=True))

    async def publish():
        await trio.sleep(7)
        world.review(0)

    nursery.start_soon(publish)
    start = trio.current_time()
    events, id = await page_of(client_of(world, since=id, page=True), wait=20)
    assert (reviews(events), trio.current_time() - start) == (["v0"], 7)
    events, again = await page_of(client_of(world, since=id, page=True), wait=20)
    assert (events, again, trio.current_time() - start) == ([], id, 27)


async def test_page_with_snapshot_has_the_state_and_the_place_after_it(autojump_clock):
    world = World()
    world.review(0)
    [snapshot], id = await page_of(client_of(world, page=True, snapshot=True))
    assert (snapshot["type"], snapshot["position"]) == ("snapshot", id)


async def test_page_says_that_events_are_missing(autojump_clock):
    world = World()
    _, id = await page_of(client_of(world, page=True))
    world.review(0)
    world.lose()
    events, _ = await page_of(client_of(world, since=id, page=True))
    assert [event["type"] for event in events] == ["subscribed", "snapshot"]
    assert events[0]["recovered"] is False
