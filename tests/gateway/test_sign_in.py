"""Signing in on an open connection, and the task that ends identities in time."""

import pytest
import trio

from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.revocations import Revocation
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.step_budget import VISITED_AT_ONCE
from mesaya_ws.gateway.sign_in import LONGEST_SLEEP, SignIn
from mesaya_ws.runtime.logs import bound_in_context
from mesaya_ws.runtime.metrics import Metrics
from tests.support.instance import World, ask, session_identities

OWN = "user:u1:notifications"


class StubKeys:
    """Knows some tokens at once, and the others after its keys have been read."""

    def __init__(self, known=None, later=None):
        self.known, self.later = known or {}, later or {}
        self.read = trio.Event()

    def authenticate_at_once(self, token):
        return None if token in self.later else self.known.get(token, BadToken(Flaw.MALFORMED))

    async def authenticate(self, token):
        await self.read.wait()
        return self.later[token]


class StubRevocations:
    """Revokes without a log: what is revoked is read at once."""

    def __init__(self):
        self.revoked, self.floor = set(), 0
        self.on_revoked = None

    async def revoke(self, user, before):
        await trio.lowlevel.checkpoint()
        self.revoked.add(user)
        self.on_revoked(Revocation(user, before))
        return before

    def is_revoked(self, user, issued_at):
        return user in self.revoked or (issued_at or 0) * 1000 < self.floor


class Scene:
    """A gateway's sessions, whose clock is Trio's."""

    def __init__(self, keys, **rules):
        self.identities = session_identities(**rules)
        self.world = World(identities=self.identities)
        self.metrics, self.revocations = Metrics(), StubRevocations()
        self.sign_in = SignIn(self.identities, keys, self.metrics, self.revocations, clock=trio.current_time)
        self.identities.deadlines.on_earlier = self.sign_in.on_earlier
        self.revocations.on_revoked = self.sign_in.on_revoked
        self.world.services.authenticate = self.sign_in.authenticate

    def signed_in(self, user="u1", seconds=1000.0, issued=0.0):
        session = self.world.client()
        identify(session, Identity(user, (), issued, trio.current_time() + seconds), trio.current_time())
        ask(session, channel=f"user:{user}:notifications")
        return session

    def revoke(self, user):
        self.revocations.revoked.add(user)
        self.sign_in.on_revoked(Revocation(user, 1))


async def test_token_that_can_be_verified_at_once_is_answered_at_once():
    session = Scene(StubKeys({"good": Identity("u1")})).world.client()
    answers = ask(session, "auth", token="good") + ask(session, "auth", token="other")
    assert [each["type"] for each in answers] == ["authenticated", "error"]
    assert session.take_unfinished() is None


async def test_token_whose_key_must_be_read_is_answered_by_what_is_to_be_awaited(autojump_clock):
    keys = StubKeys(later={"new": Identity("u1")})
    session = Scene(keys).world.client()
    assert ask(session, "auth", token="new") == []
    unfinished = session.take_unfinished()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unfinished)
        await trio.testing.wait_all_tasks_blocked()
        assert session.identity is None
        keys.read.set()
    assert [each["user"] for each in session.send_queue.said()] == ["u1"]


async def test_client_says_who_it_is_without_a_token_where_none_counts():
    session = Scene(None).world.client(auth=False)
    [answer] = ask(session, "auth", user="u1", roles=["ADMIN"])
    assert answer == {"type": "authenticated", "user": "u1", "roles": ["ADMIN"]}
    assert ask(session, "auth", token="x")[0]["code"] == "bad_token"
    assert ask(session, "auth", token=None)[0] == {"type": "authenticated", "roles": []}


async def test_too_many_connections_of_a_user_are_counted():
    scene = Scene(StubKeys({"good": Identity("u1")}), max_per_user=1)
    for _ in range(2):
        ask(scene.world.client(), "auth", token="good")
    assert scene.metrics.violations == {"connections_per_user": 1}


async def test_log_names_who_the_client_is_and_says_why_a_token_was_refused(logged):
    keys = StubKeys({"good": Identity("u1"), "another": Identity("u2")})
    session = Scene(keys).world.client()
    named = []
    for token in ("bad", "good", "another", "bad", None):
        ask(session, "auth", token=token)
        named.append(bound_in_context("user"))
    assert named == [None, "u1", "u1", "u1", None]
    refused = [(line["code"], line.get("reason")) for line in logged() if line["event"] == "message refused"]
    assert refused == [("bad_token", "malformed"), ("other_user", None), ("bad_token", "malformed")]


async def test_clock_that_is_set_forward_ends_tokens_soon(autojump_clock, nursery):
    scene, ahead = Scene(None), [0]
    sign_in = SignIn(scene.identities, None, scene.metrics, clock=lambda: trio.current_time() + ahead[0])
    nursery.start_soon(sign_in.run)
    session = scene.signed_in(seconds=1000)
    await trio.testing.wait_all_tasks_blocked()
    ahead[0] = 2000
    await trio.sleep(LONGEST_SLEEP + 1)
    assert session.identity is None


