"""No step of the event loop takes longer than 10 ms, whatever a client sends: frames and messages at their limits."""

from functools import partial

import orjson
import pytest
import trio
import trio.testing

from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.wire.frame_limits import PIECES_PER_FRAME
from mesaya_ws.settings import Settings
from tests.server.websocket.test_connection import CHANNEL, World, gateway
from tests.support.instance import a_session
from tests.support.wire import CONTINUATION, PING, PONG, TEXT, frame
from tests.timing import check_best_of, is_long, take

DEFAULTS = Settings()
LARGEST = DEFAULTS.max_message_bytes
FRAMES = DEFAULTS.messages_per_second * 10
"""As many as a client may send at once."""


def object_of(**fields):
    return orjson.dumps({"type": "subscribe", "channel": CHANNEL, **fields})


def padded(start, repeated, end):
    """Return a text as large as a message may be."""
    return start + repeated * ((LARGEST - len(start) - len(end)) // len(repeated)) + end


MESSAGES = {
    "no JSON": b"x" * LARGEST,
    "blanks": padded(object_of(), b" ", b""),
    "lists in lists": b"[" * LARGEST,
    "lists in an object": padded(b'{"type":"subscribe","channel":', b"[", b""),
    "numbers": padded(b'{"type":"subscribe","channel":[', b"1,", b"1]}"),
    "small objects": padded(b'{"type":"ping","x":[', b"{},", b"{}]}"),
    "fields": padded(b'{"type":"ping"' + b"".join(b',"%x":1' % number for number in range(7000)), b" ", b"}"),
    "fields of one name": padded(b'{"type":"ping"', b',"id":""', b"}"),
    "escapes": padded(b'{"type":"ping","id":"', b"\\u00e9", b'"}'),
    "a long type": padded(b'{"type":"', b"x", b'"}'),
    "a long id": padded(b'{"type":"ping","id":"', b"x", b'"}'),
    "a long channel": padded(b'{"type":"subscribe","channel":"', b"x", b'"}'),
    "a channel of colons": padded(b'{"type":"subscribe","channel":"', b":", b'"}'),
    "a long position": padded(object_of()[:-1] + b',"position":"', b"A", b'"}'),
    "a position of dots": padded(object_of()[:-1] + b',"position":"', b".", b'"}'),
    "a long id of a wrong type": padded(b'{"type":"ping","id":[', b'"x",', b'""]}'),
    "an unknown type": padded(b'{"type":"x","id":"', b"x", b'"}'),
}


@pytest.fixture
def world(nursery):
    world = World(nursery, {})
    with world.clients.open():
        yield world


@pytest.mark.parametrize("text", MESSAGES.values(), ids=MESSAGES)
async def test_no_message_takes_long(world, text):
    assert LARGEST - 16 <= len(text) <= LARGEST
    session = a_session(world.feed, auth=False, most=100)
    assert not is_long(take(handle, session, text.decode()))


def in_fragments(first, other):
    """Return as many frames as there may be, each message in as many as it may have."""
    most = next(count for count in range(DEFAULTS.max_fragments, 1, -1) if FRAMES % count == 0)
    between = frame(other, CONTINUATION, final=False) * (most - 2)
    return (frame(first, TEXT, final=False) + between + frame(other, CONTINUATION)) * (FRAMES // most)


SMALLEST = {
    "empty fragments": in_fragments(b"", b""),
    "small fragments": in_fragments(b"x", "ñ".encode()),
    "empty messages": frame(b"") * FRAMES,
    "pings": frame(b"", PING) * FRAMES,
    "large pings": frame(b"x" * 125, PING) * FRAMES,
    "pongs": frame(b"", PONG) * FRAMES,
    "subscriptions": frame(object_of()) * FRAMES,
    "unknown types": frame(b'{"type":"x"}') * FRAMES,
}


@pytest.mark.parametrize("data", SMALLEST.values(), ids=SMALLEST)
async def test_no_run_of_frames_takes_long(world, data):
    async def send():
        client = world.connect(data[:65_536])
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.stream.aclose()
        await client.ended.wait()
        assert [code for code, _ in world.metrics.closes if code == "4029"] == [], "all of them were received"

    await check_best_of(send)


@pytest.mark.parametrize("size", [1, 1000, 65_536])
async def test_no_large_message_takes_long_however_it_is_cut(world, nursery, size):
    sent = frame(MESSAGES["escapes"])

    async def send():
        client = world.connect()
        nursery.start_soon(partial(drink, client))
        for at in range(0, 5000 if size == 1 else len(sent), size):
            await client.stream.send_all(sent[at : at + size])
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert client.ended.is_set() is False

    await check_best_of(send)


async def test_message_sent_byte_by_byte_ends_the_connection():
    """Each byte has a turn of the event loop."""
    async with gateway(messages_per_second=1) as world:
        client = await world.client()
        sent = frame(MESSAGES["escapes"])
        received = 0
        while world.registry.connections and received < len(sent):
            await client.stream.send_all(sent[received : received + 1])
            await trio.testing.wait_all_tasks_blocked()
            received += 1
        assert await client.closed_with() == (4029, "rate_limited")
        assert received >= 10 * PIECES_PER_FRAME
        await client.stream.aclose()
        await world.until_nobody_is_left()
        assert world.metrics.closes == {("4029", "service"): 1}


async def drink(client):
    async for _ in client.stream:
        pass
