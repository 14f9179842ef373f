from contextlib import suppress
from http import HTTPStatus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from mesaya_ws.core.wire.handshake import (
    END,
    MOST_FIELDS,
    MOST_TARGET_BYTES,
    HeadError,
    OriginError,
    accept_websocket,
    parse_head,
)
from tests.timing import LONGEST, take

ORIGINS = ("http://localhost:4200",)
HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: gateway:8080\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)


def refused(head, origins=ORIGINS):
    """Return status and code of the answer to a handshake that is refused."""
    with pytest.raises(HeadError) as caught:
        accept_websocket(parse_head(head), origins, auth=True)
    status, _, rest = caught.value.response(0).partition(b"\r\n")
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
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: a",
        b"GET / HTTP/1.1\r\nHost:\r\nhost: a",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.0\r\nHost: a/b",
        b"GET / HTTP/1.1\r\nHost: user@a",
        b"GET / HTTP/1.1\r\nHost: [::1",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nb",
        b"GET / HTTP/1.1\r\nHost: a\r\n: a",
        b"GET / HTTP/1.1\r\nHost : a",
        b"GET ws HTTP/1.1\r\nHost: a",
        b"GET * HTTP/1.1\r\nHost: a",
        b"GET http:///ws HTTP/1.1\r\nHost: a",
        b"GET http://user@a/ws HTTP/1.1\r\nHost: a",
        b"GET ftp://a/ws HTTP/1.1\r\nHost: a",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_head(data):
    with pytest.raises(HeadError) as caught:
        parse_head(data)
    assert caught.value.response(0).startswith(b"HTTP/1.1 400 ")


def framed(*fields: bytes, line: bytes = b"POST / HTTP/1.1"):
    return parse_head(b"\r\n".join((line, b"Host: x", *fields))).body_bytes


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ((), 0),
        ((b"Content-Length: 0",), 0),
        ((b"Content-Length: 123456789012345678",), 123456789012345678),
        ((b"Transfer-Encoding: Chunked",), None),
    ],
)
def test_how_long_a_body_is(fields, size):
    assert framed(*fields) == size


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 1"),
        (b"Content-Length: 1", b"Content-Length: 2"),
        (b"Content-Length: 1", b"Content-Length: 1"),
        (b"Content-Length: 1, 1",),
        (b"Content-Length:",),
        (b"Content-Length: -1",),
        (b"Content-Length: +1",),
        (b"Content-Length: 0x1",),
        (b"Content-Length: \xb2",),
        (b"Content-Length: " + b"9" * 5000,),
        (b"Transfer-Encoding:",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: chunked, gzip",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: gzip, chunked",),
    ],
)
def test_a_body_of_which_two_readers_could_differ_is_refused(fields):
    """RFC 9112, 6.1 and 6.3: behind a proxy that reads it otherwise, the rest would be another one's request."""
    with pytest.raises(HeadError) as caught:
        framed(*fields)
    assert caught.value.response(0).startswith(b"HTTP/1.1 400 ")


