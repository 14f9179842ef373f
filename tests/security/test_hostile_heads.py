"""Whatever arrives instead of a proper request ends nothing but its own connection."""

from contextlib import ExitStack

import pytest

from tests.e2e.raw import raw
from tests.support.gateway import running
from tests.support.wire import handshake

MOST_BYTES = 2000
LONG = b"x" * MOST_BYTES
GET = b"GET /health HTTP/1.1\r\nHost: gateway.test\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One for all tests here: they do not disturb one another, which is what they are about."""
    settings = {
        "PUBLISH_TOKEN": "a token of the tests",
        "MAX_HEAD_BYTES": str(MOST_BYTES),
        "HANDSHAKE_TIMEOUT": "5",
        "CLOSE_TIMEOUT": "1",
    }
    with running(tmp_path_factory.mktemp("heads"), **settings) as gateway:
        yield gateway


@pytest.fixture
def refused(gateway):
    """Count the refusals with a code since the beginning of the test."""
    codes = ("bad_request", "bad_handshake", "head_too_late", "head_too_large")
    before = {code: gateway.metric("mesaya_requests_rejected_total", code=code) for code in codes}
    return lambda code: gateway.metric("mesaya_requests_rejected_total", code=code) - before[code]


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, "bad_request", id="nonsense"),
        pytest.param(bytes(range(128, 256)) + b"\r\n\r\n", 400, "bad_request", id="bytes"),
        pytest.param(b"GET /ws\r\n\r\n", 400, "bad_request", id="HTTP/0.9"),
        pytest.param(b"GET /ws HTTP/3.0\r\n\r\n", 400, "bad_request", id="HTTP/3"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", id="HTTP/2 with prior knowledge"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", 400, "bad_request", id="a path of bytes"),
        pytest.param(GET + b"no header\r\n\r\n", 400, "bad_request", id="no header"),
        pytest.param(GET + b"X: 1\r\n folded\r\n\r\n", 400, "bad_request", id="folded"),
        pytest.param(GET + b"X\x00: 1\r\n\r\n", 400, "bad_request", id="a null"),
        pytest.param(GET + b"X: " + LONG + b"\r\n\r\n", 431, "head_too_large", id="too large"),
        pytest.param(GET + b"X: " + LONG * 20, 431, "head_too_large", id="endless"),
        pytest.param(handshake(line=b"GET /elsewhere HTTP/1.1"), 404, "not_found", id="another path"),
        pytest.param(handshake(line=b"POST /ws HTTP/1.1"), 400, "bad_handshake", id="another method"),
        pytest.param(handshake({b"Host": None}), 400, "bad_request", id="no host"),
        pytest.param(handshake({b"Host": None}, b"GET /ws HTTP/1.0"), 400, "bad_handshake", id="no host, HTTP/1.0"),
        pytest.param(handshake({b"Content-Length": b"5"}), 400, "bad_handshake", id="a body"),
        pytest.param(
            GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request", id="two lengths"
        ),
        pytest.param(GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "bad_request", id="a coding"),
        pytest.param(GET + b"A:b" + b"\t" * 1900 + b"\x00\r\n\r\n", 400, "bad_request", id="blanks"),
        pytest.param(handshake({b"Host": b"caf\xe9"}), 400, "bad_request", id="a host of bytes"),
        pytest.param(handshake({b"Host": b"a\r\nHost: b"}), 400, "bad_request", id="two hosts"),
        pytest.param(handshake({b"Connection": b"close"}), 400, "bad_handshake", id="no upgrade"),
        pytest.param(handshake({b"Connection": b"Upgrad\xe9"}), 400, "bad_handshake", id="an upgrade of bytes"),
        pytest.param(handshake({b"Sec-WebSocket-Key": None}), 400, "bad_handshake", id="no key"),
        pytest.param(handshake({b"Sec-WebSocket-Key": b"short"}), 400, "bad_handshake", id="a short key"),
        pytest.param(handshake({b"Sec-WebSocket-Key": b"\xff" * 24}), 400, "bad_handshake", id="a key of bytes"),
        pytest.param(handshake({b"Sec-WebSocket-Version": None}), 426, "bad_version", id="no version"),
        pytest.param(handshake({b"Sec-WebSocket-Version": b"8"}), 426, "bad_version", id="an old version"),
        pytest.param(handshake({b"Sec-WebSocket-Version": b"13\xff"}), 426, "bad_version", id="a version of bytes"),
        pytest.param(handshake({b"Origin": b"http://evil.example"}), 403, "origin_not_allowed", id="another origin"),
        pytest.param(handshake({b"Origin": b"http://caf\xe9"}), 403, "origin_not_allowed", id="an origin of bytes"),
        pytest.param(handshake({b"Origin": b"null"}), 403, "origin_not_allowed", id="no origin"),
    ],
)
def test_what_is_no_proper_request_is_refused_and_counted(gateway, bystander, head, status, code):
    before = gateway.metric("mesaya_requests_rejected_total", code=code)
    with raw(gateway.port) as client:
        client.send(head)
        assert client.refusal() == (status, code)
    assert gateway.metric("mesaya_requests_rejected_total", code=code) == before + 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({b"Host": b"xn--a-"}, id="bad punycode"),
        pytest.param({b"Host": b"xn--\x7e.test:99999"}, id="worse punycode"),
        pytest.param({b"Connection": b"keep-alive, \xff, Upgrade"}, id="a connection of bytes"),
        pytest.param({b"Sec-WebSocket-Protocol": b"caf\xe9, \xff"}, id="protocols of bytes"),
        pytest.param({b"Sec-WebSocket-Extensions": b"\xff; caf\xe9=\xff"}, id="extensions of bytes"),
        pytest.param({b"Sec-WebSocket-Extensions": b"permessage-deflate"}, id="compression"),
        pytest.param({b"Cookie": b"caf\xe9=\xff"}, id="cookies of bytes"),
        pytest.param({b"Origin": b"http://LocalHost:5173"}, id="a page of this machine, without auth"),
        pytest.param({b"Origin": b"http://localhost:4200"}, id="an allowed origin"),
        pytest.param({b"Upgrade": b"h2c, WebSocket"}, id="several upgrades"),
    ],
)
def test_what_is_merely_odd_is_let_in(gateway, bystander, changes):
    with raw(gateway.port) as client:
        client.shake_hands(handshake(changes))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"GET /ws/ HTTP/1.1", id="a slash at the end"),
        pytest.param(b"GET /%77s?x=/ HTTP/1.1", id="percent-encoded"),
        pytest.param(b"GET http://gateway.test/ws HTTP/1.1", id="absolute form"),
        pytest.param(b"GET /ws HTTP/1.2", id="a later version"),
        pytest.param(b"GET /ws HTTP/1.0", id="an nginx without proxy_http_version"),
        pytest.param(b"\r\nGET /ws HTTP/1.1", id="an empty line first"),
    ],
)
def test_a_handshake_may_come_as_proxies_send_it(gateway, bystander, line):
    with raw(gateway.port) as client:
        client.shake_hands(handshake(line=line))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /health/ HTTP/1.1\r\nHost: x\r\n\r\n", id="a slash at the end"),
        pytest.param(b"GET http://x/health HTTP/1.1\r\nHost: y\r\n\r\n", id="absolute form"),
        pytest.param(b"GET /%68ealth HTTP/1.1\r\nHost: x\r\n\r\n", id="percent-encoded"),
        pytest.param(b"GET /health HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"HEAD /health/ready HTTP/1.0\r\n\r\n", id="only the head"),
        pytest.param(b"OPTIONS /health/ready HTTP/1.0\r\n\r\n", id="as HAProxy asks"),
        pytest.param(b"OPTIONS / HTTP/1.0\r\n\r\n", id="as HAProxy asks by default"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", id="the service as a whole"),
    ],
)
def test_health_may_be_asked_as_proxies_do(gateway, head):
    with raw(gateway.port) as client:
        client.send(head)
        assert client.everything().startswith(b"HTTP/1.1 20")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade\r\n\r\n", id="h2c"),
        pytest.param(GET + b"Cookie: caf\xe9\r\n\r\n", id="cookies of bytes"),
    ],
)
def test_requests_that_are_odd_are_answered_in_http_1(gateway, bystander, head):
    with raw(gateway.port) as client:
        client.send(head)
        assert client.everything().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("field", [b"Host: caf\xe9\r\n", b"Host: a\r\nHost: b\r\n", b""])
