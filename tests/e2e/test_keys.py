"""Wherever the keys of tokens come from, a real gateway knows whose they are: each source, and how its keys change."""

import json
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import InvalidStatus

from tests.e2e.client import connected
from tests.e2e.event_reader import reading
from tests.e2e.key_server import publishing
from tests.issuer import SECRET, Issuer
from tests.support.gateway import START_TIMEOUT, Gateway, running

OWN = "user:u1:notifications"
RSA, EC, ED, OTHER = (
    Issuer("RSA", number=1),
    Issuer("EC", number=1),
    Issuer("Ed25519", number=1),
    Issuer("EC", number=2),
)
NAMED = [Issuer("RSA", "rsa", 1), Issuer("EC", "ec", 1), Issuer("Ed25519", "ed", 1)]
SHARED, SHARED_BEFORE, SHARED_LATER = (Issuer("secret", secret=SECRET + more) for more in ("", "before", "later"))


def token(issuer: Issuer, **claims: object) -> str:
    now = int(time.time())
    return issuer.token(**{"iat": now - 60, "exp": now + 3600} | claims)


def one_line(*issuers: Issuer) -> str:
    """Return public keys as an environment has them, one after another."""
    return "".join(issuer.pem for issuer in issuers).replace("\n", "\\n")


def is_good(gateway: Gateway, text: str) -> None:
    """See that a token opens what is its user's, by each way in."""
    with ExitStack() as stack:
        for options in (
            {"additional_headers": {"Authorization": f"Bearer {text}"}},
            {"subprotocols": ["mesaya.v1", f"bearer.{text}"]},
            {},
        ):
            client = stack.enter_context(connected(gateway.url, **options))
            said = client.welcome if options else client.ask(type="auth", token=text, id=1)
            assert (said["user"], said["roles"]) == ("u1", ["USER"])
            client.subscribe(OWN)
        events = stack.enter_context(reading(gateway.port, [OWN], token=text))
        assert next(iter(events))["user"] == "u1"


def is_not_good(gateway: Gateway, text: str, status: int, code: str) -> None:
    """See that a token is refused by each way in, with a status where there is one, and with a code."""
    headers = {"Authorization": f"Bearer {text}"}
    with pytest.raises(InvalidStatus) as caught, connected(gateway.url, additional_headers=headers):
        pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body)["error"]["code"] == code
    with connected(gateway.url, subprotocols=["mesaya.v1", f"bearer.{text}"]) as client:
        assert client.receive()["code"] == code
        assert client.closed_with() == (4401 if status == 401 else 1013)
    with connected(gateway.url) as client:
        assert client.ask(type="auth", token=text)["code"] == code
        assert client.ask(type="subscribe", channel=OWN)["code"] == "unauthorized"
    answer = gateway.request(f"/events?channel={OWN}", **headers)
    assert (answer[0], json.loads(answer[2])["error"]["code"]) == (status, code)


@contextmanager
def key_set(folder: Path, scheme: str, *issuers: Issuer) -> Iterator[dict[str, str]]:
    """Publish a key set; yield the settings with which it is read."""
    with ExitStack() as stack:
        tls, settings = None, {}
        if scheme == "https":
            authority, file = trustme.CA(), folder / "authority.pem"
            authority.cert_pem.write_to_path(file)
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(tls)
            settings = {"SSL_CERT_FILE": str(file)}
        yield settings | {"JWT_JWKS_URL": stack.enter_context(publishing(*issuers, tls=tls)).url}


SOURCES = {
    "RS256": ([RSA], {"JWT_PUBLIC_KEY": one_line(RSA)}),
    "ES256": ([EC], {"JWT_PUBLIC_KEY": one_line(EC)}),
    "EdDSA": ([ED], {"JWT_PUBLIC_KEY": one_line(ED)}),
    "several PEMs": ([RSA, EC, ED], {"JWT_PUBLIC_KEY": one_line(RSA, EC, ED)}),
    "HS256": ([SHARED, SHARED_BEFORE], {"JWT_SECRET": SHARED.private, "JWT_SECRET_PREVIOUS": SHARED_BEFORE.private}),
    "JWKS by http of this machine": (NAMED, "http"),
    "JWKS by https": (NAMED, "https"),
}


