"""One TCP port, two protocols: reads a request's head, and gives the connection to WebSocket or to HTTP."""

import itertools
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import time

import trio
from attrs import define

from mesaya_ws.core.access.authentication import Authentication
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.addresses import TrustedProxies, address_key
from mesaya_ws.core.wire.handshake import Head, HeadError, OriginError
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import bind_context, get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.address_limits import AddressLimits
from mesaya_ws.server.admission import Admission, Admitted
from mesaya_ws.server.request_head import read_request
from mesaya_ws.settings import Settings

log = get_logger(__name__)

ORIGINS = 100
"""Origins that are logged in a minute, each once."""

LONGEST_ORIGIN = 300
"""Characters of an origin, and of a host, that are logged; the longest names have some 260."""

ServeWebSocket = Callable[[str, trio.SocketStream, Admitted, bytes, str], Awaitable[None]]
"""Serves a client, given an id for the connection, its stream, how it is let in, what it said already, and where it is,
as the log says it."""

ServeHttp = Callable[[Head, trio.SocketStream, bytes], Awaitable[None]]
"""Answers a request, given its head, its stream, and what came after the head already."""

PROBES = frozenset({"/health", "/health/ready", "/metrics"})
"""What is answered even by an instance that is full: whoever watches it must not take it for dead. With `OPTIONS`, `/`
is, too: so HAProxy asks by default (`option httpchk`)."""

EVENTS = "/events"
"""Where events are read by HTTP."""

SPARE_PLACES = 64
"""Connections beyond all that there may be, for telling probes from others, and for answering both."""

SPARE_HEAD_SECONDS = 1.0
"""Time for a request's head on those."""


@define(eq=False)
class _Visit:
    """One connection. The log says that its client is at `shown`.

    `address` is what its limits count by, as far as it is known and counted. In a spare place, only probes are
    answered; all others are `refused`.
    """

    id: str
    stream: trio.SocketStream
    shown: str
    address: str | None = None
    refused: HeadError | None = None


