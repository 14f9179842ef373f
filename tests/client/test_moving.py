"""A session that moves to another instance misses nothing, and repeats nothing."""

from contextlib import suppress
from functools import partial
from itertools import count

import pytest
import trio
from trio_websocket import ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from mesaya_ws.client.connection import NotConnectedError
from mesaya_ws.client.credentials import Credentials
from mesaya_ws.client.link import Link
from mesaya_ws.client.session import Disconnected, RefusedError
from tests.support.scripted_gateway import CHANNEL, QUICK, REFUSED, Gateway, connect, event, receive, say
from tests.timing import PATIENCE

PING = b"\x89\x00"


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


async def test_session_whose_connection_ends_during_its_move_dials_no_third_one():
    async def first(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="going_away", within=5.0)
        await say(websocket, type="going_away", within=5.0)
        await dialled.wait()
        await websocket.aclose(1012)

    async def second(websocket, received):
        await receive(websocket, received)
        for number in count(1):
            await say(websocket, **event(number))
            await receive(websocket, received)

    class Slow(Gateway):
        """Accepts the second one only when the first has ended, and the session has had the time to dial again."""

        async def _serve(self, request):
            requests.append(request)
            if len(requests) == 2:
                dialled.set()
                await ended.wait()
            await super()._serve(request)

    def notify(notice):
        if isinstance(notice, Disconnected):
            ended.set()

    requests, dialled, ended = [], trio.Event(), trio.Event()
    async with Slow(first, second).serving() as url, connect(url, notify=notify) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            # What was dialled in between has been met by the gateway when this is answered.
            for number in range(1, 20):
                assert (await anext(session)).data == number
                await session.unsubscribe("another channel")
    assert len(requests) == 2


async def test_connection_that_breaks_while_it_is_closed_after_a_move_is_not_dialled_again():
    """A ping that crosses the close frame is answered by nobody: trio-websocket counts that as a fault."""
    dialled, closed = count(1), trio.Event()

    async def serve(stream):
        number, websocket = next(dialled), WSConnection(ConnectionType.SERVER)
        while data := await stream.receive_some():
            websocket.receive_data(data)
            for what in websocket.events():
                match what:
                    case Request():
                        await stream.send_all(websocket.send(AcceptConnection()))
                        await stream.send_all(websocket.send(TextMessage(str(number))))
                    case TextMessage():
                        await stream.send_all(websocket.send(what))
                    case CloseConnection():
                        await stream.send_all(PING)
        closed.set()

    async def talk(websocket):
        try:
            if await websocket.get_message() == "1":
                link.move()
            else:
                await closed.wait()
                # What was dialled meanwhile has been met when so many are answered.
                for _ in range(50):
                    await websocket.send_message("x")
                    await websocket.get_message()
                nursery.cancel_scope.cancel()
            await websocket.get_message()
        except ConnectionClosed:
            raise NotConnectedError("closed") from None

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            credentials = Credentials(None, None, (), QUICK)
            link = Link(f"ws://127.0.0.1:{port}/ws", credentials, lambda notice: None, QUICK, None)
            nursery.start_soon(link.run, talk)
    assert next(dialled) == 3