@pytest.mark.parametrize(("issuers", "source"), SOURCES.values(), ids=SOURCES)
def test_tokens_of_each_key_are_good_and_those_of_others_are_not(tmp_path, issuers, source):
    with ExitStack() as stack:
        settings = source if isinstance(source, dict) else stack.enter_context(key_set(tmp_path, source, *issuers))
        gateway = stack.enter_context(running(tmp_path, AUTH="on", **settings))
        for issuer in issuers:
            is_good(gateway, token(issuer))
        stranger = SHARED_LATER if issuers[0].kind == "secret" else OTHER
        # Under the name of a key that is published, or there would be a new one to be looked for.
        named = {"kid": issuers[0].id} if issuers[0].id else {}
        is_not_good(gateway, token(stranger, header=named), 401, "bad_token")


def test_keys_are_changed_by_a_reload_and_the_tokens_of_both_are_good_meanwhile(tmp_path, start_gateway):
    settings = tmp_path / ".env"
    settings.write_text(f'JWT_PUBLIC_KEY="{one_line(RSA)}"\n')
    gateway = start_gateway(AUTH="on")
    is_good(gateway, token(RSA))
    is_not_good(gateway, token(ED), 401, "bad_token")
    for number, (keys, good, bad) in enumerate((([RSA, ED], [RSA, ED], EC), ([ED], [ED], RSA)), 1):
        settings.write_text(f'JWT_PUBLIC_KEY="{one_line(*keys)}"\n')
        gateway.send_signal(signal.SIGHUP)
        gateway.until(
            lambda count=number: len(gateway.logged("reloaded")) == count, 2 * START_TIMEOUT, "it is reloaded"
        )
        for issuer in good:
            is_good(gateway, token(issuer))
        is_not_good(gateway, token(bad), 401, "bad_token")


def test_new_key_of_a_key_set_is_found_by_its_first_token_and_an_issuer_that_fails_signs_nobody_out(start_gateway):
    old, new, next_one = NAMED
    with publishing(old) as server:
        gateway = start_gateway(AUTH="on", JWT_JWKS_URL=server.url)
        with connected(gateway.url, additional_headers={"Authorization": f"Bearer {token(old)}"}) as client:
            client.subscribe(OWN)
            server.issuers = (old, new)
            is_good(gateway, token(new))
            assert server.asked == 2
            # The next one is not looked for within 30 s: whether it is good nobody can say.
            server.status, server.issuers = 503, (next_one,)
            is_not_good(gateway, token(next_one), 503, "unavailable")
            for issuer in (old, new):
                is_good(gateway, token(issuer))
            assert (server.asked, client.ask(type="ping")["type"]) == (2, "pong")


def test_workers_are_not_ready_before_they_have_read_the_key_set_and_serve_what_is_public_meanwhile(tmp_path):
    [issuer, *_] = NAMED
    with publishing(issuer) as server:
        server.hold()
        with running(tmp_path, ready=False, AUTH="on", WORKERS="2", JWT_JWKS_URL=server.url) as gateway:
            gateway.until(lambda: server.asked == 2, START_TIMEOUT, "both workers read the keys")
            gateway.until(lambda: gateway.health()["live"], START_TIMEOUT, "they have read the log")
            status, _, body = gateway.request("/health/ready")
            assert (status, b"The keys of JWT_JWKS_URL are still being read." in body) == (503, True)
            with connected(gateway.url) as client:
                client.subscribe("global:restaurants")
                # It may be good: a page that is answered otherwise would ask its user to sign in again.
                assert client.ask(type="auth", token=token(issuer))["code"] == "unavailable"
            server.release()
            gateway.until(lambda: gateway.metric("mesaya_keys") == 2, START_TIMEOUT, "both have the key")
            gateway.wait_ready()
            for _ in range(4):
                is_good(gateway, token(issuer))