def test_a_body_in_chunks_is_not_for_http_1_0():
    with pytest.raises(HeadError):
        framed(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")


@pytest.mark.parametrize(
    ("line", "target", "path", "host"),
    [
        (b"GET /ws HTTP/1.1", "/ws", "/ws", "x"),
        (b"GET /ws/?a=/ HTTP/1.1", "/ws?a=/", "/ws", "x"),
        (b"GET /%77s HTTP/1.1", "/%77s", "/ws", "x"),
        (b"GET / HTTP/1.1", "/", "/", "x"),
        (b"GET // HTTP/1.1", "/", "/", "x"),
        (b"GET ?a HTTP/1.1", None, None, None),
        (b"GET http://gateway:8080/ws?a=b HTTP/1.1", "/ws?a=b", "/ws", "gateway:8080"),
        (b"GET WS://gateway HTTP/1.1", "/", "/", "gateway"),
        (b"GET https://[::1]?a HTTP/1.1", "/?a", "/", "[::1]"),
        (b"OPTIONS * HTTP/1.1", "/", "/", "x"),
    ],
)
def test_a_target_is_a_path_in_whatever_form_it_comes(line, target, path, host):
    """RFC 9112, 3.2: a server must take the absolute form, and must then take the host from it."""
    try:
        head = parse_head(line + b"\r\nHost: x")
    except HeadError:
        assert target is None
    else:
        assert (head.target, head.path, head.headers["host"]) == (target, path, host)


@pytest.mark.parametrize(("version", "minor"), [(b"1.0", 0), (b"1.1", 1), (b"1.2", 2), (b"1.9", 9)])
def test_every_version_of_http_1_is_taken(version, minor):
    """RFC 9110, 2.5: a later minor version is taken for the latest that is known."""
    assert parse_head(b"GET / HTTP/%s\r\nHost: x" % version).minor == minor
    assert accept_websocket(parse_head(HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/" + version)), ORIGINS, auth=True)


def test_only_http_1_0_has_no_host():
    assert "host" not in parse_head(b"GET / HTTP/1.0").headers


@pytest.mark.parametrize(
    ("fields", "line", "expects"),
    [
        (b"Expect: 100-Continue", b"POST / HTTP/1.1", True),
        (b"Expect: 100-continue", b"POST / HTTP/1.0", False),
        (b"X: y", b"POST / HTTP/1.1", False),
    ],
)
def test_request_that_expects_100_continue_is_recognized(fields, line, expects):
    assert parse_head(line + b"\r\nHost: x\r\n" + fields).expects_continue is expects


def test_there_may_be_so_many_fields():
    head = b"GET / HTTP/1.1\r\nHost: x"
    assert len(parse_head(head + b"\r\na: b" * (MOST_FIELDS - 1)).headers) == 2
    with pytest.raises(HeadError) as caught:
        parse_head(head + b"\r\na: b" * MOST_FIELDS)
    assert caught.value.code == "head_too_large"


def test_a_target_may_be_so_long():
    assert parse_head(b"GET " + b"/" * MOST_TARGET_BYTES + b" HTTP/1.1\r\nHost: x")
    with pytest.raises(HeadError) as caught:
        parse_head(b"GET " + b"/" * (MOST_TARGET_BYTES + 1) + b" HTTP/1.1\r\nHost: x")
    assert caught.value.response(0).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (None, None),
        (b"mesaya.v1", b"mesaya.v1"),
        (b"graphql-ws,\tmesaya.v1 , x", b"mesaya.v1"),
        (b"graphql-ws", None),
        (b"MESAYA.V1", None),
        (b"bearer.a.b.c, mesaya.v1", b"mesaya.v1"),
        (b"bearer.a.b.c", None),
        (b"mesaya.v2", None),
        (b"", None),
    ],
)
def test_the_sub_protocol_is_selected_when_it_is_offered(offered, selected):
    """RFC 6455, 4.2.2: a server may select none, but never one that was not offered."""
    head = HANDSHAKE if offered is None else HANDSHAKE + b"\r\nSec-WebSocket-Protocol: " + offered
    answer = accept_websocket(parse_head(head), ORIGINS, auth=True)
    assert (b"\r\nSec-WebSocket-Protocol: mesaya.v1\r\n" in answer) is (selected is not None)
    assert answer.lower().count(b"sec-websocket-protocol") == (selected is not None)


LARGEST = 65_536
"""Bytes of the heads that are tried here; MAX_HEAD_BYTES has a quarter of that as its default."""


@pytest.mark.parametrize(
    ("before", "repeated", "after"),
    [
        (b"A:b", b"\t", b"c"),
        (b"A:", b" ", b"\x00"),
        (b"A:", b" \t", b""),
        (b"A:", b"x ", b"\x00"),
        (b"A: ", b",", b""),
        (b"Upgrade: websocket", b" ,", b""),
        (b"Connection: ", b"Upgrade,", b""),
        (b"Transfer-Encoding: ", b"x,", b"chunked"),
        (b"Content-Length: ", b"1", b""),
        (b"Sec-WebSocket-Protocol: ", b"x, ", b"mesaya.v1"),
        (b"Sec-WebSocket-Key: ", b"AAAA", b""),
        (b"Origin: http://", b"a.", b""),
        (b"Host: ", b"a", b"/"),
        (b"Host: ", b":", b""),
        (b"", b"A", b" : b"),
        (b"", b"a: b\r\n", b"c: d"),
        (b"", b"a:\r\n", b"a:"),
        (b"", b"\r\n", b""),
    ],
)
@pytest.mark.parametrize("line", [HANDSHAKE, b"POST /publish HTTP/1.1\r\nHost: x"], ids=["handshake", "request"])
def test_no_head_takes_long(line, before, repeated, after):
    head = line + b"\r\n" + before + repeated * ((LARGEST - len(line) - 100) // len(repeated)) + after
    assert take(verify, head) <= LONGEST


@pytest.mark.parametrize("letter", [b"a", b"/", b"%", b"%41", b"%ff", b"?", b"://", b"#", b" ", b"*"])
@pytest.mark.parametrize("start", [b"/", b"http://", b"http://a/", b"/ws?", b""])
def test_no_target_takes_long(start, letter):
    for most in (LARGEST, MOST_TARGET_BYTES):
        target = start + letter * ((most - len(start)) // len(letter))
        head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket"
        assert take(verify, head) <= LONGEST


def verify(data):
    """Do all that is ever done with a head."""
    with suppress(HeadError):
        head = parse_head(data)
        assert head.upgrades_to_websocket or not head.expects_continue
        accept_websocket(head, ORIGINS, auth=True)


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
    client.receive_data(accept_websocket(head, ORIGINS, auth=True))
    [accepted] = list(client.events())
    assert isinstance(accepted, AcceptConnection)


def test_the_answer_of_the_rfc():
    answer = accept_websocket(parse_head(HANDSHAKE), ORIGINS, auth=True)
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b"/ws?x=1", b"/other", (HTTPStatus.NOT_FOUND, "not_found")),
        (b"GET", b"POST", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"keep-alive, Upgrade", b"keep-alive", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"Host", b"Content-Length: 5\r\nHost", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
        (b"Host", b"Transfer-Encoding: chunked\r\nHost", (HTTPStatus.BAD_REQUEST, "bad_handshake")),
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


def test_refused_origin_is_named_with_the_compared_host():
    page = HANDSHAKE.replace(b"Host", b"Origin: http://rebound.example:8080\r\nHost", 1)
    own = page.replace(b"gateway:8080", b"rebound.example:8080")
    with pytest.raises(OriginError) as caught:
        accept_websocket(parse_head(page), ORIGINS, auth=True)
    assert (caught.value.origin, caught.value.host) == ("http://rebound.example:8080", "gateway:8080")
    assert accept_websocket(parse_head(own), ORIGINS, auth=True)
    with pytest.raises(OriginError):
        accept_websocket(parse_head(own), ORIGINS, auth=False)
