import time

from load.plan import Plan
from load.wire import handshake

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.keys import secret_key
from mesaya_ws.core.access.tokens import TokenRules, verify

SECRET = "a secret of thirty-two bytes or more"


def test_token_opens_the_channel_of_its_client_for_as_long_as_it_should():
    plan, now = Plan(run="x", secret=SECRET), time.time()
    token = plan.token(3, now + 100)
    found = verify(token, [secret_key(SECRET)], TokenRules("mesaYA-auth"), now)
    assert isinstance(found, Identity)
    assert (found.user, round(found.expires_at - now)) == (plan.subject(3), 100)
    assert SECRET not in repr(plan)


def test_handshake_brings_the_token_if_there_is_one():
    assert b"Authorization" not in handshake("h", "/ws")
    assert b"\r\nAuthorization: Bearer a.b.c\r\n" in handshake("h", "/ws", "a.b.c")
