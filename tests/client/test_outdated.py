"""What is still on its way of a subscription that a program has left is none of the one that it has begun since."""

import pytest
import trio

from mesaya_ws.client.channels import Channels
from mesaya_ws.client.session import Event, RefusedError, Subscribed
from tests.support.scripted_gateway import CHANNEL, Gateway, connect, event, receive, say
from tests.timing import PATIENCE


async def test_what_is_on_its_way_of_a_subscription_before_does_not_count():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(1))
        await receive(websocket, received)
        for message in (
            event(2),
            {"type": "snapshot", "channel": CHANNEL, "position": "p3", "complete": True, "data": {}},
            {"type": "presence", "channel": CHANNEL, "viewers": 1},
            {"type": "subscribed", "channel": CHANNEL, "id": 1, "position": "p3"},
            {"type": "error", "code": "unauthorized", "message": "No.", "channel": CHANNEL, "id": 1},
            {"type": "pong", "positions": {CHANNEL: "p3"}},
        ):
            await say(websocket, **message)
        await receive(websocket, received)
        await websocket.aclose(1012)

    async def again(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p4")
        await say(websocket, type="snapshot", channel=CHANNEL, position="p4", complete=True, data="state")
        await trio.sleep_forever()

    notices, gateway = [], Gateway(script, again)
    async with gateway.serving() as url, connect(url, notify=notices.append) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
            await session.unsubscribe(CHANNEL)
            await session.subscribe(CHANNEL, snapshot=True)
            assert (await anext(session)).data == "state"
    assert "position" not in gateway.received[1][0]
    assert [notice for notice in notices if isinstance(notice, Subscribed)] == [Subscribed(CHANNEL, None)] * 2


async def test_refusal_that_names_no_channel_is_known_by_its_id():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="error", code="bad_message", message="Of another one.", id=99)
        for id in (1, 2):  # the second, if it was asked for before there was a connection
            await say(websocket, type="error", code="bad_message", message="In 'subscribe', …", id=id)
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(5)
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError, match="In 'subscribe'"):
            await anext(session)


async def test_channel_is_asked_for_once_on_a_connection_whoever_asks():
    channels = Channels({})
    channels.add(CHANNEL, snapshot=False)
    channels.add("another", snapshot=False)
    unsent = channels.unsent()
    assert next(unsent)["channel"] == CHANNEL
    channels.remove("another")
    channels.add("another", snapshot=False)
    asked = channels.request("another")
    assert list(unsent) == list(channels.unsent()) == []
    channels.start_over()
    assert [message["channel"] for message in channels.unsent()] == [CHANNEL, "another"]
    assert channels.subscribed["another"].id > asked["id"]


async def test_position_does_not_move_on_while_an_event_waits_that_has_the_same_as_the_one_before():
    channels = Channels({})
    channels.add(CHANNEL, snapshot=False)
    channels.subscribed[CHANNEL].is_live = True
    for kind in ("table.updated", "snapshot"):
        await channels.deliver(Event(CHANNEL, kind, {}, position="p5"), lambda: True)
    await channels.take()
    channels.advance({CHANNEL: "p9"})
    assert channels.positions == {CHANNEL: "p5"}
    await channels.take()
    channels.advance({CHANNEL: "p9"})
    assert channels.positions == {CHANNEL: "p9"}
