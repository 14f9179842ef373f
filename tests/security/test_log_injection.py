"""What strangers send cannot make up lines of the log, in JSON or as text, nor move a terminal's cursor."""

import json
import re

import pytest

from tests.e2e.raw import raw
from tests.security.conftest import TOKEN
from tests.support.gateway import Gateway, running
from tests.support.wire import close, frame, handshake
from tests.timing import PATIENCE

MARK = "forged"
EVIL = (
    f'{MARK}\r\n{{"event":"{MARK}","level":"error"}}\n2026-01-01T00:00:00Z [error    ] {MARK}'
    f"\x1b[2J\x1b]0;{MARK}\x07\x00\x85\u2028"
)
EVIL_BYTES = EVIL.encode()
HEADERS = (
    b"Origin",
    b"Host",
    b"User-Agent",
    b"X-Forwarded-For",
    b"Authorization",
    b"Sec-WebSocket-Protocol",
    b"Cookie",
)

ESCAPE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What would move a cursor, or be taken for the end of a line."""


def attack(gateway: Gateway) -> None:
    """Send it in every place that there is."""
    line = EVIL_BYTES.replace(b"\r", b"").replace(b"\n", b"")
    for value in (EVIL_BYTES, line, line.replace(b"\x00", b"").replace(b" ", b"")):
        for header in HEADERS:
            with raw(gateway.port) as client:
                client.send(handshake({header: value}), frame(b'{"type":"ping"}'), close(1000))
                client.everything()
        for request in (b"GET /" + value, b"GET /ws?" + value, value, b"POST /publish"):
            with raw(gateway.port) as client:
                client.send(request + b" HTTP/1.1\r\nHost: x\r\nX: " + value + b"\r\n\r\n")
                client.everything()
    text = json.dumps(EVIL).encode()
    messages = (EVIL_BYTES.replace(b"\x00", b""), b'{"type":%s}' % text, b'{"type":"subscribe","channel":%s}' % text)
    with raw(gateway.port) as client:
        client.shake_hands()
        client.send(*map(frame, messages), frame((1000).to_bytes(2) + line[:100], 8))
        client.everything()
    record = {"event_type": EVIL, "entity_id": EVIL, "data": {EVIL: EVIL, "restaurantId": [EVIL]}, "timestamp": EVIL}
    for topic in ("mesa-ya.reviews.events", EVIL):
        assert gateway.publish({"topic": topic, "value": record})[0] == 422
    assert gateway.publish({"event": EVIL, "payment_id": EVIL, "status": EVIL}, "/broadcast")[0] == 422


@pytest.mark.parametrize("form", ["json", "text"])
def test_log_has_no_line_that_a_stranger_made(tmp_path, form):
    settings = {"LOG_FORMAT": form, "LOG_LEVEL": "debug", "PUBLISH_TOKEN": TOKEN, "PORT": "0"}
    with running(tmp_path, ready=False, **settings) as gateway:
        gateway._port = listening_port(gateway)
        gateway.wait_ready()
        attack(gateway)
        output = gateway.output
    assert not ESCAPE.search(output)
    for line in output.splitlines():
        if form == "json":
            assert json.loads(line)["event"] != MARK
        else:
            assert re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z \[(debug|info|warning) *\] ", line), line


def listening_port(gateway: Gateway) -> int:
    """Return the port that a gateway listens on, in whatever form it says so."""
    pattern = re.compile(r'"?port"?[=:] ?(\d+)')

    def found() -> int:
        lines = [line for line in gateway.output.splitlines() if "listening" in line]
        match = pattern.search(lines[-1]) if lines else None
        return int(match[1]) if match else 0

    return gateway.until(found, PATIENCE, "it listens")
