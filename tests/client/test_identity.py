"""Tokens of the client: how it brings them, renews them, and goes on where something ended with one."""

import math

import pytest
import trio

from mesaya_ws.client.connection import NotConnectedError, RefusedError
from mesaya_ws.client.credentials import Credentials, require_token
from mesaya_ws.client.session import Disconnected
from tests.support.scripted_gateway import CHANNEL, Gateway, connect, event, receive, say
from tests.timing import PATIENCE


class Issuer:
    """Issues tokens with numbers; `fails` is raised by the next calls."""

    def __init__(self, *fails):
        self.number, self.fails = 0, list(fails)

    async def __call__(self):
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise self.fails.pop(0)
        self.number += 1
        return f"token-{self.number}"


class Authorizing(Gateway):
    """Keeps what each handshake brought, too."""

    def __init__(self, *scripts, rejects=()):
        super().__init__(*scripts)
        self.tokens, self.rejects = [], list(rejects)

    async def _serve(self, request):
        self.tokens.append(dict(request.headers).get(b"authorization", b"").decode())
        if self.rejects:
            await request.reject(401, body=self.rejects.pop(0))
            return
        await super()._serve(request)


BAD = b'{"error": {"code": "bad_token", "message": "The token has expired."}}'


async def lasting(websocket, received):
    await say(websocket, type="welcome", connection="c", user="u1")
    while True:
        await receive(websocket, received)


async def until(condition):
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a socket lies between
            await trio.sleep(0.01)


async def test_handshake_brings_the_token():
    gateway = Authorizing(lasting)
    async with gateway.serving() as url, connect(url, token="a.b.c"):
        await until(lambda: gateway.received)
    assert gateway.tokens == ["Bearer a.b.c"]


async def test_each_connection_brings_a_token_of_its_own():
    async def first(websocket, received):
        await websocket.aclose(1012)

    gateway = Authorizing(first, lasting)
    async with gateway.serving() as url, connect(url, token=Issuer()):
        await until(lambda: len(gateway.received) == 2)
    assert gateway.tokens == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é"])
async def test_text_that_cannot_be_a_token_is_an_error_at_once(token):
    with pytest.raises(ValueError, match="letters"):
        async with connect("ws://127.0.0.1:1/ws", token=token):
            pass
    with pytest.raises(ValueError, match="letters"):
        require_token(token)


async def test_token_is_renewed_on_the_same_connection_before_it_ends():
    async def script(websocket, received):
        await say(websocket, type="welcome", connection="c", user="u1")
        await say(websocket, type="token_expiring", expiresIn=60)
        await receive(websocket, received)
        await say(websocket, type="authenticated", user="u1", roles=[], expiresIn=900)
        await trio.sleep_forever()

    gateway = Authorizing(script)
    async with gateway.serving() as url, connect(url, token=Issuer()):
        await until(lambda: gateway.received and gateway.received[0])
    assert gateway.received == [[{"type": "auth", "token": "token-2"}]]


async def test_what_ended_with_the_token_goes_on_from_where_it_was():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        await say(websocket, type="unsubscribed", channel=CHANNEL, reason="token_expired", position="p2")
        await receive(websocket, received)
        await say(websocket, type="authenticated", user="u1", roles=[], expiresIn=900)
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p2", recovered=True, replayed=1)
        await say(websocket, **event(3))
        await trio.sleep_forever()

    gateway = Authorizing(script)
    async with gateway.serving() as url, connect(url, token=Issuer()) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert [(await anext(session)).data for _ in range(2)] == [1, 3]
    [_, auth, again] = gateway.received[0]
    assert auth == {"type": "auth", "token": "token-2"}
    assert again == {"type": "subscribe", "channel": CHANNEL, "position": again["position"]}
    assert again["position"] in ("p1", "p2")  # nothing lies between them


async def test_channel_that_is_asked_for_just_after_the_token_ended_begins_with_the_next_one():
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="error", code="unauthorized", message="It is private.", channel=CHANNEL)
        await receive(websocket, received)
        await say(websocket, type="authenticated", user="u1", roles=[], expiresIn=900)
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, **event(1))
        await trio.sleep_forever()

    gateway = Authorizing(script)
    async with gateway.serving() as url, connect(url, token=Issuer()) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE):
            assert (await anext(session)).data == 1
    [_, auth, again] = gateway.received[0]
    assert (auth, again["type"]) == ({"type": "auth", "token": "token-2"}, "subscribe")


async def test_channel_that_is_refused_with_the_next_token_too_is_raised():
    async def script(websocket, received):
        for _ in range(2):
            await receive(websocket, received)
            await say(websocket, type="error", code="unauthorized", message="It is private.", channel=CHANNEL)
            await receive(websocket, received)
            await say(websocket, type="authenticated", user="u1", roles=[], expiresIn=900)

    gateway = Authorizing(script)
    async with gateway.serving() as url, connect(url, token=Issuer()) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError) as caught:
            await anext(session)
    assert caught.value.code == "unauthorized"
    assert [message["type"] for message in gateway.received[0]] == ["subscribe", "auth", "subscribe"]


