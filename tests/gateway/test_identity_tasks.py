import trio
import typed_settings as ts

from mesaya_ws.core.access.authentication import NoKeys
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.tokens import BadToken, Flaw
from mesaya_ws.core.platform.topics import REVOCATIONS
from mesaya_ws.gateway.identity_tasks import build_identities
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog
from tests.issuer import SECRET, Issuer


def test_identities_without_keys_or_with_auth_off_verify_nothing():
    assert build_identities(Settings(auth=False), Metrics(), None).authentication is None
    assert isinstance(build_identities(Settings(), Metrics(), None).authentication, NoKeys)


async def test_gateway_is_starting_until_revocations_are_read(autojump_clock):
    log, status = FakeLog((REVOCATIONS,)), Status(caught_up=True)
    identities = build_identities(Settings(jwt_secret=ts.SecretStr(SECRET)), Metrics(), log)
    now = now_ms() // 1000
    token = Issuer("secret").token(iat=now - 10, exp=now + 3600)
    log.fail()
    async with trio.open_nursery() as nursery:
        identities.start(nursery, status)
        await trio.sleep(1)
        assert (status.ready, status.reasons) == (False, ["The revocations of tokens are still being read."])
        log.recover()
        await trio.sleep(1)
        assert status.ready
        assert isinstance(identities.authentication.authenticate_at_once(token), Identity)
        await identities.revocations.revoke("u1", now * 1000)
        assert identities.authentication.authenticate_at_once(token) == BadToken(Flaw.REVOKED)
        nursery.cancel_scope.cancel()


async def test_gateway_is_starting_until_the_keys_of_the_issuer_are_read(autojump_clock):
    log, status = FakeLog((REVOCATIONS,)), Status(caught_up=True)
    identities = build_identities(Settings(jwt_jwks_url="https://auth.invalid/keys"), Metrics(), log)
    revocations, keys = identities.readings
    assert (revocations.name, keys.name) == ("revocations", "keys")
    status.unread["keys"] = keys.unread
    assert status.reasons == ["The keys of JWT_JWKS_URL are still being read."]
    assert not keys.ready.is_set()
