"""One TCP port, two protocols: reads a request's head, and gives the connection to WebSocket or to HTTP."""

import itertools
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from mesaya_ws.core import http_errors
from mesaya_ws.core.head import END, HeadError, accept_websocket, parse_head, without_upgrade
from mesaya_ws.logs import about, get_logger
from mesaya_ws.metrics import Metrics
from mesaya_ws.settings import Settings

log = get_logger(__name__)

ServeWebSocket = Callable[[str, trio.SocketStream, bytes, bytes], Awaitable[None]]
"""Serves a client, given an id for the connection, its stream, the answer that opens it, and what it said already."""

ServeHttp = Callable[[trio.abc.HalfCloseableStream], Awaitable[None]]


class ReplayedStream(trio.abc.HalfCloseableStream):
    """A stream that first gives again what has already been read of it."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, seen: bytes) -> None:
        self._stream = stream
        self._seen = seen

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what was seen, then what the stream brings."""
        if self._seen:
            await trio.lowlevel.checkpoint()
            size = len(self._seen) if max_bytes is None else max_bytes
            seen, self._seen = self._seen[:size], self._seen[size:]
            return seen
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending makes sense."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End the sending side."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


class Acceptor:
    """Takes accepted TCP streams; whatever a client does, only its own connection ends by it.

    While it is `draining`, no new WebSocket is begun; HTTP goes on, so that `/health` can be asked.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, serve_websocket: ServeWebSocket, serve_http: ServeHttp
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._serve_websocket = serve_websocket
        self._serve_http = serve_http
        self._open = 0
        self.draining = False
        # Ids tell connections apart in the logs of all instances.
        self._instance = secrets.token_hex(3)
        self._serial = itertools.count(1)

    def room(self) -> int:
        """Return how many more connections there may be."""
        return self._settings.max_connections - self._open

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one client to the end of its connection; never raises, but when cancelled."""
        id = f"{self._instance}-{next(self._serial):x}"
        about(connection=id)
        self._open += 1
        try:
            await self._serve(id, stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception:
            log.exception("a connection ended by a fault of ours")
        finally:
            # Not by the stream, which would wait for a turn of the loop: a third of what the end of a connection costs.
            stream.socket.close()
            self._open -= 1

    async def _serve(self, id: str, stream: trio.SocketStream) -> None:
        try:
            answer, rest = await self._admit(stream)
        except HeadError as error:
            self._metrics.refusals[error.code] = self._metrics.refusals.get(error.code, 0) + 1
            log.debug("refused", code=error.code)
            # What is raised again and again would keep the frames of every time.
            await self._refuse(stream, error.with_traceback(None))
        else:
            if answer:
                await self._serve_websocket(id, stream, answer, rest)
            elif rest:
                await self._serve_http(ReplayedStream(stream, rest))

    async def _admit(self, stream: trio.SocketStream) -> tuple[bytes, bytes]:
        """Return the answer that opens a WebSocket, and what came behind the head; or nothing, and all that came."""
        if self._open > self._settings.max_connections:
            raise _TOO_MANY
        seen = await self._read_head(stream)
        if not seen:
            return b"", b""
        end = seen.index(END)
        head = parse_head(seen[:end])
        if not head.upgrades_to_websocket:
            return b"", without_upgrade(seen) if "upgrade" in head.headers else seen
        answer = accept_websocket(head, self._settings.allowed_origins)
        if self.draining:
            raise _DRAINING
        return answer, seen[end + len(END) :]

    async def _read_head(self, stream: trio.SocketStream) -> bytes:
        """Return what came up to the end of the head, and a little behind it; nothing when the client says nothing."""
        most = self._settings.max_head_bytes
        seen = _come_already(stream, most)
        if END not in seen and len(seen) <= most:
            with trio.move_on_after(self._settings.handshake_timeout) as patience:
                while END not in seen and len(seen) <= most:
                    data = await stream.receive_some()
                    if not data:
                        return b""
                    seen += data
            if patience.cancelled_caught:
                raise _TOO_LATE
        if not 0 <= seen.find(END) <= most:
            raise _TOO_LARGE
        return seen

    async def _refuse(self, stream: trio.SocketStream, error: HeadError) -> None:
        """Answer, and wait for the client to hang up, lest an answer be lost in a reset (RFC 9112, 9.6)."""
        with trio.move_on_after(self._settings.close_timeout):
            await stream.send_all(error.response)
            await stream.send_eof()
            async for _ in stream:
                pass


def _come_already(stream: trio.SocketStream, most: int) -> bytes:
    """Return what can be read without waiting: of many who come at once, the whole head, for some 40 µs less."""
    with suppress(OSError):  # nothing came, or a fault that whoever waits for more is told again
        return os.read(stream.socket.fileno(), most)
    return b""


_TOO_MANY = HeadError(
    http_errors.TOO_MANY_CONNECTIONS,
    "The service holds as many connections as it may (MAX_CONNECTIONS); try again later.",
    ("Retry-After", "5"),
)
_DRAINING = HeadError(http_errors.DRAINING, "This instance is going away; connect again.", ("Retry-After", "1"))
_TOO_LARGE = HeadError(http_errors.HEAD_TOO_LARGE, "The head of the request is too large (MAX_HEAD_BYTES).")
_TOO_LATE = HeadError(http_errors.HEAD_TOO_LATE, "The head of the request took too long (HANDSHAKE_TIMEOUT).")
