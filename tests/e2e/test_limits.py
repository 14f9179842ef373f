"""Each limit on clients, on a real gateway: a setting, a code, a metric by its reason, and lines in the log.

The lines say which connection it was, where the client is, and whose it is; those that cost a process of their own come
last.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import connected
from tests.e2e.event_reader import reading
from tests.e2e.identity import SETTINGS, token
from tests.e2e.raw import RawClient, raw
from tests.support.gateway import Gateway, running
from tests.support.wire import BINARY, CONTINUATION, TEXT, frame, handshake
from tests.timing import PATIENCE

USER = "u1"
TIGHT = {
    "LOG_LEVEL": "debug",
    "MAX_CONNECTIONS_PER_USER": "1",
    "MAX_SUBSCRIPTIONS": "1",
    "MAX_FRAGMENTS": "4",
    "MESSAGE_TIMEOUT": "1",
    "PING_INTERVAL": "4",
    "HANDSHAKE_TIMEOUT": "4",
    "MAX_HEAD_BYTES": "2000",
    "MAX_MESSAGE_BYTES": "1000",
    "BYTES_PER_SECOND": "1024",
    "CLOSE_TIMEOUT": "1",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running(tmp_path_factory.mktemp("limits"), **SETTINGS, **TIGHT) as gateway:
        yield gateway


class Book:
    """What a gateway has logged and counted since the beginning of a test."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._begin = len(gateway.output)
        self._limits = self._samples()

    def _samples(self) -> dict[str, float]:
        names = ("limits_exceeded", "requests_rejected", "client_messages")
        lines = self._gateway.request("/metrics")[2].decode().splitlines()
        samples = (
            line.rpartition(" ") for line in lines if line.startswith(tuple(f"mesaya_{it}_total" for it in names))
        )
        return {sample.split('"')[1]: float(value) for sample, _, value in samples}

    def has_counted(self, reason: str) -> bool:
        return self._samples().get(reason, 0) == self._limits.get(reason, 0) + 1

    def lines(self, event: str) -> list[dict[str, Any]]:
        entries = map(json.loads, self._gateway.output[self._begin :].splitlines())
        return [entry for entry in entries if entry["event"] == event]

    def line(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the one line of that name and with those fields, once it is there."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines(event) if fields.items() <= line.items()]

        self._gateway.until(found, PATIENCE, f"the log says {event!r}")
        [line] = found()
        return line


@pytest.fixture
def book(gateway):
    return Book(gateway)


def signed_in(client: RawClient) -> str:
    """Open a WebSocket with a token; return where the client is."""
    client.shake_hands(handshake({b"Authorization": b"Bearer " + token(USER).encode()}))
    host, port = client.socket.getsockname()
    return f"{host}:{port}"


BROKEN = {
    "fragments": (frame(b"a", TEXT, final=False) + frame(b"a", CONTINUATION, final=False) * 4, 4029, "rate_limited"),
    "message_time": (frame(b"a", TEXT, final=False), 4408, "message_timeout"),
    "message_bytes": (frame(b"a" * 1001), 1009, "message_too_big"),
    "messages_per_second": (frame(b"{}") * 1000, 4029, "rate_limited"),
    "bytes_per_second": (frame(b"{}" + b" " * 900) * 400, 4029, "rate_limited"),
    "binary": (frame(b"a", BINARY), 1003, "unsupported_data"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_client_that_breaks_a_limit_is_closed_counted_and_named(gateway, book, reason):
    sent, code, name = BROKEN[reason]
    with raw(gateway.port) as client:
        address = signed_in(client)
        client.send(sent)
        assert client.closed_with() == (code, name)
    assert book.has_counted(reason)
    broke, closed = book.line("client broke a limit", reason=reason), book.line("connection closed", code=code)
    for line in (broke, closed):
        assert (line["address"], line["user"], line["level"]) == (address, USER, "info")
        assert line["connection"] == closed["connection"] != ""


@pytest.mark.parametrize(
    ("sent", "code", "status"),
    [
        (b"GET /ws HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000, "head_too_large", 431),
        (b"GET /ws HTTP/1.1\r\n", "head_too_late", 408),
        (b"GET /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request", 400),
    ],
)
def test_head_beyond_a_limit_is_refused_counted_and_its_sender_named(gateway, book, sent, code, status):
    with raw(gateway.port) as client:
        client.send(sent)
        assert client.refusal() == (status, code)
        host, port = client.socket.getsockname()
    assert book.has_counted(code)
    line = book.line("request refused", code=code)
    assert (line["status"], line["address"]) == (status, f"{host}:{port}")


def test_message_that_is_refused_names_the_client_also_one_that_signed_in_later(gateway, book):
    with connected(gateway.url) as client:
        assert client.ask(type="auth", token=token(USER))["type"] == "authenticated"
        client.subscribe("global:restaurants")
        for more, code in (
            ({"type": "subscribe", "channel": "restaurant:R:tables"}, "too_many_subscriptions"),
            ({"type": "subscribe", "channel": "user:u2:notifications"}, "unauthorized"),
            ({"type": "auth", "token": token(USER)[:-9]}, "bad_token"),
            ({"type": "auth", "token": token("u2")}, "other_user"),
        ):
            assert client.ask(**more)["code"] == code
            line = book.line("message refused", code=code)
            assert (line["user"], line["connection"]) == (USER, client.welcome["connection"])
        assert book.has_counted("too_many_subscriptions")
        assert book.has_counted("unauthorized")
    [subscribed] = book.lines("subscribed")
    assert (subscribed["level"], subscribed["channel"], subscribed["user"]) == ("debug", "global:restaurants", USER)
    assert subscribed["address"].startswith("127.0.0.1:")
    assert token(USER)[:20] not in gateway.output


def test_who_subscribes_by_http_is_named_at_debug_level(gateway, book):
    channel = f"user:{USER}:notifications"
    answer = gateway.request(
        f"/events?channel={channel}", Accept="application/json", Authorization=f"Bearer {token(USER)}"
    )
    assert answer[0] == 200
    line = book.line("subscribed", channel=channel)
    assert (line["level"], line["user"]) == ("debug", USER)
    assert line["connection"] == book.line("request answered", path="/events")["connection"]


def test_newest_connection_of_a_user_is_refused_also_one_that_reads_by_http(gateway):
    with connected(gateway.url, additional_headers={"Authorization": f"Bearer {token(USER)}"}) as held:
        book = Book(gateway)
        answer = gateway.request(f"/events?channel=user:{USER}:notifications", Authorization=f"Bearer {token(USER)}")
        assert (answer[0], json.loads(answer[2])["error"]["code"]) == (429, "too_many_of_user")
        assert book.has_counted("connections_per_user")
        assert book.line("request answered", code="too_many_of_user")["user"] == USER
        book = Book(gateway)
        with connected(gateway.url, additional_headers={"Authorization": f"Bearer {token(USER)}"}) as newest:
            assert newest.closed_with() == 4429
        assert book.has_counted("connections_per_user")
        assert book.line("connection closed", code=4429)["user"] == USER
        assert held.ask(type="ping")["type"] == "pong"


def statuses(gateway: Gateway, *forwarded: bytes) -> list[bytes]:
    """Return how each of several handshakes is answered, that is made while the others are open."""
    found = []
    with ExitStack() as stack:
        for value in forwarded:
            client = stack.enter_context(raw(gateway.port))
            client.send(handshake({b"X-Forwarded-For": value}))
            found.append(client.socket.recv(12)[-3:])
    return found


@pytest.mark.parametrize(
    ("settings", "forwarded", "code", "address"),
    [
        ({"MAX_CONNECTIONS": "2"}, [b"", b"", b""], "too_many_connections", None),
        (
            {"MAX_CONNECTIONS_PER_ADDRESS": "1", "TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8"},
            # What the client itself says of its way is not believed.
            [b"9.9.9.2, 10.0.0.1", b"9.9.9.1, 10.0.0.1", b"9.9.9.2, 9.9.9.1, 10.0.0.1"],
            "too_many_of_address",
            "9.9.9.1",
        ),
        ({"MAX_CONNECTIONS_PER_ADDRESS": "2"}, [b"9.9.9.1", b"9.9.9.2", b"9.9.9.3"], "too_many_of_address", None),
        ({"HANDSHAKES_PER_SECOND": "0.2"}, [b"", b"", b""], "too_many_handshakes", None),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_connection_beyond_a_limit_is_refused_counted_and_named(tmp_path: Path, settings, forwarded, code, address):
    with running(tmp_path, **SETTINGS, **settings) as gateway:

        def is_refused_beyond() -> bool:
            *let_in, refused = statuses(gateway, *forwarded)
            return let_in == [b"101"] * len(let_in) and refused in (b"429", b"503")

        # A probe has a place, too, until its end has been noticed.
        gateway.until(is_refused_beyond, PATIENCE, "all but the last are let in")
        assert gateway.metric("mesaya_requests_rejected_total", code=code) > 0
        line = gateway.logged("request refused")[-1]
        assert line["code"] == code
        assert line["address"] == address or (address is None and line["address"].startswith("127.0.0.1:"))


def test_stream_that_is_closed_is_logged_with_the_reason_and_its_user(tmp_path):
    with running(tmp_path, AUTH_REQUIRED="on", **SETTINGS) as gateway:
        with reading(gateway.port, ["user:u1:notifications"], token=token(USER, seconds=15)) as reader:
            *_, last = reader
        assert (last["code"], last["name"]) == (4401, "unauthenticated")
        line = gateway.event("connection closed")
        assert (line["code"], line["reason"], line["user"]) == (4401, "unauthenticated", USER)
        assert line["address"].startswith("127.0.0.1:")
