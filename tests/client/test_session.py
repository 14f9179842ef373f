"""The client against a gateway of a few lines, which says what a test has written down for it."""

import math
import socket
import struct
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count

import pytest
import trio
from attrs import evolve
from trio_websocket import ConnectionClosed

from mesaya_ws.client import connection
from mesaya_ws.client.session import Connected, Disconnected, Event, RefusedError, Subscribed
from tests.support.scripted_gateway import CHANNEL, QUICK, Gateway, connect, event, receive, say
from tests.timing import PATIENCE

CHAT = "restaurant:r1:chat:u1"


async def never_mind(websocket, received):
    """Serve a connection that says nothing, and lasts."""
    await trio.sleep_forever()


async def closing(websocket, received):
    """Read until the client closes, and keep the code."""
    with pytest.raises(ConnectionClosed) as closed:
        await websocket.get_message()
    received.append(closed.value.reason.code)


async def test_end_of_a_session_is_the_closing_handshake_and_not_its_timeout():
    gateway = Gateway(closing)
    with trio.fail_after(PATIENCE):
        async with gateway.serving() as url:
            async with connect(url, timings=evolve(QUICK, close_timeout=math.inf)) as session:
                while not session.connected:  # noqa: ASYNC110 - a socket lies between
                    await trio.sleep(0.001)
            while not gateway.received[0]:  # noqa: ASYNC110 - a socket lies between
                await trio.sleep(0.001)
    assert gateway.received == [[1000]]


async def test_session_that_is_cancelled_sends_its_close_frame():
    gateway = Gateway(closing)
    with trio.fail_after(PATIENCE):
        async with gateway.serving() as url:
            with trio.CancelScope() as scope:
                async with connect(url) as session:
                    while not session.connected:  # noqa: ASYNC110 - a socket lies between
                        await trio.sleep(0.001)
                    scope.cancel()
            while not gateway.received[0]:  # noqa: ASYNC110 - a socket lies between
                await trio.sleep(0.001)
    assert gateway.received == [[1000]]


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


async def test_session_receives_events():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert await anext(session) == Event(CHANNEL, "table.updated", 1, "t", "p1")
        assert session.connected
        assert session.positions == {CHANNEL: "p1"}
    assert gateway.received == [[{"type": "subscribe", "channel": CHANNEL}]]


async def test_session_reconnects_with_its_position():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        await websocket.aclose(1012, "service_restart")

    async def second(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p1", recovered=True, replayed=1)
        await say(websocket, **event(2))
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL, snapshot=True)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(2)] == [1, 2]
    assert [messages[0].get("position") for messages in gateway.received] == [None, "p1"]
    assert gateway.received[0][0]["snapshot"] is True


async def test_session_with_positions_of_an_earlier_one_resumes():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p7", recovered=False, reason="expired")
        await say(websocket, type="snapshot", channel=CHANNEL, position="p7", complete=True, data={"tables": []})
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url, {CHANNEL: "p3"}) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            lost, snapshot = await anext(session), await anext(session)
    assert (lost.type, lost.data, snapshot.type, snapshot.data) == ("gap", "expired", "snapshot", {"tables": []})
    assert gateway.received[0][0]["position"] == "p3"


async def test_refused_subscription_is_raised():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="error", code="unauthorized", message="Private.", channel=CHANNEL)

    async with Gateway(script).serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError, match="Private") as caught:
            await anext(session)
    assert caught.value.code == "unauthorized"


