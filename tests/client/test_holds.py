"""Holds of the client: claimed until answered, counted down by a clock that nobody sets, ended on any connection."""

from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from mesaya_ws.client.holds import GRACE, Hold, Holds
from mesaya_ws.client.requests import RequestError
from tests.support.scripted_gateway import Gateway, connect, event, receive, say
from tests.timing import PATIENCE

SLOT = {"from": "2027-01-22T19:00:00.000Z", "to": "2027-01-22T20:30:00.000Z"}


def selected(asked, left=300.0, **fields):
    held = {"holdId": asked["holdId"], "tableIds": ["t1"], **SLOT, "token": 7, "expiresAt": "t", "expiresIn": left}
    return {"type": "selected", "id": asked["id"], **held, **fields}


def released(hold, reason, **fields):
    return {"type": "released", "holdId": hold, "tableIds": ["t1"], **SLOT, "reason": reason, **fields}


async def test_tables_are_held_for_the_context_and_released_at_its_end():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        await say(websocket, **selected(await receive(websocket, received)))
        asked = await receive(websocket, received)
        await say(websocket, **released(asked["holdId"], "released", id=asked["id"]))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            async with session.hold("r1", ["t1"], datetime(2027, 1, 22, 19, tzinfo=UTC), SLOT["to"]) as hold:
                assert (hold.tables, hold.token, hold.start, hold.end) == (("t1",), 7, *SLOT.values())
                assert 240 < hold.remaining <= 300
                assert hold.reason is None
            assert (hold.reason, hold.remaining, await hold.ended()) == ("released", 0.0, "released")
    [[claim, release]] = gateway.received
    assert {**claim, "id": "", "holdId": ""} == {
        "type": "table.select",
        "restaurantId": "r1",
        "tableIds": ["t1"],
        "holdId": "",
        "from": "2027-01-22T19:00:00+00:00",
        "to": SLOT["to"],
        "id": "",
    }
    assert (release["type"], release["holdId"]) == ("table.release", claim["holdId"])


async def test_claim_is_sent_again_with_its_id_until_it_is_answered():
    async def first(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="error", code="unavailable", message="It is away.", id=asked["id"])
        await receive(websocket, received)
        await websocket.aclose(1012)

    async def second(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, **selected(asked))
        await say(websocket, **released(asked["holdId"], "reserved"))
        await trio.sleep_forever()

    gateway = Gateway(first, second)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            async with session.hold("r1", ["t1"]) as hold:
                assert await hold.ended() == "reserved"
    asked = [message for received in gateway.received for message in received]
    assert len(asked) == 3, "what has ended is not released"
    assert all(message == asked[0] for message in asked)


async def test_claim_that_was_taken_back_is_made_anew_and_another_end_is_raised():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        for reason in ("abandoned", "expired"):
            asked = await receive(websocket, received)
            await say(websocket, **released(asked["holdId"], reason, id=asked["id"]))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE), pytest.raises(RequestError) as raised:
            async with session.hold("r1", ["t1"]):
                raise AssertionError
    assert raised.value.code == "expired"
    [[one, two]] = gateway.received
    assert one["holdId"] != two["holdId"]


async def test_refusal_says_when_the_table_is_free():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="error", code="conflict", message="No.", id=asked["id"], until="t", expiresIn=12.5)
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE), pytest.raises(RequestError) as raised:
            async with session.hold("r1", ["t1"]):
                raise AssertionError
    assert (raised.value.code, raised.value.expires_in) == ("conflict", 12.5)


async def test_end_that_was_announced_on_no_connection_is_asked_for_on_the_next_one():
    async def first(websocket, received):
        await say(websocket, type="welcome")
        await say(websocket, **selected(await receive(websocket, received)))
        await websocket.aclose(1012)

    async def second(websocket, received):
        await say(websocket, type="welcome")
        await say(websocket, **selected(await receive(websocket, received), 100.0))
        await websocket.aclose(1012)

    async def third(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, **released(asked["holdId"], "expired", id=asked["id"]))
        await trio.sleep_forever()

    gateway = Gateway(first, second, third)
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            async with session.hold("r1", ["t1"]) as hold:
                assert await hold.ended() == "expired"
    assert [[message["type"] for message in received] for received in gateway.received] == [["table.select"]] * 3
    assert len({received[0]["holdId"] for received in gateway.received}) == 1


