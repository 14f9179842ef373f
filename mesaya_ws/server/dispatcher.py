"""One TCP port, two protocols: reads a request's head, and gives the connection to WebSocket or to HTTP."""

import itertools
import os
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import time

import trio

from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.handshake import END, Head, HeadError, OriginError, accept_websocket, parse_head
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import bind_context, get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import Settings

log = get_logger(__name__)

ORIGINS = 100
"""Origins that are logged in a minute, each once."""

LONGEST_ORIGIN = 300
"""Characters of an origin, and of a host, that are logged; the longest names have some 260."""

ServeWebSocket = Callable[[str, trio.SocketStream, bytes, bytes], Awaitable[None]]
"""Serves a client, given an id for the connection, its stream, the answer that opens it, and what it said already."""

ServeHttp = Callable[[Head, trio.SocketStream, bytes], Awaitable[None]]
"""Answers a request, given its head, its stream, and what came behind the head already."""

RECEIVE = 16_384
"""Bytes that are received at once, at most."""

PROBES = frozenset({"/health", "/health/ready", "/metrics"})
"""What is answered even by an instance that is full: whoever watches it must not take it for dead. With `OPTIONS`, `/`
is, too: so HAProxy asks by default (`option httpchk`)."""

SPARE_PLACES = 64
"""Connections beyond all that there may be, for telling probes from others, and for answering both."""

SPARE_HEAD_SECONDS = 1.0
"""Time for a request's head on those."""

_LINE_END = b"\r\n"


class Dispatcher:
    """Takes accepted TCP streams; whatever a client does, only its own connection ends by it.

    While it is `draining`, no new WebSocket is begun; HTTP goes on, so that `/health` can be asked. It is full when it
    holds MAX_CONNECTIONS, which may have been lowered for another `bound`; then the `status` says so, and some more
    connections are heard, to answer probes, and to refuse all others. There are `SPARE_PLACES` for these; who has been
    refused, and then who has been there longest, gives way to who comes, so nobody can keep probes out by being slow.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        status: Status,
        serve_websocket: ServeWebSocket,
        serve_http: ServeHttp,
        bound: str = "MAX_CONNECTIONS",
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._status = status
        self._serve_websocket = serve_websocket
        self._serve_http = serve_http
        self._open = 0
        self._origins_told = LogLimiter(max_keys=ORIGINS, clock=trio.current_time)
        self._spare: OrderedDict[str, trio.CancelScope] = OrderedDict()
        self._full = f"It holds as many connections as it may ({bound})."
        self._too_many = HeadError(
            http_errors.TOO_MANY_CONNECTIONS,
            f"The service holds as many connections as it may ({bound}); try again later.",
            ("Retry-After", "5"),
        )
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
        bind_context(connection=id, address=_address(stream))
        try:
            if self.room() > 0:
                self._count(1)
                try:
                    await self._serve(id, stream)
                finally:
                    self._count(-1)
            else:
                await self._serve_beyond(id, stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception:
            log.exception("a connection ended by a fault of ours")
        finally:
            # Not by the stream, which would wait for a turn of the loop: a third of what the end of a connection costs.
            stream.socket.close()

    def _count(self, more: int) -> None:
        self._open += more
        self._status.full = None if self.room() > 0 else self._full

    async def _serve_beyond(self, id: str, stream: trio.SocketStream) -> None:
        """Serve a client in a spare place, for as long as that is not needed for another one."""
        if len(self._spare) >= SPARE_PLACES:
            _, longest = self._spare.popitem(last=False)
            longest.cancel()
        with trio.CancelScope() as place:
            self._spare[id] = place
            try:
                await self._serve(id, stream, is_spare=True)
            finally:
                self._spare.pop(id, None)

    async def _serve(self, id: str, stream: trio.SocketStream, *, is_spare: bool = False) -> None:
        request = None
        try:
            request = await self._hear(stream, is_spare)
            if request is None:
                return
            head, rest = request
            if is_spare and not _is_probe(head):
                raise self._too_many
            answer = self._admit(head) if head.upgrades_to_websocket else b""
        except HeadError as error:
            self._metrics.refusals[error.code] = self._metrics.refusals.get(error.code, 0) + 1
            log.info("request refused", code=error.code, status=int(error.status))
            if isinstance(error, OriginError) and self._origins_told.admit(error.origin) is not None:
                log.warning(
                    "pages of this origin may not connect (ALLOWED_ORIGINS)",
                    origin=error.origin[:LONGEST_ORIGIN],
                    host=error.host[:LONGEST_ORIGIN],
                )
            # What is raised again and again would keep the frames of every time.
            if id in self._spare:
                self._spare.move_to_end(id, last=False)
            has_content = request is None or request[0].method != "HEAD"
            await self._refuse(stream, error.with_traceback(None).response(time(), has_content=has_content))
        else:
            if answer:
                del head, request  # a connection may last for days
                await self._serve_websocket(id, stream, answer, rest)
            else:
                await self._serve_http(head, stream, rest)

    async def _hear(self, stream: trio.SocketStream, is_spare: bool) -> tuple[Head, bytes] | None:
        """Return the head of the client's request, and what came behind it; None when the client says nothing."""
        most = self._settings.max_head_bytes
        seen = _come_already(stream)
        end = _end_of_head(seen)
        if end < 0 and len(seen) <= most:
            seconds = self._settings.handshake_timeout
            with trio.move_on_after(min(seconds, SPARE_HEAD_SECONDS) if is_spare else seconds) as patience:
                seen = await _read_head(stream, seen, most)
            if patience.cancelled_caught:
                raise self._too_many if is_spare else _TOO_LATE
            if not seen:
                return None
            end = _end_of_head(seen)
        if not 0 <= end <= most:
            raise _TOO_LARGE
        return parse_head(seen[:end].lstrip(_LINE_END)), seen[end + len(END) :]

    def _admit(self, head: Head) -> bytes:
        """Return the answer that opens a WebSocket. Raises `HeadError` when there is to be none."""
        answer = accept_websocket(head, self._settings.allowed_origins, auth=self._settings.auth)
        if self.draining:
            raise _DRAINING
        return answer

    async def _refuse(self, stream: trio.SocketStream, answer: bytes) -> None:
        """Answer, and wait for the client to hang up, lest an answer be lost in a reset (RFC 9112, 9.6)."""
        with trio.move_on_after(self._settings.close_timeout):
            await stream.send_all(answer)
            await stream.send_eof()
            async for _ in stream:
                pass


