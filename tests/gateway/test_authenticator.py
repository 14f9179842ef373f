import pytest
import trio
import trio.testing
from attrs import evolve

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.gateway.authenticator import Authenticator, FixedKeys
from mesaya_ws.runtime.metrics import Metrics
from tests.issuer import NOW, RULES, Issuer

ISSUER = Issuer("Ed25519", "a", 1)
NEW = Issuer("Ed25519", "b", 2)


class Revoked(set):
    """The users whose tokens are dead."""

    def __init__(self):
        self.ready = trio.Event()
        self.ready.set()

    def is_revoked(self, user, issued_at):
        assert issued_at is None or issued_at > 0
        return user in self


class Published:
    """Keys that an issuer publishes; `coming` are those that a refresh finds, None for none."""

    def __init__(self, *keys, coming=None):
        self.keys, self.coming, self.refreshed = keys, coming, 0

    async def refresh(self):
        self.refreshed += 1
        await trio.lowlevel.checkpoint()
        if self.coming is None:
            return False
        self.keys = self.coming
        return True


class World:
    def __init__(self, source, rules=RULES):
        self.source, self.now, self.revoked, self.metrics = source, NOW, Revoked(), Metrics()
        self.authenticator = Authenticator(source, rules, self.revoked, self.metrics, lambda: self.now)
        self.at_once = self.authenticator.authenticate_at_once
        self.ask = self.authenticator.authenticate


@pytest.fixture
def fixed():
    return World(FixedKeys((ISSUER.key,)))


async def test_good_token_names_its_user_at_once_and_again(fixed):
    token = ISSUER.token(roles=["ADMIN"])
    expected = Identity("u1", ("ADMIN",), NOW - 60, NOW + 3600)
    assert fixed.at_once(token) == await fixed.ask(token) == fixed.at_once(token.encode()) == expected
    assert fixed.metrics.tokens == {"accepted": 3}


async def test_bad_token_is_refused_and_counted_by_its_flaw(fixed):
    assert fixed.at_once("nonsense") == BadToken(Flaw.MALFORMED)
    assert await fixed.ask(ISSUER.token(exp=1)) == BadToken(Flaw.EXPIRED)
    assert fixed.at_once(NEW.token()) == await fixed.ask(NEW.token()) == BadToken(Flaw.UNKNOWN_KEY)
    assert fixed.at_once("x" * 9000) == BadToken(Flaw.TOO_LONG)
    assert fixed.metrics.tokens == {"malformed": 1, "expired": 1, "unknown_key": 2, "too_long": 1}


async def test_token_without_any_key_is_bad_and_not_waited_for():
    world = World(FixedKeys(()))
    assert world.at_once(ISSUER.token()) == await world.ask(ISSUER.token()) == BadToken(Flaw.NO_KEY)


def test_token_that_was_good_expires(fixed):
    token = ISSUER.token(exp=NOW + 10)
    assert isinstance(fixed.at_once(token), Identity)
    fixed.now = NOW + 15
    assert fixed.at_once(token) == BadToken(Flaw.EXPIRED)


def test_token_that_was_good_is_dead_once_revoked(fixed):
    token = ISSUER.token()
    assert isinstance(fixed.at_once(token), Identity)
    fixed.revoked.add("u1")
    assert fixed.at_once(token) == BadToken(Flaw.REVOKED)
    fixed.revoked.clear()
    assert isinstance(fixed.at_once(token), Identity)


def test_token_whose_key_is_withdrawn_is_no_longer_good():
    world = World(Published(ISSUER.key, NEW.key))
    token = ISSUER.token()
    assert isinstance(world.at_once(token), Identity)
    world.source.keys = (NEW.key,)
    assert world.at_once(token) is None
    assert isinstance(world.at_once(NEW.token()), Identity)


async def test_unknown_key_is_looked_for_once():
    world = World(Published(ISSUER.key, coming=(ISSUER.key, NEW.key)))
    assert world.at_once(NEW.token()) is None
    assert world.source.refreshed == 0
    assert isinstance(await world.ask(NEW.token()), Identity)
    assert isinstance(await world.ask(NEW.token()), Identity)
    assert isinstance(world.at_once(NEW.token()), Identity)
    assert (world.source.refreshed, world.metrics.tokens) == (1, {"accepted": 3})


