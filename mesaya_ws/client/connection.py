"""Opening a WebSocket to a gateway: which errors there may be, and which of them make another attempt pointless."""

import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

import orjson
import trio
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from mesaya_ws.runtime.exceptions import first

MAX_MESSAGE_SIZE = 2**30
"""Characters of a message: a snapshot can be large."""

MAX_ANSWER_BYTES = 1024 * 1024
"""Bytes received before the WebSocket is open; a refusal has some hundreds."""

_RETRIABLE = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""Refusals of a handshake below 500 after which another attempt may succeed."""

_CODE = re.compile(r"[a-z][a-z0-9_]*")
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_TLS_RECORD = re.compile(rb"[\x15\x16]\x03")  # an alert or a handshake (RFC 8446, 5.1)

_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class RefusedError(Exception):
    """The gateway refused a subscription or the connection, and would refuse it again.

    `code` is an error code of the gateway, or the name of a close code.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class NotConnectedError(Exception):
    """There is no connection, for a reason that may pass; the message is the reason, to follow "not connected:"."""


@asynccontextmanager
async def open_connection(
    url: str,
    tls: ssl.SSLContext | None,
    token: str | None,
    *,
    timeout: float,  # noqa: ASYNC109 - not of what is done within the context
) -> AsyncIterator[WebSocketConnection]:
    """Open a WebSocket to the gateway at `url` for the time of the context; it ends without a closing handshake.

    `tls` is the context for `wss://`, by default the system's; the handshake brings the `token`. It is open within
    `timeout` seconds, from the look-up of the name to the end of the handshake. Raises, in a group, `RefusedError` when
    the gateway itself says that another attempt is pointless, and `NotConnectedError` for anything else: routers and
    load balancers answer with anything while the servers after them are replaced.
    """
    parts = urlsplit(url)
    stream: _Stream | None = None
    try:
        with trio.fail_after(timeout) as patience:
            stream = _Stream(await _open_socket(parts, tls))
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_at(patience.deadline):
                websocket = await wrap_client_stream(
                    nursery,
                    stream,  # type: ignore[arg-type]  # any stream will do
                    parts.netloc.rpartition("@")[2],
                    _resource(parts),
                    extra_headers=[] if token is None else [(b"Authorization", f"Bearer {token}".encode())],
                    max_message_size=MAX_MESSAGE_SIZE,
                )
            stream.opened = True
            yield websocket
            nursery.cancel_scope.cancel()
    except* Exception as group:
        if stream is not None and stream.opened:
            raise
        # A library's error for an answer that is no WebSocket says less than the first bytes of that answer.
        beginning = b"" if stream is None else stream.beginning
        raise _explained(first(group), parts, beginning, timeout) from first(group)


def require_websocket_url(url: str) -> None:
    """Raise `ValueError` unless `url` is the URL of a WebSocket (RFC 6455, 3).

    The message does not repeat the URL, which may hold secrets.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:
        raise ValueError("a gateway's URL is ws://host:port/ws, or wss://…")


def _resource(parts: SplitResult) -> str:
    """Return the resource name of a WebSocket's URL (RFC 6455, 3): a fragment is no part of it."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Stream(trio.abc.Stream):
    """A stream whose end is an error until it is `opened`: trio-websocket would wait for the answer without end.

    `beginning` holds the first bytes received, which show what kind of server answers.
    """

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self._received = 0
        self.beginning = b""
        self.opened = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return received bytes."""
        with self._ends_as_handshake_error():
            data = await self._socket.receive_some(max_bytes)
            if not self.opened:
                if not data:
                    raise trio.BrokenResourceError
                self.beginning = self.beginning or bytes(data[:16])
                self._received += len(data)
                if self._received > MAX_ANSWER_BYTES:
                    raise HandshakeError(f"the answer to the handshake is larger than {MAX_ANSWER_BYTES} bytes")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`."""
        with self._ends_as_handshake_error():
            await self._socket.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending might not block."""
        await self._socket.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the socket at once."""
        await trio.aclose_forcefully(self._socket)

    @contextmanager
    def _ends_as_handshake_error(self) -> Iterator[None]:
        try:
            yield
        except trio.BrokenResourceError as error:
            if self.opened:
                raise
            raise HandshakeError("the connection ended before it was open") from error


async def _open_socket(parts: SplitResult, tls: ssl.SSLContext | None) -> _Socket:
    host = parts.hostname or "localhost"
    if parts.scheme != "wss":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True, ssl_context=tls)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _explained(
    error: BaseException, parts: SplitResult, beginning: bytes, timeout: float
) -> RefusedError | NotConnectedError:
    """Return the error that a failure to open a WebSocket stands for."""
    host = parts.hostname
    match error:
        case ConnectionRejected():
            return _rejected(error)
        case trio.TooSlowError():
            sentence = f"there is no answer within {timeout:.0f} s"
        case HandshakeError() if not beginning:
            sentence = str(error)
        case socket.gaierror():
            sentence = f"the name {host} cannot be resolved ({error.strerror})"
        case OSError():
            sentence = _unreachable(error)
        case trio.BrokenResourceError():
            sentence = _without_tls(error.__cause__, host)
        case UnicodeError():
            sentence = f"{host} cannot be the name of a host"
        case _ if _TLS_RECORD.match(beginning):
            sentence = "what answers there speaks TLS: the URL begins with wss://"
        case _:
            sentence = "what answers there does not open a WebSocket: see host and port"
    return NotConnectedError(sentence)


def _unreachable(error: OSError) -> str:
    """Return why the host cannot be reached; Trio groups the errors of all its addresses."""
    cause = error.__cause__
    reason = first(cause) if isinstance(cause, BaseExceptionGroup) else error
    if isinstance(reason, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(reason, "strerror", None) or str(reason)


def _without_tls(cause: BaseException | None, host: str | None) -> str:
    """Return why a TLS handshake has failed."""
    match cause:
        case ssl.SSLCertVerificationError(verify_code=code) if code in _OTHER_NAME:
            return f"its certificate is for another name than {host}"
        case ssl.SSLCertVerificationError(verify_code=code) if code == _EXPIRED:
            return "its certificate has expired"
        case ssl.SSLCertVerificationError(verify_message=message):
            return f"its certificate is not to be trusted ({message}): name the certificate of its authority"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "PACKET_LENGTH_TOO_LONG"):
            return "what answers there does not speak TLS: the URL begins with ws://"
        case ssl.SSLError(reason=str(reason)):
            return f"the TLS handshake has failed ({reason})"
    return "the connection ended in the TLS handshake"


def _rejected(rejection: ConnectionRejected) -> RefusedError | NotConnectedError:
    """Return the error that an HTTP answer stands for: only the gateway's own format can mean a refusal for good."""
    status = rejection.status_code
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        error = orjson.loads(rejection.body or b"")["error"]
        code, sentence = error["code"], error["message"]
        if isinstance(code, str) and isinstance(sentence, str) and _CODE.fullmatch(code):
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _RETRIABLE:
                return NotConnectedError(sentence.rstrip("."))
            return RefusedError(code, sentence)
    location = next((value for name, value in rejection.headers or () if name.lower() == b"location"), None)
    # Its query may repeat ours, which may hold a token.
    where = f" and names {location.partition(b'?')[0][:200].decode('latin-1')!r}" if location else ""
    return NotConnectedError(f"the answer is {status}{where}, not a WebSocket")
