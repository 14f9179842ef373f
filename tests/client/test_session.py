"""The client against a gateway of a few lines, which says what a test has written down for it."""

import math
from contextlib import suppress
from functools import partial
from itertools import count

import pytest
import trio
from attrs import evolve
from trio_websocket import ConnectionClosed

from mesaya_ws.client.channels import Channels
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


@pytest.mark.parametrize("code", [1000, 1001, 1012])
async def test_session_that_something_between_has_closed_goes_on(code):
    async def closed(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(1))
        await websocket.aclose(code)

    async def open_again(websocket, received):
        await receive(websocket, received)
        await say(websocket, **event(2))
        await trio.sleep_forever()

    gateway = Gateway(closed, open_again)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(2)] == [1, 2]
    assert gateway.received[1][0]["position"] == "p1"


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


async def test_event_that_waits_is_none_of_a_later_subscription():
    channels = Channels({})
    for number in (1, 6):
        channels.remove(CHANNEL)
        channels.add(CHANNEL, snapshot=True)
        await channels.deliver(Event(CHANNEL, "table.updated", number, position=f"p{number}"), lambda: True)
    assert (await channels.take()).data == 6
    assert channels.positions == {CHANNEL: "p6"}


async def test_event_that_comes_after_its_channel_was_left_is_dropped():
    channels = Channels({})
    channels.add(CHANNEL, snapshot=True)
    await channels.deliver(Event(CHANNEL, "gap", "expired"), lambda: True)
    assert (await channels.take()).type == "gap"
    channels.remove(CHANNEL)
    await channels.deliver(Event(CHANNEL, "snapshot", {}, position="p9"), lambda: True)
    channels.add(CHANNEL, snapshot=True)
    assert channels.request(CHANNEL)["snapshot"]
    channels.on_subscribed(CHANNEL, "p9")
    await channels.deliver(Event(CHANNEL, "snapshot", {}, position="p10"), lambda: True)
    assert (await channels.take()).position == "p10"


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
