"""The head of a request (RFC 9112), as far as the choice between HTTP and WebSocket needs it.

A WebSocket handshake (RFC 6455, 4.2) is judged and answered here completely: no library behind it ever sees a client's
header values, and none keeps them for as long as the connection lasts.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from hashlib import sha1

import orjson
from attrs import frozen

from mesaya_ws.core import http_errors
from mesaya_ws.core.http_errors import HttpError

END = b"\r\n\r\n"
WEBSOCKET_PATH = "/ws"

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_HOST = re.compile(r"[!-+\--~]*")  # printable ASCII, but no comma, which joins repeated headers (RFC 9112, 3.2)


class HeadError(Exception):
    """A request that is refused before any protocol takes it; `response` is the whole HTTP answer."""

    def __init__(self, error: HttpError, sentence: str, *headers: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.code = error.code
        self.response = refusal(error, sentence, *headers)


@frozen
class Head:
    """A parsed head; header names in lower case, values as sent (Latin-1), repeated ones joined by commas."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def upgrades_to_websocket(self) -> bool:
        """Whether the client asks for a WebSocket, on whatever path."""
        return "websocket" in _tokens(self.headers.get("upgrade", ""))


def parse_head(data: bytes) -> Head:
    """Parse a head, given without the empty line that ends it. Raises `HeadError` when it is none."""
    first, *lines = data.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HeadError(http_errors.BAD_REQUEST, "The request does not begin with an HTTP/1.1 request line.")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise HeadError(http_errors.BAD_REQUEST, "The request has a line that is no header.")
        name, value = header[1].decode("ascii").lower(), header[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if not _HOST.fullmatch(headers.get("host", "")):
        raise HeadError(http_errors.BAD_REQUEST, "The request's Host is no host, or there are several.")
    return Head(match[1].decode("ascii"), match[2].decode("ascii"), headers)


def without_upgrade(data: bytes) -> bytes:
    """Return a request that does not ask for another protocol; a server may ignore that wish (RFC 9110, 7.8).

    Hypercorn would grant HTTP/2, whose requests no acceptor would see.
    """
    head, end, rest = data.partition(END)
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((b"upgrade:", b"http2-settings:"))]
    return b"\r\n".join(kept) + end + rest


def accept_websocket(head: Head, allowed_origins: Collection[str]) -> bytes:
    """Return the answer that opens the WebSocket which `head` asks for (RFC 6455, 4.2.2).

    Raises `HeadError` when the handshake is not one of RFC 6455, or its page may not use the service.
    """
    headers = head.headers
    if head.path != WEBSOCKET_PATH:
        raise HeadError(http_errors.NOT_FOUND, f"WebSockets are served at {WEBSOCKET_PATH}.")
    if head.method != "GET" or "upgrade" not in _tokens(headers.get("connection", "")) or "host" not in headers:
        raise HeadError(http_errors.BAD_HANDSHAKE, "A WebSocket handshake is a GET with Host and Connection: Upgrade.")
    if headers.get("sec-websocket-version") != "13":
        raise HeadError(
            http_errors.BAD_VERSION,
            "This service speaks version 13 of the WebSocket protocol.",
            ("Sec-WebSocket-Version", "13"),
        )
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        raise HeadError(http_errors.BAD_HANDSHAKE, "Sec-WebSocket-Key must be 16 bytes in base64.")
    origin = headers.get("origin")
    if origin is not None and not may_use(origin, headers["host"], allowed_origins):
        raise HeadError(http_errors.ORIGIN_NOT_ALLOWED, "Pages of this origin may not connect; see ALLOWED_ORIGINS.")
    proof = b64encode(sha1(f"{key}{_GUID}".encode("ascii"), usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + proof
        + END
    )


def may_use(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Return whether a page of `origin` (RFC 6454) may use the service: one that is listed, or our own at `host`."""
    return "*" in allowed or origin in allowed or origin in (f"http://{host}", f"https://{host}")


def refusal(error: HttpError, sentence: str, *headers: tuple[str, str]) -> bytes:
    """Return a whole HTTP answer that says no in JSON, and ends the connection."""
    body = orjson.dumps({"error": {"code": error.code, "message": sentence}})
    lines = [
        f"HTTP/1.1 {error.status} {error.status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("ascii") + END + body


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key.encode("ascii"), validate=True)) == 16
    except (Base64Error, UnicodeEncodeError):
        return False
