"""How a session connects, and keeps trying: answers that are none of a gateway, refusals, hosts that are away."""

import socket
import struct
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count

import pytest
import trio
from trio_websocket import ConnectionClosed

from mesaya_ws.client import connection
from mesaya_ws.client.session import Connected, Disconnected, RefusedError
from tests.support.scripted_gateway import CHANNEL, REFUSED, Gateway, connect, event, receive, say
from tests.timing import PATIENCE


@asynccontextmanager
async def answering(*answers):
    """Listen, say the next of the answers to each who connects, and hang up; give the url, and the end of answers."""
    answers, out_of_answers = list(answers), trio.Event()

    async def answer(stream):
        await stream.receive_some()
        if answers:
            with suppress(trio.BrokenResourceError):  # who connects need not receive all of it
                await stream.send_all(answers.pop(0))
        else:
            out_of_answers.set()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws", out_of_answers
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("code", "name"), [(4029, "rate_limited"), (1009, "message_too_big")])
async def test_close_code_without_reconnecting_is_raised(code, name):
    async def script(websocket, received):
        await websocket.aclose(code, name)

    async with Gateway(script).serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError) as caught:
            await anext(session)
    assert caught.value.code == name


async def test_session_without_a_gateway_keeps_trying():
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with connect(f"ws://127.0.0.1:{port}/ws") as session:
        await session.subscribe(CHANNEL)
        assert not session.connected
        with trio.move_on_after(0.2) as scope:
            await anext(session)
        assert scope.cancelled_caught


async def test_session_whose_connections_are_reset_keeps_trying():
    came = trio.Event()

    async def reset(stream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        if next(numbers) == 20:
            came.set()

    numbers = count(1)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, reset, 0, host="127.0.0.1"))
        async with connect(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws") as session:
            with trio.fail_after(PATIENCE):
                await came.wait()
            assert not session.connected
        nursery.cancel_scope.cancel()


async def test_session_whose_handshakes_break_keeps_trying():
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    async with answering(b"", b"HTTP/1.1 101", busy) as (url, out_of_answers), connect(url) as session:
        with trio.fail_after(PATIENCE):
            await out_of_answers.wait()
        assert not session.connected


def answer(status, body=b"", *headers):
    """Return a whole HTTP answer."""
    lines = (f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers, b"", body)
    return b"\r\n".join(lines)


async def test_refused_handshake_is_raised():
    async with answering(answer("403 Forbidden", REFUSED)) as (url, _), connect(url) as session:
        with trio.fail_after(PATIENCE):
            with pytest.raises(RefusedError, match="Not you") as caught:
                await anext(session)
            assert [event async for event in session] == [], "there is nothing more"
    assert caught.value.code == "origin_not_allowed"


NO_GATEWAY = "what answers there does not open a WebSocket: see host and port"
DRAINING = b'{"error": {"code": "draining", "message": "This instance is going away; connect again."}}'


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answer("404 Not Found", b"404 page not found\n"), "the answer is 404, not a WebSocket"),
        (answer("403 Forbidden", b'{"error": {"code": 403, "message": "no"}}'), "the answer is 403, not a WebSocket"),
        (answer("403 Forbidden", b'{"error": "Forbidden"}'), "the answer is 403, not a WebSocket"),
        (answer("200 OK", b"<html>"), "the answer is 200, not a WebSocket"),
        (
            answer("301 Moved", b"", b"Location: https://else.example/?token=hunter2"),
            "the answer is 301 and names 'https://else.example/', not a WebSocket",
        ),
        (answer("503 Busy", DRAINING), "This instance is going away; connect again"),
        (answer("503 Busy", b"", b"X-A : b"), NO_GATEWAY),
        (b"hello\r\n\r\n", NO_GATEWAY),
        (b"\x15\x03\x01\x00\x02\x02\x46", "what answers there speaks TLS: the URL begins with wss://"),
        (b"\0\0\x12\4\0\0\0\0\0", NO_GATEWAY),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            NO_GATEWAY,
        ),
        (
            b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            NO_GATEWAY,
        ),
        (
            answer("404 Not Found", bytes(2 * connection.MAX_ANSWER_BYTES)),
            NO_GATEWAY,
        ),
        (b"", "the connection ended before it was open"),
    ],
    ids=[
        *("no page", "a foreign error", "another foreign error", "a page", "elsewhere", "going away", "a bad header"),
        *("no HTTP", "TLS", "HTTP/2", "no proof", "a wrong proof", "too much", "nothing"),
    ],
)
async def test_answer_of_another_server_is_reported_and_tried_again(answer, reason):
    notices = []
    async with answering(answer, answer) as (url, out_of_answers), connect(url, notify=notices.append) as session:
        with trio.fail_after(PATIENCE):
            await out_of_answers.wait()
        assert not session.connected
    assert notices[:2] == [Disconnected(reason)] * 2


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1:{closed}", "nothing listens there"),
        ("a..b", "a..b cannot be the name of a host"),
    ],
)
async def test_unreachable_host_is_reported_with_the_reason(host, reason):
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    receive, notices = trio.open_memory_channel(1)
    with trio.fail_after(PATIENCE):
        async with connect(f"ws://{host.format(closed=port)}/ws", notify=receive.send_nowait):
            assert await notices.receive() == Disconnected(reason)


class FailingResolver(trio.abc.HostnameResolver):
    """Knows no name."""

    async def getaddrinfo(self, *_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_):
        raise NotImplementedError


async def test_unresolvable_name_is_reported():
    trio.socket.set_custom_hostname_resolver(FailingResolver())
    receive, notices = trio.open_memory_channel(1)
    try:
        with trio.fail_after(PATIENCE):
            async with connect("ws://gateway.example/ws", notify=receive.send_nowait):
                reason = (await notices.receive()).reason
    finally:
        trio.socket.set_custom_hostname_resolver(None)
    assert reason == "the name gateway.example cannot be resolved (Name or service not known)"


@pytest.mark.parametrize("url", ["http://h/ws", "ws://", "ws://h:0/ws", "ws://h:99999/ws", "ws://[/ws", "/ws", ""])
async def test_url_of_no_websocket_is_an_error_at_once(url):
    with pytest.raises(ValueError, match=r"."):
        async with connect(url):
            pass


async def test_handshake_has_the_whole_resource_and_no_user():
    asked, came = [], trio.Event()

    async def note(stream):
        asked.append((await stream.receive_some()).split(b"\r\n"))
        came.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, note, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        async with connect(f"ws://ann:secret@127.0.0.1:{port}/ws?token=abc&x=%20#part"):
            with trio.fail_after(PATIENCE):
                await came.wait()
        nursery.cancel_scope.cancel()
    assert asked[0][0] == b"GET /ws?token=abc&x=%20 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}".encode() in asked[0]


@pytest.mark.parametrize("text", ["hello", "[1]", "{}", '{"type": 5}'])
async def test_websocket_of_another_server_is_left_and_tried_again(text):
    async def foreign(websocket, received):
        await websocket.send_message(text)
        with suppress(ConnectionClosed):
            await websocket.get_message()

    async def script(websocket, received):
        await say(websocket, type="welcome", connection="c-1")
        await receive(websocket, received)
        await say(websocket, **event(1))
        await trio.sleep_forever()

    notices = []
    gateway = Gateway(foreign, script)
    async with gateway.serving() as url, connect(url, notify=notices.append) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
    assert notices[0] == Disconnected("what answers there is not the gateway: it sends something else")
    assert Connected("c-1") in notices[1:]
