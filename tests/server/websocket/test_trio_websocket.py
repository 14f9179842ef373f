"""What is used of trio-websocket without being promised by it."""

import inspect
from contextlib import suppress
from importlib.metadata import version

import pytest
import trio
import trio.testing
from trio_websocket import WebSocketConnection

from mesaya_ws.server.websocket.trio_websocket import WebSocket
from tests.support.wire import CLOSE, PING, PONG, close, frame, split
from tests.timing import PATIENCE


class Client:
    """The client of an open WebSocket; the service's end is `websocket`, and `received` is what arrived there."""

    def __init__(self, nursery):
        self._to, self._from = trio.testing.MemoryReceiveStream(), trio.testing.MemorySendStream()
        self.received = []
        self.websocket = WebSocket(trio.StapledStream(self._from, self._to), self.received.append)
        self.ended = trio.Event()
        nursery.start_soon(self._serve)

    async def _serve(self):
        await self.websocket.run()
        self.ended.set()

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


async def ended(client):
    """Return the code with which a WebSocket has ended."""
    with trio.fail_after(PATIENCE):
        await client.ended.wait()
    return client.websocket.closed.code


def test_version_and_private_names_of_trio_websocket_are_the_checked_ones():
    assert version("trio-websocket").startswith("0.12.")
    assert inspect.iscoroutinefunction(WebSocketConnection._reader_task)
    assert list(inspect.signature(WebSocketConnection._reader_task).parameters) == ["self"]
    assert inspect.iscoroutinefunction(WebSocketConnection._handle_message_event)
    assert list(inspect.signature(WebSocketConnection._handle_message_event).parameters) == ["self", "event"]


async def test_no_handshake_is_made(client):
    assert client.websocket.is_server
    assert await client.answers() == []


async def test_messages_arrive_whole_and_in_order(client):
    client.send(frame(b"one") + frame(b"tw", final=False) + frame(b"o", 0) + frame(b"three"))
    assert await client.answers() == []
    assert client.received == ["one", "two", "three"]


async def test_the_pieces_of_a_frame_are_put_together(client):
    whole = frame("ñandú".encode() * 3)
    for at in range(len(whole)):
        client.send(whole[at : at + 1])
        assert await client.answers() == []
    assert client.received == ["ñandú" * 3]


async def test_others_have_their_turn_between_the_messages_of_one_client(client, nursery):
    turns = []

    async def other():
        while len(client.received) < 9:
            turns.append(len(client.received))
            await trio.lowlevel.checkpoint()

    nursery.start_soon(other)
    client.send(frame(b"x") * 9)
    await trio.testing.wait_all_tasks_blocked()
    assert len(turns) >= 8


async def test_who_is_cancelled_while_it_heeds_a_message_is_given_no_other():
    received = []
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:

        def on_message(text):
            received.append(text)
            scope.cancel()

        stream = trio.StapledStream(trio.testing.MemorySendStream(), trio.testing.MemoryReceiveStream())
        stream.receive_stream.put_data(frame(b"1") + frame(b"2"))
        await WebSocket(stream, on_message).run()
    assert received == ["1"]


@pytest.mark.parametrize("fault", [KeyError("x"), ValueError("x")])
async def test_a_fault_in_heeding_a_message_is_not_kept_from_whoever_reads(fault):
    def on_message(_):
        raise fault

    stream = trio.StapledStream(trio.testing.MemorySendStream(), trio.testing.MemoryReceiveStream())
    stream.receive_stream.put_data(frame(b"1"))
    with trio.fail_after(PATIENCE), pytest.raises((RuntimeError, ValueError)) as caught:
        await WebSocket(stream, on_message).run()
    assert fault in (caught.value, caught.value.__cause__)


async def test_what_the_protocol_asks_is_answered(client):
    client.send(frame(b"here?", PING))
    assert await client.answers() == [(PONG, b"here?")]
    client.send(close(1000))
    assert await client.answers() == [(CLOSE, (1000).to_bytes(2))]
    assert await ended(client) == 1000


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
    assert await ended(client) == code
    assert await client.answers() == []


async def test_a_client_that_leaves_without_a_word(client):
    client.leave()
    assert await ended(client) == 1006


@pytest.mark.parametrize("opcode", [0x0, 0x1, 0x2, CLOSE, PING, PONG])
async def test_frames_after_a_close_are_ignored(client, opcode):
    client.send(close(1000) + frame(b"\x03\xe8", opcode) * 3)
    assert await client.answers() == [(CLOSE, (1000).to_bytes(2))]
    assert await ended(client) == 1000