async def test_session_that_ends_closes_with_1000():
    ends, ended = [], trio.Event()

    async def serve(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        try:
            for number in count():  # of which only the first is taken
                await say(websocket, **event(number))
        except ConnectionClosed as closed:
            ends.append(closed.reason.code)
            ended.set()

    async def interrupted(url):
        async with connect(url) as session:
            await session.subscribe(CHANNEL)
            await anext(session)
            raise KeyboardInterrupt

    with trio.fail_after(PATIENCE):
        async with Gateway(serve).serving() as url:
            with pytest.raises(BaseExceptionGroup):
                await interrupted(url)
            await ended.wait()
    assert ends == [1000]


async def test_session_that_was_refused_closes_with_1000():
    ends = []

    async def refuse(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="error", code="unauthorized", message="No.", channel=CHANNEL)
        try:
            await receive(websocket, received)
        except ConnectionClosed as closed:
            ends.append(closed.reason.code)

    with trio.fail_after(PATIENCE):
        async with Gateway(refuse).serving() as url, connect(url) as session:
            await session.subscribe(CHANNEL)
            with pytest.raises(RefusedError):
                await anext(session)
    assert ends == [1000]


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


REFUSED = b'{"error": {"code": "origin_not_allowed", "message": "Not you."}}'


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
    assert notices[-1] == Connected("c-1")


async def test_notices_cover_connections_and_subscriptions():
    async def first(websocket, received):
        await say(websocket, type="welcome", connection="c-1")
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await websocket.aclose(1012, "service_restart")

    async def second(websocket, received):
        await say(websocket, type="welcome", connection="c-2")
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0", recovered=True, replayed=0)
        await say(websocket, **event(1))
        await trio.sleep_forever()

    notices = []
    async with Gateway(first, second).serving() as url, connect(url, notify=notices.append) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            await anext(session)
    assert notices == [
        Connected("c-1"),
        Subscribed(CHANNEL, None),
        Disconnected("This instance is going away; another takes over"),
        Connected("c-2"),
        Subscribed(CHANNEL, True),
    ]


async def test_second_subscribe_sends_nothing():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        await say(websocket, **event(2))
        while True:
            await receive(websocket, received)
            await say(websocket, **event(3))

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
            await session.subscribe(CHANNEL, snapshot=True)
            await session.unsubscribe("another")
            assert [(await anext(session)).data for _ in range(2)] == [2, 3]
    assert [message["type"] for message in gateway.received[0]] == ["subscribe", "unsubscribe"]


async def test_outdated_answers_are_no_events():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(0))
        for _ in range(2):
            await receive(websocket, received)
        await say(websocket, type="unsubscribed", channel=CHANNEL)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, type="news of a later version", channel=CHANNEL)
        await say(websocket, **event(1))
        await trio.sleep_forever()

    async with Gateway(script).serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 0
            await session.unsubscribe(CHANNEL)
            await session.subscribe(CHANNEL)
            assert (await anext(session)).data == 1


async def test_handshake_without_an_answer_times_out():
    came, expired_parents = count(1), trio.Event()

    async def stay_silent(stream):
        number = next(came)
        # The end, or a reset.
        with suppress(trio.BrokenResourceError):
            async for _ in stream:
                pass
        if number == 2:
            expired_parents.set()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, stay_silent, 0, host="127.0.0.1"))
        async with connect(
            f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws", timings=evolve(QUICK, connect_timeout=0.05)
        ) as session:
            with trio.fail_after(PATIENCE):
                await expired_parents.wait()
            assert not session.connected
        nursery.cancel_scope.cancel()


async def test_silent_connection_is_replaced():

    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(2))
        await trio.sleep_forever()

    gateway = Gateway(never_mind, script)
    async with gateway.serving() as url, connect(url, timings=evolve(QUICK, ping_interval=0.5)) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 2


async def test_missing_snapshot_is_requested_again():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p1")
        await websocket.aclose(1012)

    async def second(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p2")
        await say(websocket, type="snapshot", channel=CHANNEL, position="p2", complete=False, data="all")
        await websocket.aclose(1012)

    async def third(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p3", recovered=False, reason="expired")
        await websocket.aclose(1012)

    gateway = Gateway(first, second, third, third, never_mind)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL, snapshot=True)
        with trio.fail_after(PATIENCE):
            snapshot, lost, lost_again = [await anext(session) for _ in range(3)]
    assert (snapshot.data, snapshot.complete) == ("all", False)
    assert lost.type == lost_again.type == "gap"
    asked = [messages[0] for messages in gateway.received[:4]]
    assert [("snapshot" in message, message.get("position")) for message in asked] == [
        (True, None),
        (True, None),
        (False, "p2"),
        (False, "p2"),
    ]


async def test_channels_changed_while_reconnecting_are_respected():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="error", code="not_subscribed", channel=CHANNEL, message="Not subscribed.")
        await say(websocket, **event(1))
        await say(websocket, type="pong", positions={CHANNEL: "p1", "another": "p2"})
        await say(websocket, **(event(2) | {"channel": "another"}))
        await trio.sleep_forever()

    async with Gateway(script).serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        await session.subscribe("another")
        await session.unsubscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).channel == "another"
        assert session.positions == {"another": "p2"}


async def test_positions_of_quiet_channels_advance_by_pongs():

    async def script(websocket, received):
        for _ in range(2):
            await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        assert (await receive(websocket, received))["type"] == "ping"
        await say(websocket, type="pong", positions={CHANNEL: "p9"})
        await say(websocket, **(event(1) | {"channel": "another"}))
        await trio.sleep_forever()

    async with Gateway(script).serving() as url, connect(url, timings=evolve(QUICK, ping_interval=1.0)) as session:
        await session.subscribe(CHANNEL)
        await session.subscribe("another")
        with trio.fail_after(PATIENCE):
            await anext(session)
        assert session.positions[CHANNEL] == "p9"


# Moving to another instance


