"""The head of a request (RFC 9112), as far as the choice between HTTP and WebSocket needs it.

A WebSocket handshake (RFC 6455, 4.2) is checked and answered here completely. Of HTTP requests, everything that frames
them is checked here, too: no library ever parses a client's head, and none keeps it for as long as a WebSocket lasts.

Whatever a client sends, the time that this takes grows with the size of the head, and no faster.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection, Iterable
from email.utils import formatdate
from functools import lru_cache, partial
from hashlib import sha1
from urllib.parse import unquote

import orjson
from attrs import evolve, frozen

from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.http_errors import HttpError
from mesaya_ws.core.wire.origins import may_use

END = b"\r\n\r\n"
WEBSOCKET_PATH = "/ws"
SUBPROTOCOL = "mesaya.v1"
"""The only sub-protocol that is ever selected (RFC 6455, 1.9); it names the messages that everybody is served."""

MOST_FIELDS = 200
"""Header fields in one request; twice of what Apache takes, and some ten times of what browsers send."""

REMEMBERED_NAMES = 256
"""Names of header fields that are remembered, of any client: those that are in use are some dozens."""

MOST_TARGET_BYTES = 8192
"""Bytes of a request's path and query (RFC 9112, 3: "at least 8000")."""

_SELECTION = f"\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}".encode("ascii")
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([0-9])")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# `uri-host [":" port]` (RFC 9110, 7.2), but no comma, which joins repeated fields.
_HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+;=-]*|\[[A-Za-z0-9:.]+\])(?::[0-9]*)?")
_ABSOLUTE = re.compile(r"(?:https?|wss?)://([^/?#]+)((?:[/?][^#]*)?)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")