def test_requests_without_a_proper_host_are_refused_by_http_too(gateway, bystander, field):
    with raw(gateway.port) as client:
        client.send(b"GET /health HTTP/1.1\r\n" + field + b"\r\n")
        assert client.refusal() == (400, "bad_request")


def test_half_a_head_and_silence(gateway, bystander, refused):
    halves = [b"", b"\r\n\r\n", GET, handshake()[:-2]]
    with ExitStack() as stack:
        clients = [stack.enter_context(raw(gateway.port)) for _ in halves]
        for client, half in zip(clients, halves, strict=True):
            client.send(half)
        for client in clients:
            assert client.refusal() == (408, "head_too_late")
    assert refused("head_too_late") == len(halves)


def test_beginning_of_tls_is_refused_at_once(gateway, bystander, refused):
    with raw(gateway.port) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        assert client.refusal() == (400, "bad_request")
    assert refused("bad_request") == 1


def test_many_who_say_their_heads_slowly(gateway, bystander, refused):
    count, head = 100, handshake()
    with ExitStack() as stack:
        clients = [stack.enter_context(raw(gateway.port)) for _ in range(count)]
        for at in range(10):
            for client in clients:
                client.send(head[at : at + 1])
        assert gateway.request("/health")[0] == 200
        for client in clients:
            assert client.refusal() == (408, "head_too_late")
    assert refused("head_too_late") == count


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /he", id="half a head"),
        pytest.param(GET + b"\r\n", id="a request"),
        pytest.param(b"nonsense\r\n\r\n", id="nonsense"),
        pytest.param(handshake(line=b"GET / HTTP/1.1"), id="a handshake that is refused"),
    ],
)
@pytest.mark.parametrize("resets", [True, False], ids=["reset", "end"])
def test_clients_that_leave_without_waiting_for_the_answer(gateway, bystander, head, resets):
    for _ in range(20):
        with raw(gateway.port) as client:
            client.send(head)
            if resets:
                client.reset()


def test_whoever_is_refused_may_go_on_talking_for_a_while_only(gateway, bystander):
    with raw(gateway.port) as client:
        client.send(b"nonsense\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|pipe"):
            client.send_for_ever(bytes(10_000))