class Dispatcher:
    """Takes accepted TCP streams; whatever a client does, only its own connection ends by it.

    While it is `draining`, no new WebSocket is begun; HTTP goes on, so that `/health` can be asked. It is full when it
    holds MAX_CONNECTIONS, which may have been lowered for another `bound`; then the `status` says so. When it is full,
    or the client's address holds as many as it may, the connection gets a spare place, to answer probes, and to refuse
    all others. There are `SPARE_PLACES` for these; who has been refused, and then who has been there longest, gives way
    to who comes, so nobody can keep probes out by being slow.

    Where a client is, a trusted proxy says in the head: connections from proxies are counted for an address after that.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        status: Status,
        serve_websocket: ServeWebSocket,
        serve_http: ServeHttp,
        bound: str,
        authentication: Authentication | None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._status = status
        self._serve_websocket = serve_websocket
        self._serve_http = serve_http
        self._open = 0
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._addresses = AddressLimits(settings.max_connections_per_address, settings.handshakes_per_second)
        self._admission = Admission(settings, self._addresses, authentication)
        self._origin_lines = LogLimiter(max_keys=ORIGINS, clock=trio.current_time)
        self._spare: OrderedDict[str, trio.CancelScope] = OrderedDict()
        self._full = f"It holds as many connections as it may ({bound})."
        self._too_many = HeadError(
            http_errors.TOO_MANY_CONNECTIONS,
            f"The service holds as many connections as it may ({bound}); try again later.",
            ("Retry-After", "5"),
        )
        self.draining = False
        # Ids distinguish connections in the logs of all instances.
        self._instance = secrets.token_hex(3)
        self._serial = itertools.count(1)

    def free_slots(self) -> int:
        """Return how many more connections there may be."""
        return self._settings.max_connections - self._open

    async def handle(self, stream: trio.SocketStream, host: str, port: int) -> None:
        """Serve a client, or a proxy of one, from `host` to the end of its connection; raises only when cancelled."""
        visit = _Visit(f"{self._instance}-{next(self._serial):x}", stream, _shown(host, port))
        bind_context(connection=visit.id, address=visit.shown)
        is_proxy = self._proxies.trusts(host)
        try:
            if self.free_slots() <= 0:
                visit.refused = self._too_many
            elif not is_proxy and not self._enter(visit, host):
                visit.refused = _TOO_MANY_OF_ADDRESS
            if visit.refused is None:
                self._count(1)
                try:
                    await self._serve(visit, host if is_proxy else None)
                finally:
                    self._count(-1)
            else:
                await self._serve_beyond(visit)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception:
            log.exception("a connection ended by a fault of ours")
        finally:
            if visit.address is not None:
                self._addresses.connections.leave(visit.address)
            # Not by the stream, which would wait for a turn of the loop: a third of what the end of a connection costs.
            stream.socket.close()

    def _enter(self, visit: _Visit, host: str) -> bool:
        """Count a connection for the address of its client; return whether there may be one more."""
        if not self._addresses.is_active:
            return True
        address = address_key(host)
        if not self._addresses.connections.enter(address):
            return False
        visit.address = address
        return True

    def _count(self, more: int) -> None:
        self._open += more
        self._status.full = None if self.free_slots() > 0 else self._full

    async def _serve_beyond(self, visit: _Visit) -> None:
        """Serve a client in a spare place, for as long as that is not needed for another one."""
        if len(self._spare) >= SPARE_PLACES:
            _, longest = self._spare.popitem(last=False)
            longest.cancel()
        with trio.CancelScope() as place:
            self._spare[visit.id] = place
            try:
                await self._serve(visit)
            finally:
                self._spare.pop(visit.id, None)

    async def _serve(self, visit: _Visit, proxy: str | None = None) -> None:
        """Read the request of a client, who may be one of a trusted `proxy`, and have it answered."""
        request, seconds = None, self._settings.handshake_timeout
        try:
            request = await read_request(
                visit.stream,
                self._settings.max_head_bytes,
                seconds if visit.refused is None else min(seconds, SPARE_HEAD_SECONDS),
                visit.refused or _TOO_LATE,
            )
            if request is None:
                return
            head, rest = request
            if proxy is not None:
                self._identify(visit, proxy, head)
            if visit.refused is not None and not _is_probe(head):
                raise visit.refused
            admitted = None
            if head.upgrades_to_websocket:
                admitted = await self._admission.admit(head, visit.address)
                if self.draining:
                    raise _DRAINING
            elif head.path == EVENTS:
                self._admission.admit_reader(visit.address)
        except HeadError as error:
            self._metrics.refusals[error.code] += 1
            log.info("request refused", code=error.code, status=int(error.status))
            if isinstance(error, OriginError) and self._origin_lines.admit(error.origin) is not None:
                log.warning(
                    "pages of this origin may not connect (ALLOWED_ORIGINS)",
                    origin=error.origin[:LONGEST_ORIGIN],
                    host=error.host[:LONGEST_ORIGIN],
                )
            # What is raised again and again would keep the frames of every time.
            if visit.id in self._spare:
                self._spare.move_to_end(visit.id, last=False)
            has_content = request is None or request[0].method != "HEAD"
            await self._refuse(visit.stream, error.with_traceback(None).response(time(), has_content=has_content))
        else:
            if admitted is not None:
                serving = self._serve_websocket(visit.id, visit.stream, admitted, rest, visit.shown)
                del head, request, admitted, rest  # a connection may last for days
                await serving
            else:
                await self._serve_http(head, visit.stream, rest)

    def _identify(self, visit: _Visit, proxy: str, head: Head) -> None:
        """Take from a proxy where its client is, and count the connection for that address."""
        client = self._proxies.client_of(proxy, head.headers.get("x-forwarded-for", ""))
        visit.shown = client
        bind_context(address=client)
        if not self._enter(visit, client):
            visit.refused = _TOO_MANY_OF_ADDRESS

    async def _refuse(self, stream: trio.SocketStream, answer: bytes) -> None:
        """Answer, and wait for the client to hang up, lest an answer be lost in a reset (RFC 9112, 9.6)."""
        with trio.move_on_after(self._settings.close_timeout):
            await stream.send_all(answer)
            await stream.send_eof()
            async for _ in stream:
                pass


def _is_probe(head: Head) -> bool:
    return not head.upgrades_to_websocket and (head.path in PROBES or (head.method, head.path) == ("OPTIONS", "/"))


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_DRAINING = HeadError(http_errors.DRAINING, "This instance is going away; connect again.", ("Retry-After", "1"))
_TOO_LATE = HeadError(http_errors.HEAD_TOO_LATE, "The head of the request took too long (HANDSHAKE_TIMEOUT).")
_TOO_MANY_OF_ADDRESS = HeadError(
    http_errors.TOO_MANY_OF_ADDRESS,
    "This address holds as many connections as it may (MAX_CONNECTIONS_PER_ADDRESS); close some, or try again later.",
    ("Retry-After", "5"),
)
