"""Opening a WebSocket to a gateway: what may go wrong with that, and whether it makes sense to try again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
import trio
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from mesaya_ws.groups import first

CONNECT_PATIENCE = 15.0
"""Seconds in which a WebSocket must be open, from the look-up of the name to the end of the handshake."""

LARGEST = 2**30
"""Characters that a message may have: a snapshot can be large."""

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""The refusals of a handshake that are not the client's fault for good, below 500."""

_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class RefusedError(Exception):
    """The gateway will not have this client: a subscription was refused, or the connection, for good.

    `code` is an error code, the name of a close code, or the code of an HTTP answer.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@asynccontextmanager
async def dialled(url: str) -> AsyncIterator[WebSocketConnection]:
    """Have a WebSocket to the gateway at `url` for the time of the context; it ends without a farewell.

    Raises, in a group, `RefusedError` when trying again would make no sense; else `OSError`, `TooSlowError` or
    `HandshakeError`.
    """
    parts = urlsplit(url)
    with trio.fail_after(CONNECT_PATIENCE) as patience:
        stream = _Stream(await _open_socket(url))
    try:
        async with stream, trio.open_nursery() as nursery:
            with trio.fail_at(patience.deadline):
                websocket = await wrap_client_stream(
                    nursery,
                    stream,  # type: ignore[arg-type]  # any stream will do
                    parts.netloc,
                    parts.path or "/",
                    max_message_size=LARGEST,
                )
            stream.opened = True
            yield websocket
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as group:
        rejection = first(group)
        raise _refusal(rejection) or rejection from None


class _Stream(trio.abc.Stream):
    """A stream whose end is an error until it is `opened`: trio-websocket would wait for its answer for ever."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self.opened = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what comes."""
        with self._end_told():
            data = await self._socket.receive_some(max_bytes)
            if not data and not self.opened:
                raise trio.BrokenResourceError
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


async def _open_socket(url: str) -> _Socket:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "wss":
        return await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    return await trio.open_tcp_stream(host, parts.port or 80)


def _refusal(rejection: ConnectionRejected) -> RefusedError | None:
    """Return why a handshake was refused, when it would be the next time, too."""
    status = rejection.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN:
        return None
    code, sentence = f"http_{status}", f"The gateway answers {status} instead of opening a WebSocket."
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        error = orjson.loads(rejection.body or b"")["error"]
        code, sentence = error["code"], error["message"]
    return RefusedError(code, sentence)