class HeadError(Exception):
    """A request that is refused before any protocol takes it."""

    def __init__(self, error: HttpError, sentence: str, *headers: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.code = error.code
        self.status = error.status
        self._answer = partial(refusal, error=error, sentence=sentence, headers=headers)

    def response(self, now: float, *, has_content: bool = True) -> bytes:
        """Return the whole HTTP answer, given the time of day in seconds; one to HEAD has no content."""
        return self._answer(now, has_content=has_content)


@frozen
class Head:
    """A parsed head; header names in lower case, values as sent (Latin-1), repeated ones joined by commas.

    `target` is in origin form (RFC 9112, 3.2.1) and its path ends without a slash, in whatever form the client wrote
    it; `minor` is that of the version HTTP/1.x. The body has `body_bytes`; None says that it comes in chunks.
    """

    method: str
    target: str
    headers: dict[str, str]
    minor: int = 1
    body_bytes: int | None = 0

    @property
    def path(self) -> str:
        """The target without its query, its percent-encoding undone."""
        path = self.target.partition("?")[0]
        return unquote(path) if "%" in path else path

    @property
    def upgrades_to_websocket(self) -> bool:
        """Whether the client asks for a WebSocket, on whatever path.

        The version does not matter: to ignore the wish of an HTTP/1.0 client (RFC 9110, 7.8) would cut off all who
        come through an nginx without `proxy_http_version 1.1`, which hands the rest of the handshake on as it should.
        """
        return "websocket" in _tokens(self.headers.get("upgrade", ""))

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends its body (RFC 9110, 10.1.1)."""
        return self.minor > 0 and "100-continue" in _tokens(self.headers.get("expect", ""))


class OriginError(HeadError):
    """A handshake of a page of `origin`, which may not use the service; it called it by the name `host`."""

    def __init__(self, origin: str, host: str) -> None:
        super().__init__(http_errors.ORIGIN_NOT_ALLOWED, "Pages of this origin may not connect; see ALLOWED_ORIGINS.")
        self.origin = origin
        self.host = host


def parse_head(data: bytes) -> Head:
    """Parse a head, given without the empty line that ends it. Raises `HeadError` when it is none."""
    first, *lines = data.decode("latin-1").split("\r\n", MOST_FIELDS + 1)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise _bad_request("The request does not begin with an HTTP/1.1 request line.")
    if len(match[2]) > MOST_TARGET_BYTES:
        raise HeadError(http_errors.TARGET_TOO_LONG, f"The request's target is longer than {MOST_TARGET_BYTES} bytes.")
    if len(lines) > MOST_FIELDS:
        raise HeadError(http_errors.HEAD_TOO_LARGE, f"The request has more than {MOST_FIELDS} header fields.")
    # What must not be in a value at all (RFC 9110, 5.5) is looked for in all of them at once: tokens are long.
    has_stray = b"\0" in data or not data.count(b"\r") == data.count(b"\n") == len(lines)
    headers: dict[str, str] = {}
    for line in lines:
        written, colon, value = line.partition(":")
        name = _field_name(written) if colon else None
        if has_stray or name is None:
            raise _bad_request("The request has a line that is no header field.")
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    method, target, minor = match[1], match[2], int(match[3])
    if not _HOST.fullmatch(headers.get("host", "")) or (minor and "host" not in headers):
        raise _bad_request("The request's Host is missing, or is no host, or there are several.")
    if not target.startswith("/"):
        target = _origin_form(method, target, headers)
    if target.partition("?")[0].endswith("/"):
        path, mark, query = target.partition("?")
        target = f"{path[:-1] or '/'}{mark}{query}"
    head = Head(method, target, headers, minor)
    if "transfer-encoding" in headers or "content-length" in headers:
        return evolve(head, body_bytes=_body_bytes(head))
    return head


@lru_cache(REMEMBERED_NAMES)
def _field_name(name: str) -> str | None:
    """Return a header field's name in lower case, None if it is none."""
    return name.lower() if _NAME.fullmatch(name) else None


def _origin_form(method: str, target: str, headers: dict[str, str]) -> str:
    """Return `target` as a path. In absolute form it says the host, and Host is ignored (RFC 9112, 3.2.2)."""
    if target == "*" and method == "OPTIONS":  # which asks about the service as a whole (RFC 9112, 3.2.4)
        return "/"
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not _HOST.fullmatch(absolute[1]):
        raise _bad_request("The request's target is neither a path nor a URL of this service.")
    headers["host"] = absolute[1]
    return absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"


def _body_bytes(head: Head) -> int | None:
    """Return how long the body is, by the rules of RFC 9112, 6.3; where two readers could differ, it is refused."""
    codings, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
    if codings is None:
        if length is None or not _LENGTH.fullmatch(length):
            raise _bad_request("Content-Length is no number of bytes, or there are several.")
        return int(length)
    if length is not None or not head.minor:
        raise _bad_request("Transfer-Encoding is not for HTTP/1.0, nor to be sent beside Content-Length.")
    # RFC 9112, 6.1, would have 501 for codings before it. Whoever sends any is no client of ours: 400, as for the rest.
    if _tokens(codings) != ["chunked"]:
        raise _bad_request("The only Transfer-Encoding that is understood is chunked, once.")
    return None


def _bad_request(sentence: str) -> HeadError:
    return HeadError(http_errors.BAD_REQUEST, sentence)


def accept_websocket(head: Head, allowed_origins: Collection[str], *, auth: bool) -> bytes:
    """Return the answer that opens the WebSocket which `head` asks for (RFC 6455, 4.2.2).

    Of the sub-protocols that a client offers, `SUBPROTOCOL` is selected, or none. Raises `HeadError` when the handshake
    is not one of RFC 6455, and `OriginError` when its page may not use the service (see `origins.may_use`).
    """
    headers = head.headers
    if head.path != WEBSOCKET_PATH:
        raise HeadError(http_errors.NOT_FOUND, f"WebSockets are served at {WEBSOCKET_PATH}.")
    if head.method != "GET" or "upgrade" not in _tokens(headers.get("connection", "")) or "host" not in headers:
        raise HeadError(http_errors.BAD_HANDSHAKE, "A WebSocket handshake is a GET with Host and Connection: Upgrade.")
    if head.body_bytes != 0:
        raise HeadError(http_errors.BAD_HANDSHAKE, "A WebSocket handshake has no body.")
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
    if origin is not None and not may_use(origin, headers["host"], allowed_origins, auth=auth):
        raise OriginError(origin, headers["host"])
    proof = b64encode(sha1(f"{key}{_GUID}".encode("ascii"), usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + proof
        + (_SELECTION if SUBPROTOCOL in offered_subprotocols(head) else b"")
        + END
    )


def offered_subprotocols(head: Head) -> list[str]:
    """Return the sub-protocols that a client offers (RFC 6455, 4.1); a token may be among them (see `credentials`)."""
    offered = head.headers.get("sec-websocket-protocol")
    return [] if offered is None else [name.strip(" \t") for name in offered.split(",")]


def refusal(
    now: float, error: HttpError, sentence: str, headers: Iterable[tuple[str, str]] = (), *, has_content: bool = True
) -> bytes:
    """Return a whole HTTP answer that says no in JSON, and ends the connection; `now` is the time of day in seconds."""
    body = orjson.dumps({"error": {"code": error.code, "message": sentence}})
    lines = [
        f"HTTP/1.1 {error.status} {error.status.phrase}",
        f"Date: {formatdate(now, usegmt=True)}",  # a server with a clock must say it (RFC 9110, 6.6.1)
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("ascii") + END + (body if has_content else b"")


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key.encode("ascii"), validate=True)) == 16
    except (Base64Error, UnicodeEncodeError):
        return False
