from http import HTTPStatus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from mesaya_ws.core.head import END, HeadError, accept_websocket, may_use, parse_head, without_upgrade

ORIGINS = ("http://localhost:4200",)
HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: gateway:8080\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


def refused(head, origins=ORIGINS):
    """Return status and code of the answer to a handshake that is refused."""
    with pytest.raises(HeadError) as caught:
        accept_websocket(parse_head(head), origins)
    status, _, rest = caught.value.response.partition(b"\r\n")
    return int(status.split()[1]), orjson.loads(rest.partition(END)[2])["error"]["code"]


def test_a_head_is_parsed():
    head = parse_head(b"POST /publish?a=b HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\nx-a: 2\r\nEmpty:")
    assert (head.method, head.target, head.path) == ("POST", "/publish?a=b", "/publish")
    assert head.headers == {"host": "x", "x-a": "1, 2", "empty": ""}
    assert not head.upgrades_to_websocket


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET",
        b"GET / HTTP/2.0",
        b"PRI * HTTP/2.0",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /\xff HTTP/1.1",
        b"GE\x00T / HTTP/1.1",
        b"GET / HTTP/1.1\r\nno header",
        b"GET / HTTP/1.1\r\n folded: x",
        b"GET / HTTP/1.1\r\nbad name: x",
        b"GET / HTTP/1.1\r\nHost: caf\xe9",
        b"GET / HTTP/1.1\r\nHost: two words",
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_head(data):
    with pytest.raises(HeadError) as caught:
        parse_head(data)
    assert caught.value.response.startswith(b"HTTP/1.1 400 ")


@given(st.binary())
def test_parsing_is_total(data):
    try:
        head = parse_head(data)
    except HeadError:
        return
    assert head.method
    assert head.target


def test_a_handshake_is_answered_as_a_client_expects():
    client = WSConnection(ConnectionType.CLIENT)
    request = client.send(Request(host="gateway:8080", target="/ws?x=1", extra_headers=[(b"Cookie", b"caf\xc3\xa9")]))
    head = parse_head(request.removesuffix(END))
    assert head.upgrades_to_websocket
    client.receive_data(accept_websocket(head, ORIGINS))
    [accepted] = list(client.events())
    assert isinstance(accepted, AcceptConnection)


def test_the_answer_of_the_rfc():
    answer = accept_websocket(parse_head(HANDSHAKE), ORIGINS)
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b"/ws?x=1", b"/other", (HTTPStatus.NOT_FOUND, "not_found")),
        (b"GET", b"POST", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"keep-alive, Upgrade", b"keep-alive", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"Host: gateway:8080\r\n", b"", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"Version: 13", b"Version: 8", (HTTPStatus.UPGRADE_REQUIRED, "bad_version")),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j\xff\xff==", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"Host", b"Origin: http://evil.example\r\nHost", (HTTPStatus.FORBIDDEN, "origin_not_allowed")),
        (b"Host", b"Origin: null\r\nHost", (HTTPStatus.FORBIDDEN, "origin_not_allowed")),
    ],
)
def test_handshakes_that_are_refused(old, new, answer):
    assert old in HANDSHAKE
    assert refused(HANDSHAKE.replace(old, new, 1)) == answer


def test_http2_is_not_asked_for():
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade\r\n\r\nbody"
    assert without_upgrade(asked) == b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\nbody"


@pytest.mark.parametrize(
    ("origin", "allowed", "verdict"),
    [
        ("http://localhost:4200", ORIGINS, True),
        ("http://localhost:4201", ORIGINS, False),
        ("https://localhost:4200", ORIGINS, False),
        ("http://gateway:8080", ORIGINS, True),
        ("http://gateway:8080.evil.example", ORIGINS, False),
        ("http://evil.example", ("*",), True),
        ("null", ORIGINS, False),
        ("null", ("*",), True),
        ("", ORIGINS, False),
        ("http://[", ORIGINS, False),
    ],
)
def test_which_pages_may_use_the_service(origin, allowed, verdict):
    assert may_use(origin, "gateway:8080", allowed) is verdict
