"""Opening a WebSocket to a gateway: what may go wrong with that, and whether it makes sense to try again."""

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

CONNECT_PATIENCE = 15.0
"""Seconds in which a WebSocket must be open, from the look-up of the name to the end of the handshake."""

LARGEST = 2**30
"""Characters that a message may have: a snapshot can be large."""

LARGEST_ANSWER = 1024 * 1024
"""Bytes that may come before the WebSocket is open; a refusal has some hundreds."""

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""The refusals of a handshake that are not the client's fault for good, below 500."""

_CODE = re.compile(r"[a-z][a-z0-9_]*")
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_TLS_RECORD = re.compile(rb"[\x15\x16]\x03")  # an alert or a handshake (RFC 8446, 5.1)

_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class RefusedError(Exception):
    """The gateway will not have this client: a subscription was refused, or the connection, for good.

    `code` is an error code of the gateway, or the name of a close code.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class NotConnectedError(Exception):
    """There is no connection now, for a reason that may pass; the message says why, after "not connected:"."""


@asynccontextmanager
async def open_connection(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebSocketConnection]:
    """Have a WebSocket to the gateway at `url` for the time of the context; it ends without a farewell.

    `tls` are the rules for `wss://`, by default the system's. Raises, in a group, `RefusedError` when the gateway says
    that trying again would make no sense, and `NotConnectedError` when anything else is in the way: routers and load
    balancers answer with anything while what is behind them is replaced.
    """
    parts = urlsplit(url)
    stream: _Stream | None = None
    try:
        with trio.fail_after(CONNECT_PATIENCE) as patience:
            stream = _Stream(await _open_socket(parts, tls))
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_at(patience.deadline):
                websocket = await wrap_client_stream(
                    nursery,
                    stream,  # type: ignore[arg-type]  # any stream will do
                    parts.netloc.rpartition("@")[2],
                    _resource(parts),
                    max_message_size=LARGEST,
                )
            stream.opened = True
            yield websocket
            nursery.cancel_scope.cancel()
    except* Exception as group:
        if stream is not None and stream.opened:
            raise
        # Whatever a library makes of an answer that is none: what was heard says more.
        raise _explained(first(group), parts, b"" if stream is None else stream.beginning) from first(group)


def require_websocket_url(url: str) -> None:
    """Raise `ValueError`, which does not repeat what may be secret, unless `url` is a WebSocket's (RFC 6455, 3)."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:
        raise ValueError("a gateway's URL is ws://host:port/ws, or wss://…")


def _resource(parts: SplitResult) -> str:
    """Return the resource name of a WebSocket's URL (RFC 6455, 3): a fragment is no part of it."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Stream(trio.abc.Stream):
    """A stream whose end is an error until it is `opened`: trio-websocket would wait for its answer for ever.

    `beginning` is the first of what came, which tells who is there.
    """

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self._received = 0
        self.beginning = b""
        self.opened = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what comes."""
        with self._end_told():
            data = await self._socket.receive_some(max_bytes)
            if not self.opened:
                if not data:
                    raise trio.BrokenResourceError
                self.beginning = self.beginning or bytes(data[:16])
                self._received += len(data)
                if self._received > LARGEST_ANSWER:
                    raise HandshakeError(f"the answer to the handshake is larger than {LARGEST_ANSWER} bytes")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`."""
        with self._end_told():
            await self._socket.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending makes sense."""
        await self._socket.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close it, without a farewell."""
        await trio.aclose_forcefully(self._socket)

    @contextmanager
    def _end_told(self) -> Iterator[None]:
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


def _explained(error: BaseException, parts: SplitResult, beginning: bytes) -> RefusedError | NotConnectedError:
    """Return what a failure to open a WebSocket means."""
    host = parts.hostname
    match error:
        case ConnectionRejected():
            return _rejected(error)
        case trio.TooSlowError():
            sentence = f"there is no answer within {CONNECT_PATIENCE:.0f} s"
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
    """Say why no connection can be had; Trio tells the reasons of all addresses in a group."""
    cause = error.__cause__
    reason = first(cause) if isinstance(cause, BaseExceptionGroup) else error
    if isinstance(reason, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(reason, "strerror", None) or str(reason)


def _without_tls(cause: BaseException | None, host: str | None) -> str:
    """Say why a TLS handshake has failed."""
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
    """Return what an answer means that is HTTP, but no WebSocket: only a refusal in our own words is for good."""
    status = rejection.status_code
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        error = orjson.loads(rejection.body or b"")["error"]
        code, sentence = error["code"], error["message"]
        if isinstance(code, str) and isinstance(sentence, str) and _CODE.fullmatch(code):
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN:
                return NotConnectedError(sentence.rstrip("."))
            return RefusedError(code, sentence)
    location = next((value for name, value in rejection.headers or () if name.lower() == b"location"), None)
    # Its query may hold what ours does, and that may be secret.
    where = f" and names {location.partition(b'?')[0][:200].decode('latin-1')!r}" if location else ""
    return NotConnectedError(f"the answer is {status}{where}, not a WebSocket")