@pytest.mark.parametrize(("old", "new"), [(None, None), ("a", None), (None, "b")])
async def test_new_key_is_looked_for_also_where_tokens_or_the_key_set_name_none(old, new):
    before, after = Issuer("Ed25519", old, 1), Issuer("Ed25519", new, 2)
    world = World(Published(before.key, coming=(before.key, after.key)))
    assert world.at_once(after.token()) is None
    assert isinstance(await world.ask(after.token()), Identity)
    assert isinstance(await world.ask(before.token()), Identity)
    assert world.source.refreshed == 1


async def test_key_that_the_issuer_does_not_publish_makes_a_bad_token():
    world = World(Published(ISSUER.key, coming=(ISSUER.key,)))
    assert await world.ask(NEW.token()) == BadToken(Flaw.UNKNOWN_KEY)


async def test_key_that_cannot_be_looked_for_now_makes_a_token_neither_good_nor_bad():
    world = World(Published(ISSUER.key))
    assert await world.ask(NEW.token()) is Unavailable.KEYS
    assert isinstance(await world.ask(ISSUER.token()), Identity)
    assert world.metrics.tokens == {"unavailable": 1, "accepted": 1}
    assert "try again" in Unavailable.KEYS.sentence


async def test_no_key_of_the_issuer_was_ever_read():
    world = World(Published())
    assert world.at_once(ISSUER.token()) is None
    assert await world.ask(ISSUER.token()) is Unavailable.KEYS


async def test_token_that_is_wrong_whatever_the_key_costs_no_refresh():
    world = World(Published(ISSUER.key))
    for token in ("nonsense", ISSUER.token(exp=1), ISSUER.token()[:-4] + "AAAA", ISSUER.token({"crit": ["x"]})):
        assert isinstance(await world.ask(token), BadToken)
    assert world.source.refreshed == 0


class CountingKey:
    """A key that counts the signatures that it verifies."""

    def __init__(self, key):
        self.key, self.verified = key, 0

    def __getattr__(self, name):
        return getattr(self.key, name)

    def verifies(self, *given):
        self.verified += 1
        return self.key.verifies(*given)


def test_verified_token_costs_no_signature_again():
    key = CountingKey(ISSUER.key)
    world = World(FixedKeys((key,)))
    token = ISSUER.token()
    for _ in range(2):
        assert isinstance(world.at_once(token), Identity)
    assert key.verified == 1


async def test_bad_token_is_verified_once_where_nothing_is_waited_for():
    key = CountingKey(ISSUER.key)
    world = World(FixedKeys((key,)))
    assert await world.ask(ISSUER.token()[:-4] + "AAAA") == BadToken(Flaw.SIGNATURE)
    assert key.verified == 1


def test_audience_of_the_rules_is_asked_for():
    world = World(FixedKeys((ISSUER.key,)), evolve(RULES, audience="ws"))
    assert world.at_once(ISSUER.token()) == BadToken(Flaw.AUDIENCE)
    assert isinstance(world.at_once(ISSUER.token(aud=["ws"])), Identity)


async def test_no_token_is_good_before_the_revocations_have_been_read(fixed, autojump_clock):
    fixed.revoked.ready = trio.Event()
    assert fixed.at_once(ISSUER.token()) is None
    assert fixed.at_once(ISSUER.token(exp=1)) == BadToken(Flaw.EXPIRED)
    assert await fixed.ask(ISSUER.token()) is Unavailable.REVOCATIONS
    assert fixed.metrics.tokens == {"expired": 1, "unavailable": 1}


async def test_token_waits_for_the_revocations_and_is_checked_against_them(fixed, autojump_clock):
    fixed.revoked.ready = trio.Event()
    answers = {}

    async def ask(user):
        answers[user] = await fixed.ask(ISSUER.token(sub=user))

    async with trio.open_nursery() as nursery:
        for user in ("u1", "u2"):
            nursery.start_soon(ask, user)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == {}
        fixed.revoked.add("u2")
        fixed.revoked.ready.set()
    assert (answers["u1"].user, answers["u2"]) == ("u1", BadToken(Flaw.REVOKED))
