"""Requests of the client are sent until they are answered, with one id; and events go on meanwhile."""

import pytest
import trio
import trio.testing

from mesaya_ws.client.events import Acknowledged
from mesaya_ws.client.requests import RequestError
from mesaya_ws.client.session import RefusedError
from tests.support.scripted_gateway import Gateway, connect, receive, say
from tests.timing import PATIENCE

CHANNEL = "restaurant:r1:chat:u1"


def published(asked, position="p1"):
    return {"type": "published", "id": asked["id"], "channel": CHANNEL, "position": position}


async def test_message_is_published_and_its_position_returned():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        await say(websocket, **published(await receive(websocket, received)))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            assert await session.chat("r1", "u1").publish("Hello", message_id="m1", reply_to="m0") == "p1"
    [[asked]] = gateway.received
    del asked["id"]
    assert asked == {
        "type": "publish",
        "channel": CHANNEL,
        "messageId": "m1",
        "data": {"text": "Hello", "replyTo": "m0"},
    }


async def test_message_is_sent_again_with_its_id_on_the_next_connection_and_while_the_log_is_away():
    async def first(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        await websocket.aclose(1012)

    async def second(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="error", code="unavailable", message="It is away.", id=asked["id"], channel=CHANNEL)
        limited = await receive(websocket, received)
        await say(websocket, type="error", code="rate_limited", message="…", id=limited["id"], retryIn=0.1)
        await say(websocket, **published(await receive(websocket, received)))
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            assert await session.chat("r1", "u1").publish("Hello") == "p1"
    asked = [message for received in gateway.received for message in received]
    assert len(asked) == 4
    assert all(message == asked[0] for message in asked)


async def test_events_that_come_before_the_answer_are_received_after_it_and_none_twice():
    def event(number):
        return {"type": "chat.message", "channel": CHANNEL, "position": f"p{number}", "data": number, "timestamp": "t"}

    async def first(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        asked = await receive(websocket, received)
        await say(websocket, **event(2))
        await say(websocket, **event(3))
        await say(websocket, **published(asked, "p2"))
        await websocket.aclose(1012)

    async def second(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p3", recovered=True)
        await say(websocket, **event(4))
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
            assert await session.chat("r1", "u1").publish("Hello") == "p2"
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert session.positions == {CHANNEL: "p1"}
            assert [(await anext(session)).data for _ in range(3)] == [2, 3, 4]
    assert gateway.received[1] == [{"type": "subscribe", "channel": CHANNEL, "position": "p3"}]


@pytest.mark.parametrize("refusal", [{"code": "conflict"}, {"code": "rate_limited", "retryIn": 3600.0}])
async def test_refusal_is_raised_and_the_session_goes_on(refusal):
    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="error", message="No.", id=asked["id"], channel=CHANNEL, **refusal)
        await say(websocket, **published(await receive(websocket, received)))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        chat = session.chat("r1", "u1")
        with trio.fail_after(PATIENCE):
            with pytest.raises(RequestError, match="No") as raised:
                await chat.publish("Hello")
            assert (raised.value.code, raised.value.retry_in) == (refusal["code"], refusal.get("retryIn"))
            assert await chat.publish("Hello") == "p1"


async def test_request_of_a_caller_that_is_cancelled_already_is_not_sent():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        while True:
            await say(websocket, **published(await receive(websocket, received)))

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        chat = session.chat("r1", "u1")
        with trio.fail_after(PATIENCE):
            await chat.publish("before")
            with trio.CancelScope() as scope:
                scope.cancel()
                await chat.publish("cancelled")
            assert scope.cancelled_caught
            await chat.publish("after")
    [received] = gateway.received
    assert [asked["data"]["text"] for asked in received] == ["before", "after"]


async def test_request_ends_with_the_session():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        await websocket.aclose(4029)

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError):
            await session.chat("r1", "u1").publish("Hello")
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError):
            await session.chat("r1", "u1").publish("Hello")


async def test_history_is_a_page():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(
            websocket, type="history", id=asked["id"], channel=CHANNEL, messages=[1, 2], before=None, complete=False
        )
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            page = await session.chat("r1", "u1").history("p9", 2)
    assert (page.messages, page.before, page.complete) == ([1, 2], None, False)
    [[asked]] = gateway.received
    assert (asked["before"], asked["limit"]) == ("p9", 2)


async def test_acknowledgement_says_who_was_first():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="acknowledged", id=asked["id"], reservationId="x1", by="o1", at="t")
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            assert await session.ack("x1") == Acknowledged("x1", "o1", "t")
    [[asked]] = gateway.received
    assert (asked["type"], asked["reservationId"]) == ("reservation.ack", "x1")


async def test_refusal_of_what_nobody_waits_for_any_more_does_not_end_the_session():
    given_up = trio.Event()

    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        publishing.cancel()
        await given_up.wait()
        refused = {"type": "error", "id": asked["id"], "channel": CHANNEL, "message": "Too many."}
        await say(websocket, **refused, code="rate_limited", retryIn=5.0)
        typing = await receive(websocket, received)
        await say(websocket, **{**refused, "id": typing["id"]}, code="unauthorized")
        await say(websocket, **published(await receive(websocket, received)))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        chat = session.chat("r1", "u1")
        with trio.fail_after(PATIENCE):
            with trio.CancelScope() as publishing:
                await chat.publish("Hello")
            given_up.set()
            await chat.typing()
            assert await chat.publish("Hello again") == "p1"
