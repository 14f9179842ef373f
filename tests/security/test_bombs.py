"""Small texts that are dear to those who read them, or that two readers understand in two ways."""

import json

import pytest

from tests.e2e.raw import raw
from tests.security.conftest import TOKEN
from tests.support.wire import CLOSE, frame

DEEP = 30_000
BOMBS = {
    "lists in lists": b'{"type":"ping","id":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "lists without an end": b'{"type":"ping","id":' + b"[" * DEEP,
    "objects in objects": b'{"type":"ping","id":' + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"}",
    "NaN": b'{"type":"ping","id":NaN}',
    "Infinity": b'{"type":"ping","id":-Infinity}',
    "1e999": b'{"type":"ping","id":1e999}',
    "2^70": b'{"type":"ping","id":1180591620717411303424}',
    "a number of 60,000 digits": b'{"type":"ping","id":' + b"9" * 60_000 + b"}",
    "a lone surrogate": b'{"type":"ping","id":"\\ud800"}',
    "a lone surrogate in a name": b'{"type":"ping","\\udfff":1}',
    "a null character": b'{"type":"subscribe","channel":"global:restaurants\\u0000"}',
    "duplicate keys": b'{"type":"ping","type":"subscribe","channel":"a","channel":"global:restaurants"}',
    "duplicate escaped keys": b'{"type":"ping","typ\\u0065":"subscribe"}',
    "a byte order mark": b'\xef\xbb\xbf{"type":"ping"}',
    "a channel of a path": b'{"type":"subscribe","channel":"restaurant:../../etc/passwd:tables"}',
    "a prototype": b'{"type":"ping","__proto__":{"a":1},"constructor":{}}',
    "a huge position": b'{"type":"subscribe","channel":"global:restaurants","position":"' + b"A" * 60_000 + b'"}',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_message_is_answered_and_the_connection_goes_on(gateway, honest, bomb):
    with raw(gateway.port) as client:
        client.shake_hands()
        client.send(frame(bomb), frame(b'{"type":"ping","id":"and on"}'))
        for _ in range(3):  # an answer, perhaps a snapshot, and the pong
            answer = client.frame()
            assert answer is not None
            assert answer[0] != CLOSE
            message = json.loads(answer[1])
            if message.get("id") == "and on":
                break
        assert message["type"] == "pong"


def posted(path: str, body: bytes) -> bytes:
    """Return a request with the token of the publisher."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("path", ["/publish", "/broadcast"])
def test_body_is_answered_with_an_error_of_its_own(gateway, honest, path, bomb):
    with raw(gateway.port) as client:
        client.send(posted(path, bomb))
        status, code = client.refusal()
        assert (status, code) in {(400, "bad_json"), (413, "body_too_large"), (422, "bad_message")}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_record_with_it_inside_is_refused_or_harms_nobody(gateway, honest, bomb):
    """What is accepted is read back from the log; the gateway goes on."""
    value = b'{"event_type":"created","entity_id":"a1","data":{"title":' + bomb + b"}}"
    body = b'{"topic":"mesa-ya.announcements.events","value":' + value + b"}"
    with raw(gateway.port) as client:
        client.send(posted("/publish", body))
        status = int(client.everything().split()[1])
        assert status in (201, 400, 413, 422)
    assert gateway.announce("and on") == 201