async def test_end_is_known_though_nobody_takes_the_events():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        asked = await receive(websocket, received)
        await say(websocket, type="subscribed", channel=asked["channel"], position="p0")
        asked = await receive(websocket, received)
        await say(websocket, **selected(asked))
        for number in range(3):
            await say(websocket, **event(number))
        await say(websocket, **released(asked["holdId"], "disconnected"))
        await trio.sleep_forever()

    gateway = Gateway(script)
    async with gateway.serving() as url, connect(url) as session:
        await session.subscribe(event(0)["channel"])
        with trio.fail_after(PATIENCE):
            async with session.hold("r1", ["t1"]) as hold:
                assert await hold.ended() == "disconnected"
            assert (await anext(session)).position == event(0)["position"]


def a_hold(left=300.0, ask=None):
    return Hold("h1", ("t1",), None, None, 7, {"type": "table.select"}, ask, trio.current_time() + left)


async def test_hold_of_which_nothing_more_is_received_has_expired_after_its_time(autojump_clock):
    hold = a_hold()
    began = trio.current_time()
    await trio.sleep(100)
    assert abs(hold.remaining - 200) < 0.01
    assert await hold.ended() == "expired"
    assert abs(trio.current_time() - began - 300 - GRACE) < 0.01
    assert hold.remaining == 0.0


async def test_longer_hold_is_waited_for_when_the_gateway_says_so(autojump_clock, nursery):
    hold = a_hold(10)
    began = trio.current_time()

    async def prolong():
        await trio.sleep(5)
        hold.on_selected(100)

    nursery.start_soon(prolong)
    assert await hold.ended() == "expired"
    assert abs(trio.current_time() - began - 105 - GRACE) < 0.01


async def test_release_of_a_hold_that_is_not_known_any_more_is_its_end():
    async def ask(_):
        raise RequestError("not_found", "No.")

    assert await a_hold(ask=ask).release() == "expired"


async def test_answers_to_questions_about_holds_are_nobody_elses():
    holds = Holds()
    assert holds.take({"type": "error", "id": "hold:h1", "code": "unavailable", "message": "x"})
    assert holds.take({"type": "released", "holdId": "other", "reason": "expired"})
    assert not holds.take({"type": "released", "id": "x-1", "holdId": "h1", "reason": "expired"})
    assert not holds.take({"type": "event", "channel": "c"})


async def test_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        async with Holds().hold(None, "r1", ["t1"], datetime(2027, 1, 22), None):
            raise AssertionError


async def test_claim_that_is_cancelled_is_released_as_it_may_be_granted_all_the_same():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        await receive(websocket, received)
        claiming.cancel()
        await receive(websocket, received)
        done.set()
        await trio.sleep_forever()

    gateway, done = Gateway(script), trio.Event()
    async with gateway.serving() as url, connect(url) as session:
        with trio.fail_after(PATIENCE):
            with trio.CancelScope() as claiming:
                async with session.hold("r1", ["t1"]):
                    pytest.fail("nothing has been granted")
            await done.wait()
    [[claim, release]] = gateway.received
    assert (release["type"], release["holdId"]) == ("table.release", claim["holdId"])


async def test_hold_whose_context_is_cancelled_is_released_and_the_answer_is_not_awaited(autojump_clock):
    asked = []

    async def ask(message):
        asked.append(message["type"])
        if message["type"] == "table.release":
            await trio.sleep_forever()
        return selected({**message, "id": "1"})

    with trio.CancelScope() as holding:
        async with Holds().hold(ask, "r1", ["t1"], None, None):
            holding.cancel()
            began_at = trio.current_time()
            await trio.sleep_forever()
    assert asked == ["table.select", "table.release"]
    assert trio.current_time() - began_at < 1
