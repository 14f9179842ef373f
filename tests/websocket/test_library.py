"""What is used of trio-websocket without being promised by it."""

import inspect
from contextlib import suppress
from importlib.metadata import version

import pytest
import trio
import trio.testing
from trio_websocket import WebSocketConnection

from mesaya_ws.websocket.library import ConnectionClosed, open_websocket
from tests.wire import CLOSE, PING, PONG, close, frame, split

PATIENCE = 10.0
LONGEST = 100


class Client:
    """The client of an open WebSocket; the service's end is `websocket`."""

    def __init__(self, nursery):
        self._to, self._from = trio.testing.MemoryReceiveStream(), trio.testing.MemorySendStream()
        self.websocket = open_websocket(trio.StapledStream(self._from, self._to), nursery, LONGEST)

    def send(self, data):
        self._to.put_data(data)

    def leave(self):
        self._to.put_eof()

    async def answers(self):
        """Return the frames that have been sent to it, once nothing more happens."""
        await trio.testing.wait_all_tasks_blocked()
        with suppress(trio.WouldBlock):
            frames, rest = split(bytes(self._from.get_data_nowait()))
            assert rest == b""
            return frames
        return []


@pytest.fixture
def client(nursery):
    return Client(nursery)


async def ended(websocket):
    """Return the code with which a WebSocket has ended."""
    with trio.fail_after(PATIENCE), pytest.raises(ConnectionClosed) as caught:
        await websocket.get_message()
    return caught.value.reason.code


def test_its_version_and_its_reading_task_are_those_that_were_looked_at():
    assert version("trio-websocket").startswith("0.12.")
    assert inspect.iscoroutinefunction(WebSocketConnection._reader_task)
    assert list(inspect.signature(WebSocketConnection._reader_task).parameters) == ["self"]


async def test_no_handshake_is_made(client):
    assert client.websocket.is_server
    assert await client.answers() == []


async def test_messages_arrive_whole_and_in_order(client):
    client.send(frame(b"one") + frame(b"tw", final=False) + frame(b"o", 0) + frame(b"three"))
    with trio.fail_after(PATIENCE):
        assert [await client.websocket.get_message() for _ in range(3)] == ["one", "two", "three"]


async def test_what_the_protocol_asks_is_answered(client):
    client.send(frame(b"here?", PING))
    assert await client.answers() == [(PONG, b"here?")]
    client.send(close(1000))
    assert await client.answers() == [(CLOSE, (1000).to_bytes(2))]
    assert await ended(client.websocket) == 1000


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\xff"), 1007),
        (frame(b"\xe2\x82"), 1007),
        (frame(b"x", mask=None), 1002),
        (frame(b"x", reserved=4), 1002),
        (frame(b"x", 0x3), 1002),
        (frame(b"x", 0xB), 1002),
        (frame(b"x", 0), 1002),
        (frame(b"x", final=False) + frame(b"x"), 1002),
        (frame(b"x", PING, final=False), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"\x03", CLOSE), 1002),
        (close(1005), 1002),
        (close(999), 1002),
    ],
)
async def test_what_breaks_the_protocol_ends_it_and_is_left_to_us_to_answer(client, sent, code):
    client.send(sent)
    assert await ended(client.websocket) == code
    assert await client.answers() == []


async def test_a_client_that_leaves_without_a_word(client):
    client.leave()
    assert await ended(client.websocket) == 1006


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, CLOSE, PING, PONG])
async def test_what_comes_behind_a_close_is_nothing(client, opcode):
    client.send(close(1000) + frame(b"\x03\xe8", opcode) * 3)
    assert await client.answers() == [(CLOSE, (1000).to_bytes(2))]
    assert await ended(client.websocket) == 1000
