"""What a client says to the servers that are compared, and how it knows their answers."""

from collections.abc import Callable

import orjson
from attrs import frozen

from load.wire import masked


@frozen
class ServerProtocol:
    """The language of a server.

    `hello` makes the frame that subscribes to a channel, from a position on if there is one; what holds `ready` is the
    answer. A server that sends `ping` as a message is to be answered with the same.
    """

    hello: Callable[[str, bytes | None], bytes]
    ready: bytes
    ping: bytes | None = None
    resumes: bool = False


def _subscribe(channel: str, position: bytes | None) -> bytes:
    message = {"type": "subscribe", "channel": channel}
    if position is not None:
        message["position"] = position.decode()
    return masked(orjson.dumps(message))


def _connect_and_subscribe(channel: str, _: bytes | None) -> bytes:
    return masked(b'{"id":1,"connect":{}}\n' + orjson.dumps({"id": 2, "subscribe": {"channel": channel}}))


PROTOCOLS = {
    "mesaya": ServerProtocol(_subscribe, b'"subscribed"', resumes=True),
    "centrifugo": ServerProtocol(_connect_and_subscribe, b'"id":2', ping=b"{}"),
}


def is_error(payload: bytes) -> bool:
    """Return whether a server's answer is a refusal."""
    return b'"error":' in payload or b'"type":"error"' in payload