def _is_probe(head: Head) -> bool:
    return not head.upgrades_to_websocket and (head.path in PROBES or (head.method, head.path) == ("OPTIONS", "/"))


def _address(stream: trio.SocketStream) -> str | None:
    """Return where a client is, as the network tells: a proxy, when one is in between. None: it is gone already."""
    try:
        host, port, *_ = stream.socket.getpeername()
    except (OSError, ValueError):  # gone, or no network at all
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _come_already(stream: trio.SocketStream) -> bytes:
    """Return what can be read without waiting: of many who come at once, the whole head, for some 40 µs less."""
    with suppress(OSError):  # nothing came, or a fault that whoever waits for more is told again
        return os.read(stream.socket.fileno(), RECEIVE)
    return b""


def _end_of_head(seen: bytes | bytearray, looked_at: int = 0) -> int:
    """Return where the head ends, or -1; before `looked_at` it does not.

    Empty lines before it do not belong to it (RFC 9112, 2.2); old clients send one after a body.
    """
    if seen.startswith(_LINE_END):
        looked_at = max(looked_at, len(seen) - len(seen.lstrip(_LINE_END)))
    return seen.find(END, max(0, looked_at - len(END) + 1))


async def _read_head(stream: trio.SocketStream, seen: bytes, most: int) -> bytes:
    """Return what came up to the end of the head, or more than `most` bytes of it; nothing when the client leaves."""
    head = bytearray(seen)
    looked_at = 0
    while _end_of_head(head, looked_at) < 0 and len(head) <= most:
        looked_at = len(head)
        data = await stream.receive_some(RECEIVE)
        if not data:
            return b""
        head += data
    return bytes(head)


_DRAINING = HeadError(http_errors.DRAINING, "This instance is going away; connect again.", ("Retry-After", "1"))
_TOO_LARGE = HeadError(http_errors.HEAD_TOO_LARGE, "The head of the request is too large (MAX_HEAD_BYTES).")
_TOO_LATE = HeadError(http_errors.HEAD_TOO_LATE, "The head of the request took too long (HANDSHAKE_TIMEOUT).")