async def test_tokens_end_when_they_do_also_those_that_come_later_and_end_earlier(autojump_clock, nursery):
    scene = Scene(None, leeway=5)
    nursery.start_soon(scene.sign_in.run)
    began = trio.current_time()
    long = scene.signed_in(seconds=500)
    await trio.testing.wait_all_tasks_blocked()
    short = scene.signed_in(seconds=100)
    await trio.sleep_until(began + 104.9)
    assert (long.identity is not None, short.identity is not None) == (True, True)
    assert [each["type"] for each in short.send_queue.said()] == ["token_expiring"]
    await trio.sleep_until(began + 105.1)
    assert (long.identity is not None, short.identity) == (True, None)
    [ended] = short.send_queue.said()
    assert (ended["reason"], ended["channel"]) == ("token_expired", OWN)
    await trio.sleep_until(began + 505.1)
    assert long.identity is None


async def test_token_that_ends_late_wakes_nobody_and_one_that_ends_soon_does(autojump_clock, nursery):
    scene, readings = Scene(None), []

    def clock():
        readings.append(trio.current_time())
        return readings[-1]

    sign_in = SignIn(scene.identities, None, scene.metrics, clock=clock)
    scene.identities.deadlines.on_earlier = sign_in.on_earlier
    nursery.start_soon(sign_in.run)
    await trio.testing.wait_all_tasks_blocked()
    asleep = len(readings)
    scene.signed_in(seconds=1000)
    await trio.testing.wait_all_tasks_blocked()
    assert len(readings) == asleep
    scene.signed_in(seconds=40)
    await trio.testing.wait_all_tasks_blocked()
    assert len(readings) > asleep


async def test_revoked_user_is_signed_out_and_others_are_not(autojump_clock, nursery):
    scene = Scene(None)
    nursery.start_soon(scene.sign_in.run)
    session, other = scene.signed_in(), scene.signed_in("u2")
    scene.revoke("nobody")
    scene.revoke("u1")
    await trio.testing.wait_all_tasks_blocked()
    assert [each["reason"] for each in session.send_queue.said()] == ["revoked"]
    assert (session.identity, other.identity.user) == (None, "u2")


async def test_revocation_is_answered_when_all_identities_of_the_user_have_ended(autojump_clock, nursery):
    scene = Scene(None)
    nursery.start_soon(scene.sign_in.run)
    others = [scene.signed_in("u2") for _ in range(3 * VISITED_AT_ONCE)]
    sessions = [scene.signed_in() for _ in range(3 * VISITED_AT_ONCE)]
    nursery.start_soon(scene.sign_in.revoke, "u2", 1)
    assert await scene.sign_in.revoke("u1", 5) == 5
    assert {session.identity for session in sessions} == {None}
    assert {each["reason"] for session in sessions for each in session.send_queue.said()} == {"revoked"}
    assert await scene.sign_in.revoke("nobody", 5) == 5
    await trio.testing.wait_all_tasks_blocked()
    assert {session.identity for session in others} == {None}


async def test_revocation_whose_answer_comes_while_identities_end_waits_for_all_of_them(autojump_clock, nursery):
    scene = Scene(None)
    nursery.start_soon(scene.sign_in.run)
    sessions = [scene.signed_in() for _ in range(3 * VISITED_AT_ONCE)]

    async def revoke(user, before):
        scene.revoke(user)
        while sessions[0].identity is not None:
            await trio.lowlevel.checkpoint()
        assert sessions[-1].identity is not None
        return before + 1  # more had been revoked before

    scene.revocations.revoke = revoke
    assert await scene.sign_in.revoke("u1", 5) == 6
    assert {session.identity for session in sessions} == {None}


async def test_user_who_is_revoked_while_identities_of_others_end_is_not_forgotten(autojump_clock, nursery):
    scene = Scene(None)
    nursery.start_soon(scene.sign_in.run)
    session = scene.signed_in()
    others = [scene.signed_in("u2") for _ in range(3 * VISITED_AT_ONCE)]
    scene.revoke("u2")
    while others[0].identity is not None:
        await trio.lowlevel.checkpoint()
    assert others[-1].identity is not None
    scene.revoke("u1")
    await trio.testing.wait_all_tasks_blocked()
    assert {each.identity for each in (session, *others)} == {None}


async def test_when_revocations_are_too_many_everybody_is_asked(autojump_clock, nursery):
    scene = Scene(None)
    nursery.start_soon(scene.sign_in.run)
    old, new = scene.signed_in("u1", issued=1.0), scene.signed_in("u2", issued=3.0)
    scene.revocations.floor = 2000
    scene.sign_in.on_revoked(Revocation("nobody", 1))
    await trio.testing.wait_all_tasks_blocked()
    assert (old.identity, new.identity.user) == (None, "u2")


@pytest.fixture
async def nursery():
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()
