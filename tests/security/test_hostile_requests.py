"""Whatever a client or a proxy sends, and wherever it cuts that off, is no fault of ours, and no line for the log."""

import errno
import json
import random
import socket
import time
from typing import Any

import pytest

from mesaya_ws.runtime.logs import LINES
from tests.e2e.raw import raw
from tests.security.aftermath import MIB, check_log, memory
from tests.security.conftest import TOKEN
from tests.support.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, handshake
from tests.timing import PATIENCE

ROUNDS = 300

CHUNKED = b"POST /health HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n"
PUBLISH = b"POST /publish HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
RECORD = json.dumps({"topic": "mesa-ya.reviews.events", "value": {"event_type": "deleted", "entity_id": "v1"}}).encode()

GET = b"GET /health HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

REQUESTS = [
    GET,
    b"GET /health HTTP/1.1\r\nHost: gateway.test\r\n\r\n\x00 garbage\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\nGET /metrics HTTP/1.0\r\n\r\n",
    b"HEAD //[ HTTP/1.1\r\nHost: gateway.test:99999\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: gateway.test\r\nOrigin: http://[\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"no chunk\r\n",
    CHUNKED + b"5;" + b" " * 900 + b"\n\r\nhello\r\n0\r\nA:" + b" " * 900 + b"\x00\r\n\r\n",
    PUBLISH + b"Content-Length: %d\r\n\r\n" % len(RECORD) + RECORD,
    PUBLISH + b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n" + RECORD,
    PUBLISH + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(RECORD), RECORD),
    PUBLISH + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + RECORD,
    b"POST /broadcast HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer \xff\r\nContent-Length: 2\r\n\r\n{}",
    b"CONNECT gateway.test:80 HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    handshake() + frame(b'{"type":"subscribe","channel":"global:announcements","id":7}') + frame(b"\xff"),
    handshake({b"Transfer-Encoding": b"chunked"}) + b"5\r\nhello\r\n0\r\n\r\n",
]
WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b" " * 500,
    b"\t",
    b":",
    b",",
    b"chunked",
    b"HTTP/1.1",
    b"0",
    b"\xff\xfe",
    b"[",
)


def mutated(request: bytes, choice: random.Random) -> bytes:
    """Return a request in which some things have been put in, left out, or said twice."""
    for _ in range(choice.randrange(4)):
        start = choice.randrange(len(request) + 1)
        end = min(len(request), start + choice.choice((0, 1, 1, 4, 40)))
        middle = choice.choice((b"", choice.choice(WORDS), choice.randbytes(2), request[start:end] * 2))
        request = request[:start] + middle + request[end:]
    return request


def send(port: int, request: bytes, choice: random.Random) -> None:
    """Send a request in a few parts, and break it off somewhere, or wait for an answer."""
    cuts = sorted(choice.randrange(len(request) + 1) for _ in range(choice.randrange(3)))
    sent = request if choice.random() < 0.5 else request[: choice.randrange(len(request) + 1)]
    with raw(port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True):
                client.send(sent[start:end])
                if choice.random() < 0.3:
                    time.sleep(choice.random() * 0.005)  # so that the service has come to different places
            if choice.random() < 0.1:
                client.socket.shutdown(socket.SHUT_WR)
                client.everything()
        except (ConnectionResetError, BrokenPipeError):
            pass
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # it was reset before we could end it
                raise
        if choice.random() < 0.7:
            client.reset()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_is_sent_or_cut_is_a_fault_of_ours(gateway, bystander, seed):
    choice = random.Random(seed)
    before = len(gateway.output)
    for round in range(ROUNDS):
        send(gateway.port, mutated(REQUESTS[round % len(REQUESTS)], choice), choice)
    gateway.until(lambda: gateway.metric("mesaya_connections") <= 1, PATIENCE, "all but the bystander are gone")
    assert gateway.request("/health")[0] == 200
    check_log(gateway.output[before:])


PAYLOADS = (
    b"",
    b'{"type":"ping","id":[7]}',
    b'{"type":"subscribe","channel":"global:restaurants","snapshot":true}',
    b'{"type":"subscribe","channel":"restaurant:r1:tables","position":"AAAA"}',
    b"\x03\xe8",
    b"\x03\xe8\xff",
    b"\xe2\x82",
    b"x" * 125,
    b"x" * 70_000,
)


def any_frame(choice: random.Random) -> bytes:
    """Return a frame of which nothing need be as it should."""
    payload = choice.choice((*PAYLOADS, choice.randbytes(choice.randrange(130))))
    opcode = choice.choice((TEXT, TEXT, TEXT, CONTINUATION, BINARY, CLOSE, CLOSE, PING, PONG, 3, 15))
    odd: dict[str, Any] = {}
    if choice.random() < 0.1:
        odd["reserved"] = choice.randrange(8)
    if choice.random() < 0.05:
        odd["mask"] = None
    if choice.random() < 0.1:
        odd["announced"] = choice.choice((0, 125, 126, 65_535, 65_536, 2**31, 2**63, 2**64 - 1))
    return frame(payload, opcode, final=choice.random() < 0.7, **odd)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_is_said_in_frames_is_a_fault_of_ours(gateway, bystander, seed):
    choice = random.Random(seed)
    before = len(gateway.output)
    for _ in range(ROUNDS):
        send(gateway.port, handshake() + b"".join(any_frame(choice) for _ in range(choice.randrange(1, 8))), choice)
    gateway.until(lambda: gateway.metric("mesaya_connections") <= 1, PATIENCE, "all but the bystander are gone")
    check_log(gateway.output[before:])


@pytest.mark.parametrize("tail", [b"no chunk\r\n", b"5\r\nhello", b"0\r\nA: b\r\n", b""])
def test_a_reset_in_the_middle_of_a_body_is_no_fault_of_ours(gateway, bystander, tail):
    before = len(gateway.output)
    for _ in range(3 * LINES):
        with raw(gateway.port) as client:
            client.send(CHUNKED + tail)
            client.reset()
    assert gateway.request("/health")[0] == 200
    check_log(gateway.output[before:])


LARGE = {
    "heads": GET[:-2] + b"X: " + b" x" * 8000 + b"\r\n\r\n",
    "heads without an end": GET[:-2] + b"X: " + b"x" * 20_000,
    "bodies": PUBLISH + b"Content-Length: %d\r\n\r\n" % MIB + b"[" * MIB,
    "bodies that break off": PUBLISH + b"Content-Length: %d\r\n\r\n" % MIB + b"x" * (MIB // 2),
    "chunks": PUBLISH + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 20_000,
    "messages": handshake() + frame(b'{"type":"ping","id":"' + b"x" * 65_000 + b'"}') * 10,
    "messages without an end": handshake() + frame(b"x" * 65_000, final=False),
    "frames": handshake() + frame(b"", PING) * 200,
}


@pytest.mark.parametrize("sent", LARGE.values(), ids=LARGE)
def test_memory_comes_back(gateway, bystander, sent):
    """As many as fill the allocator come first; what the same number leaves then is what does not come back."""
    rounds = min(40, 10 * MIB // len(sent))
    before = 0
    for turn in range(2):
        before = memory(gateway) if turn else 0
        for _ in range(rounds):
            with raw(gateway.port) as client:
                try:
                    client.send(sent)
                    client.socket.shutdown(socket.SHUT_WR)
                    client.everything()
                except (ConnectionResetError, BrokenPipeError):
                    pass
    assert memory(gateway) - before < max(MIB, rounds * len(sent) // 10)
