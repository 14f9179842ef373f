"""Connections that take nothing, machines that are too busy to read, and callers that are cancelled meanwhile."""

import random
from contextlib import asynccontextmanager

import pytest
import trio

from mesaya_ws.client.connection import NotConnectedError
from mesaya_ws.client.credentials import Credentials
from mesaya_ws.client.session import Connected, Disconnected, connect
from mesaya_ws.client.timings import DEFAULTS
from tests.client.model_gateway import CHANNELS, Gateway, Session
from tests.client.model_network import SEND_BUFFER, Network
from tests.client.model_program import URL

CHANNEL = CHANNELS[0]


@asynccontextmanager
async def serving():
    """Have a gateway of a few lines, which is a moment away."""
    async with trio.open_nursery() as nursery:
        network = Network(nursery, random.Random(1), slowness=0.01)
        trio.socket.set_custom_socket_factory(network)
        gateway = Gateway(network, random.Random(1))
        network.on_connect = gateway.on_connect
        yield gateway
        nursery.cancel_scope.cancel()


async def test_message_that_came_while_the_machine_was_too_busy_to_read_is_no_silence(autojump_clock):
    notices = []
    async with serving() as gateway, connect(URL, notify=notices.append) as session:
        await session.subscribe(CHANNEL)
        await trio.sleep(1)
        gateway.publish(CHANNEL)
        autojump_clock.jump(1_000)
        assert (await anext(session)).data == 1
        await trio.sleep(1)
    assert not [notice for notice in notices if isinstance(notice, Disconnected)]


async def test_connection_that_takes_nothing_from_the_beginning_is_replaced(autojump_clock):
    """Where there are many channels, that is before the client waits for anything to come."""

    class Mute(Session):
        def _send(self, event):
            self.line.down(self._websocket.send(event), then=self.line.silence)

    def mute(line):
        line.peer = Mute(gateway, line)
        gateway.network.on_connect = gateway.on_connect

    channels, notices = {f"restaurant:{number}:tables" for number in range(100)}, []
    async with serving() as gateway:
        gateway.network.on_connect = mute
        async with connect(URL, notify=notices.append) as session:
            for channel in channels:
                await session.subscribe(channel)
            await trio.sleep(2 * DEFAULTS.ping_interval + 5)
            [again] = gateway.sessions.values()
            assert set(again.places) == channels
    assert [type(notice) for notice in notices[:2]] == [Disconnected, Connected]
    assert notices[0] == Disconnected("the connection does not take what is sent")


async def test_subscription_whose_caller_is_cancelled_while_it_is_sent_is_made_all_the_same(autojump_clock):
    async with serving() as gateway, connect(URL) as session:
        await trio.sleep(1)
        [line] = gateway.sessions
        line.silence()
        line.undelivered = SEND_BUFFER + 1
        with trio.move_on_after(1) as patience:
            await session.subscribe(CHANNEL)
        assert patience.cancelled_caught
        await trio.sleep(5)
        [again] = gateway.sessions.values()
        assert set(again.places) == {CHANNEL}


async def test_caller_that_is_cancelled_leaves_its_channel_all_the_same(autojump_clock):
    notices = []
    async with serving() as gateway, connect(URL, notify=notices.append) as session:
        await session.subscribe(CHANNEL)
        await trio.sleep(1)
        [there] = gateway.sessions.values()
        assert set(there.places) == {CHANNEL}
        with trio.CancelScope() as scope:
            scope.cancel()
            await session.unsubscribe(CHANNEL)
        await trio.sleep(1)
        assert not there.places
    assert not [notice for notice in notices if isinstance(notice, Disconnected)]


async def test_token_that_does_not_come_is_asked_for_again(autojump_clock):
    asked = []

    async def token():
        asked.append(trio.current_time())
        if len(asked) == 1:
            await trio.sleep_forever()
        return gateway.issue(900)

    async with serving() as gateway, connect(URL, token=token) as session:
        await trio.sleep(DEFAULTS.token_timeout + 2)
        assert session.connected
    assert len(asked) == 2
    with pytest.raises(NotConnectedError, match="none within 30 s"):
        await Credentials(trio.sleep_forever).token_now()