@pytest.mark.parametrize(("reason", "token"), [("token_expired", "fixed"), ("rights_changed", Issuer())])
async def test_what_no_other_token_helps_against_is_raised_and_the_position_is_kept(reason, token):
    async def script(websocket, received):
        await receive(websocket, received)
        await say(websocket, type="subscribed", channel=CHANNEL, position="p0")
        await say(websocket, type="unsubscribed", channel=CHANNEL, reason=reason, position="p2")
        await trio.sleep_forever()

    async with Authorizing(script).serving() as url, connect(url, token=token) as session:
        await session.subscribe(CHANNEL)
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError) as caught:
            await anext(session)
        assert (caught.value.code, session.positions) == (reason, {CHANNEL: "p2"})


async def test_handshake_whose_token_is_refused_is_tried_again_with_another_one():
    notices = []
    gateway = Authorizing(lasting, rejects=[BAD])
    async with gateway.serving() as url, connect(url, token=Issuer(), notify=notices.append):
        await until(lambda: gateway.received)
    assert gateway.tokens == ["Bearer token-1", "Bearer token-2"]
    assert notices[0] == Disconnected("The token has expired")


async def test_second_refusal_in_a_row_is_raised():
    gateway = Authorizing(lasting, rejects=[BAD] * 2)
    async with gateway.serving() as url, connect(url, token=Issuer()) as session:
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError) as caught:
            await anext(session)
    assert caught.value.code == "bad_token"


async def test_close_for_want_of_an_identity_is_followed_by_another_token():
    async def first(websocket, received):
        await say(websocket, type="welcome", connection="c", user="u1")
        await websocket.aclose(4401, "unauthenticated")

    gateway = Authorizing(first, first, lasting)
    async with gateway.serving() as url, connect(url, token=Issuer()):
        await until(lambda: len(gateway.received) == 3)
    assert gateway.tokens == [f"Bearer token-{number}" for number in (1, 2, 3)]


async def test_token_that_is_bad_and_for_want_of_which_the_connection_is_closed_is_one_refusal():
    async def first(websocket, received):
        await say(websocket, type="welcome", connection="c", user="u1")
        await say(websocket, type="token_expiring", expiresIn=0)
        await receive(websocket, received)
        await say(websocket, type="error", code="bad_token", message="The token has expired.")
        await websocket.aclose(4401, "unauthenticated")

    gateway = Authorizing(first, lasting)
    async with gateway.serving() as url, connect(url, token=Issuer()):
        await until(lambda: len(gateway.tokens) == 2)
    # That of the next connection is neither the first one nor that which was bad.
    assert set(gateway.tokens).isdisjoint({"Bearer token-2"})
    assert len(set(gateway.tokens)) == 2


async def test_close_for_want_of_an_identity_is_raised_where_there_is_no_other_token():
    async def script(websocket, received):
        await websocket.aclose(4401, "unauthenticated")

    async with Authorizing(script).serving() as url, connect(url, token="fixed") as session:
        with trio.fail_after(PATIENCE), pytest.raises(RefusedError) as caught:
            await anext(session)
    assert caught.value.code == "unauthenticated"


async def test_token_that_cannot_be_had_now_is_tried_again():
    notices = []
    gateway = Authorizing(lasting)
    issuer = Issuer(ConnectionRefusedError(111, "Connection refused"))
    async with gateway.serving() as url, connect(url, token=issuer, notify=notices.append):
        await until(lambda: gateway.received)
    assert notices[0] == Disconnected("there is no token (Connection refused)")


async def test_answer_that_the_token_cannot_be_verified_now_is_followed_by_another_try():
    async def script(websocket, received):
        await say(websocket, type="token_expiring", expiresIn=60)
        await receive(websocket, received)
        await say(websocket, type="error", code="unavailable", message="Try again.")
        await receive(websocket, received)
        await trio.sleep_forever()

    gateway = Authorizing(script)
    async with gateway.serving() as url, connect(url, token=Issuer()):
        await until(lambda: gateway.received and len(gateway.received[0]) == 2)


async def test_user_is_reported_before_anything_is_subscribed():
    gateway = Authorizing(lasting)
    async with gateway.serving() as url, connect(url, user="u1", roles=("ADMIN",)) as session:
        await session.subscribe(CHANNEL)
        await until(lambda: gateway.received and len(gateway.received[0]) == 2)
    assert gateway.received[0][0] == {"type": "auth", "user": "u1", "roles": ["ADMIN"]}


async def test_tokens_are_not_fetched_all_the_time(autojump_clock):
    held = Credentials(Issuer())
    await held.token_now()
    began = trio.current_time()
    for _ in range(3):
        await held.renewed()
    assert math.isclose(trio.current_time() - began, 15)


async def test_credentials_without_a_token_have_none():
    assert await Credentials().token_now() is None
    with pytest.raises(NotConnectedError):
        await Credentials(Issuer(OSError("no route"))).token_now()


async def test_channel_that_is_subscribed_while_the_client_says_who_it_is_is_subscribed_once():
    async def script(websocket, received):
        await say(websocket, type="welcome")
        while (await receive(websocket, received))["type"] != "unsubscribe":
            pass
        done.set()
        await trio.sleep_forever()

    gateway, done = Gateway(script), trio.Event()
    async with gateway.serving() as url, connect(url, user="u1") as session:
        with trio.fail_after(PATIENCE):
            while not session.connected:
                await trio.lowlevel.checkpoint()
            await session.subscribe(CHANNEL)
            await session.unsubscribe(CHANNEL)
            await done.wait()
    [received] = gateway.received
    assert [message["type"] for message in received] == ["auth", "subscribe", "unsubscribe"]