async def test_session_moves_without_a_gap():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        gateway.admits = trio.Event()
        await say(websocket, type="going_away", within=5.0)
        await say(websocket, **event(1))
        await moved.wait()
        with suppress(ConnectionClosed):
            await say(websocket, **event(2))  # it comes on the other connection
            await websocket.get_message()
        assert websocket.closed.code == 1000
        left.set()

    async def second(websocket, received):
        await receive(websocket, received)
        moved.set()
        await say(websocket, type="subscribed", channel=CHANNEL, position="p1", recovered=True, replayed=1)
        await say(websocket, **event(2))
        await receive(websocket, received)
        await say(websocket, **event(3))
        await trio.sleep_forever()

    moved, left = trio.Event(), trio.Event()
    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
            gateway.admits.set()
            assert (await anext(session)).data == 2
            await session.unsubscribe("what is said goes to the new one")
            assert (await anext(session)).data == 3
            await left.wait()
    assert gateway.received[1][0] == {"type": "subscribe", "channel": CHANNEL, "position": "p1"}


async def test_events_under_way_during_a_move_arrive_once():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, type="going_away", within=5.0)
        for number in range(1, 1000):
            await say(websocket, **event(number))
        await trio.sleep_forever()

    async def second(websocket, received):
        place = (await receive(websocket, received)).get("position", "p0")
        await say(websocket, type="subscribed", channel=CHANNEL, position=place, recovered=True)
        for number in range(int(place[1:]) + 1, 1000):
            await say(websocket, **event(number))
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(999)] == list(range(1, 1000))
    assert len(gateway.received) == 2


async def test_session_stays_until_the_next_instance_accepts():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="going_away", within=5.0)
        await refused.wait()
        await say(websocket, **event(1))
        gateway.scripts.append(second)
        await trio.sleep_forever()

    async def second(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(2))
        await trio.sleep_forever()

    class Busy(Gateway):
        async def _serve(self, request):
            if self.received and not self.scripts:
                refused.set()
            await super()._serve(request)

    refused = trio.Event()
    gateway = Busy(first)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(2)] == [1, 2]
    assert len(gateway.received) == 2


async def test_refusal_by_the_next_instance_keeps_the_present_connection():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="going_away", within=5.0)
        await refused.wait()
        await say(websocket, **event(1))
        await websocket.aclose(1012)

    class Strict(Gateway):
        async def _serve(self, request):
            if self.received:
                refused.set()
                await request.reject(403, body=REFUSED)
            else:
                await super()._serve(request)

    refused = trio.Event()
    async with Strict(first).serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
            with pytest.raises(RefusedError):
                await anext(session)


async def test_instance_that_closes_before_the_move_is_replaced():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(1))
        await say(websocket, type="going_away", within=0.0)
        await websocket.aclose(1012)

    async def later(websocket, received):
        place = (await receive(websocket, received))["position"]
        for number in range(int(place[1:]) + 1, 100):
            await say(websocket, **event(number))
        with suppress(ConnectionClosed):
            await websocket.get_message()

    gateway = Gateway(first, later, later, later)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(99)] == list(range(1, 100))


async def test_snapshot_instead_of_missed_events_is_preceded_by_a_gap():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(
            websocket,
            type="snapshot",
            channel=CHANNEL,
            position="p7",
            recovered=False,
            reason="expired",
            complete=True,
            data={"tables": []},
        )
        await trio.sleep_forever()

    async with Gateway(script).serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            lost, snapshot = await anext(session), await anext(session)
    assert (lost.type, lost.data, snapshot.type, snapshot.position) == ("gap", "expired", "snapshot", "p7")


async def test_unsubscribe_forgets_the_position():
    async def script(websocket, received):
        for _ in range(2):
            await receive(websocket, received)
        await say(websocket, **(event(1) | {"channel": "another"}))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        await session.subscribe("another")
        with trio.fail_after(PATIENCE):
            await anext(session)
        session.positions[CHANNEL] = "p"
        await session.unsubscribe(CHANNEL)
        assert session.positions == {"another": "p1"}


async def test_who_is_there_and_who_types_are_events_without_a_position():
    said = [
        {"type": "presence", "channel": CHAT, "guest": True, "restaurant": False},
        {"type": "chat.typing", "channel": CHAT, "data": {"by": "restaurant", "typing": True}},
    ]

    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHAT, position="p0")
        for message in said:
            await say(websocket, **message)
        await receive(websocket, received)
        await websocket.aclose(1012, "service_restart")

    async def second(websocket, received):
        await receive(websocket, received)
        await say(websocket, **said[0])
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        chat = session.chat("r1", "u1")
        await session.subscribe(chat.channel, presence=True)
        with trio.fail_after(PATIENCE):
            events = [await anext(session) for _ in range(2)]
            await chat.typing()
            assert (await anext(session)).type == "presence", "on the next connection"
    assert [(event.type, event.data, event.position) for event in events] == [
        ("presence", {"guest": True, "restaurant": False}, None),
        ("chat.typing", {"by": "restaurant", "typing": True}, None),
    ]
    subscribe = {"type": "subscribe", "channel": CHAT, "presence": True}
    assert gateway.received[0] == [subscribe, {"type": "typing", "channel": CHAT, "typing": True, "id": "typing"}]
    assert gateway.received[1][0] == {**subscribe, "position": "p0"}
