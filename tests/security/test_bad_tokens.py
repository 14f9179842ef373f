"""Bad tokens, by each way in: nobody is named by one, and none of it is in the log."""

import json
import time

import jwt
import pytest

from tests.e2e.raw import raw
from tests.issuer import Issuer, part
from tests.support.gateway import running
from tests.support.wire import CLOSE, frame, handshake

ISSUER, STRANGER = Issuer("RSA", number=1), Issuer("RSA", number=2)
CLAIMS = {"iss": "mesaYA-auth", "sub": "u1", "roles": ["USER"]}


def token(issuer=ISSUER, header=(), **claims):
    """Return a token that is good now, but for what is changed; a claim of None is left out."""
    now = int(time.time())
    claims = {**CLAIMS, "iat": now - 60, "exp": now + 3600, **claims}
    return issuer.signed(json.dumps({name: value for name, value in claims.items() if value is not None}), header)


def claims_with(more: str) -> str:
    """Return the claims of a good token as text, with more text in them."""
    return json.dumps({**CLAIMS, "exp": int(time.time()) + 3600})[:-1] + f", {more}}}"


def confused() -> str:
    """Return a token that is signed with the public key, as if that were a secret."""
    head, payload = part(json.dumps({"alg": "HS256", "typ": "JWT"})), part(claims_with('"x": 1'))
    signature = jwt.get_algorithm_by_name("HS256").sign(f"{head}.{payload}".encode(), ISSUER.pem.encode())
    return f"{head}.{payload}.{part(signature)}"


NOW = int(time.time())
BAD = {
    "empty": "",
    "no token": "hunter2",
    "algorithm none": part('{"alg": "none"}') + "." + part(claims_with('"x": 1')) + ".",
    "algorithm confusion": confused(),
    "another key": token(STRANGER),
    "another algorithm": token(Issuer("EC", number=1)),
    "signature of another": ".".join((*token().split(".")[:2], token(sub="u2").split(".")[2])),
    "truncated": token()[:-10],
    "without a signature": token().rpartition(".")[0] + ".",
    "expired": token(exp=NOW - 60),
    "no exp": token(exp=None),
    "exp as text": token(exp=str(NOW + 3600)),
    "exp huge": token(exp=1e30),
    "exp NaN": ISSUER.signed(claims_with('"exp": NaN')),
    "another issuer": token(iss="mesaya-auth"),
    "from the future": token(iat=NOW + 3600),
    "not yet": token(nbf=NOW + 3600),
    "sub a number": token(sub=7),
    "sub empty": token(sub=""),
    "sub of another grammar": token(sub="u1:notifications\n"),
    "roles as text": token(roles="ADMIN"),
    "duplicate claims": ISSUER.signed(claims_with('"sub": "u2"')),
    "another typ": token(header={"typ": "secevent+jwt"}),
    "crit": token(header={"crit": ["exp"]}),
    "over 8 KiB": token(more="x" * 7000),
}
HUGE = "e30." * 1_300_000


def by_header(value: str) -> bytes:
    return handshake({b"Authorization": b"Bearer " + value.encode()})


def by_subprotocol(value: str) -> bytes:
    return handshake({b"Sec-WebSocket-Protocol": b"mesaya.v1, bearer." + value.encode()})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    key = ISSUER.pem.replace("\n", "\\n")
    settings = {"AUTH": "on", "HOST": "127.0.0.1", "JWT_PUBLIC_KEY": key, "LOG_LEVEL": "debug"}
    with running(tmp_path_factory.mktemp("tokens"), **settings) as gateway:
        yield gateway
        output, metrics = gateway.output, gateway.request("/metrics")[2].decode()
        for secret in filter(None, (*BAD.values(), HUGE[:100], "hunter2")):
            assert secret not in output
            assert secret not in metrics
        assert '"level":"error"' not in output


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_token_in_the_header_is_answered_401(gateway, honest, bad):
    with raw(gateway.port) as client:
        client.send(by_header(bad))
        answer = client.everything()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b'\r\nWWW-Authenticate: Bearer error="invalid_token"' in head
    assert json.loads(body)["error"]["code"] == "bad_token"
    assert not bad or bad.encode() not in answer


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_token_as_a_subprotocol_gets_the_reason_and_is_closed(gateway, honest, bad):
    with raw(gateway.port) as client:
        client.shake_hands(by_subprotocol(bad))
        opcode, payload = client.frame()
        assert opcode != CLOSE
        error = json.loads(payload)
        assert (error["type"], error["code"]) == ("error", "bad_token")
        assert not bad or bad not in error["message"]
        assert client.closed_with() == (4401, "unauthenticated")


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_token_in_a_message_is_reported_and_changes_nothing(gateway, honest, bad):
    with raw(gateway.port) as client:
        client.shake_hands(handshake())
        for value, answered in ((token(), "authenticated"), (bad, "error")):
            client.send(frame(json.dumps({"type": "auth", "token": value}).encode()))
            _, payload = client.frame()
            answer = json.loads(payload)
            assert answer["type"] == answered
        assert answer["code"] == "bad_token"
        assert not bad or bad not in answer["message"]
        # It is still whose it was.
        client.send(frame(b'{"type": "subscribe", "channel": "user:u1:notifications"}'))
        assert json.loads(client.frame()[1])["type"] == "subscribed"


def test_message_with_a_token_of_5_mb_is_refused_before_it_is_read(gateway, honest):
    with raw(gateway.port) as client:
        client.shake_hands(handshake())
        try:
            client.send(frame(json.dumps({"type": "auth", "token": HUGE}).encode()))
            code, _ = client.closed_with()
        except ConnectionError:
            code = 1009  # it was closed before all had been read, and reset
        assert code == 1009


@pytest.mark.parametrize("way", [by_header, by_subprotocol])
def test_token_of_5_mb_is_refused_before_it_is_a_token(gateway, honest, way):
    with raw(gateway.port) as client:
        try:
            client.send(way(HUGE))
            status = client.everything().split()[1]
        except ConnectionError:
            status = b"431"  # it was answered before all had been read, and reset
        assert status == b"431"


@pytest.mark.parametrize("way", [by_header, by_subprotocol])
def test_good_token_is_let_in_and_its_user_named(gateway, way):
    with raw(gateway.port) as client:
        client.send(way(token()))
        client.send(b"\x88\x80\x00\x00\x00\x00")
        assert b'"user":"u1","roles":["USER"],"expiresIn":3' in client.everything()


@pytest.mark.parametrize("line", [b"GET /ws?token=%s HTTP/1.1", b"GET /ws?access_token=%s HTTP/1.1"])
def test_token_in_the_query_names_nobody(gateway, line):
    with raw(gateway.port) as client:
        client.send(handshake(line=line % token().encode()), b"\x88\x80\x00\x00\x00\x00")
        assert b'"user"' not in client.everything()


def test_two_tokens_are_refused(gateway):
    with raw(gateway.port) as client:
        value = token().encode()
        client.send(handshake({b"Authorization": b"Bearer " + value, b"Sec-WebSocket-Protocol": b"bearer." + value}))
        assert client.refusal() == (400, "bad_handshake")
