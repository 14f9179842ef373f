"""`GET /events`: events as a stream (server-sent events), or page by page, for places where WebSockets do not pass.

It is the same session as on a WebSocket, with the same rules, rights and bounds; only what is written differs.
"""

import secrets
from collections.abc import Callable
from contextlib import contextmanager
from itertools import count
from random import randint
from typing import TYPE_CHECKING

import orjson
import trio
from attrs import field, frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mesaya_ws.core.access.authentication import Authentication, Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes, http_errors
from mesaya_ws.core.wire.codes import CloseCode, ErrorCode
from mesaya_ws.core.wire.event_stream import COMMENT
from mesaya_ws.core.wire.http_errors import HttpError
from mesaya_ws.runtime.logs import bind_context, bound_in_context, get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.http.event_client import EventClient
from mesaya_ws.server.http.event_request import JSON, STREAM, EventRequest, read_event_request, read_wait
from mesaya_ws.server.http.request import check_host
from mesaya_ws.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesaya_ws.core.session.registry import SessionRegistry
    from mesaya_ws.server.clients import Client

log = get_logger(__name__)

RETRY_MS = (1000, 4000)
"""Milliseconds after which a browser comes back, at random: so not all at once."""

MOST_PAGE_MESSAGES = 500
"""Messages of one page; and a few more, which lie in the log together."""

_REFUSALS: dict[ErrorCode | CloseCode, HttpError] = {
    codes.BAD_CHANNEL: http_errors.BAD_CHANNEL,
    codes.UNAUTHORIZED: http_errors.PRIVATE_CHANNEL,
    codes.TOO_MANY_SUBSCRIPTIONS: http_errors.TOO_MANY_CHANNELS,
    codes.TOO_MANY_CONNECTIONS: http_errors.TOO_MANY_OF_USER,
}


@frozen
class EventServer:
    """Serves clients that read events by HTTP; all are in `registry` while they are served."""

    settings: Settings
    open_session: Callable[[str, SendQueue], Session]
    registry: "SessionRegistry[Client]"
    metrics: Metrics
    status: Status
    authentication: Authentication | None
    _instance: str = secrets.token_hex(3)
    _serial: "Iterator[int]" = field(factory=lambda: count(1))

    def route(self) -> Route:
        """Return the route."""
        return Route("/events", self._answer)

    async def _answer(self, request: Request) -> Response:
        identity = await self._identify(request)
        asked = read_event_request(request, identity)
        if self.status.draining:
            raise ApiError(http_errors.DRAINING, "This instance is going away; connect again.", Retry_After="1")
        wait = read_wait(request) if asked.wants_page else 0.0
        if request.method == "HEAD":
            return self._head(asked)
        if not asked.wants_page:
            return _Stream(self, asked)
        return await self._page(asked, wait if asked.since is not None else 0.0)

    async def _identify(self, request: Request) -> Identity | None:
        """Return who the client is, by its token. Raises `ApiError` for one that names nobody."""
        authentication = self.authentication
        if authentication is None:
            check_host(request, self.settings)
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = None
        if scheme.lower() == "bearer":
            caller = await authentication.authenticate(token.strip(" \t"))
        if isinstance(caller, BadToken):
            raise ApiError(http_errors.BAD_TOKEN, caller.sentence, WWW_Authenticate='Bearer error="invalid_token"')
        if isinstance(caller, Unavailable):
            raise ApiError(http_errors.UNAVAILABLE, caller.sentence, Retry_After="1")
        if caller is None and self.settings.auth_required:
            raise ApiError(http_errors.BAD_TOKEN, "A token is required (AUTH_REQUIRED).", WWW_Authenticate="Bearer")
        if caller is not None:
            bind_context(user=caller.user)
        return caller

    @contextmanager
    def client(self, asked: EventRequest) -> "Iterator[EventClient]":
        """Serve a client for as long as the context lasts. Raises `ApiError` when it cannot have what it asks for."""
        settings = self.settings
        id = f"{self._instance}-e{next(self._serial):x}"
        bind_context(connection=id)
        client = EventClient(
            lambda queue: self.open_session(id, queue),
            asked.channels,
            asked.since,
            snapshot=asked.snapshot,
            most_messages=settings.send_queue_messages,
            most_bytes=settings.send_queue_bytes,
            write_timeout=settings.ping_timeout,
            ends_when_full=asked.wants_page,
            address=bound_in_context("address"),
            opened_at=trio.current_time(),
        )
        self.registry.add(client)
        self.metrics.event_clients_open += 1
        try:
            refused: ErrorCode | CloseCode | None = client.sign_in(asked.identity)
            if refused is not None:
                self.metrics.violations["connections_per_user"] += 1
            else:
                if not asked.wants_page:
                    client.greet()
                refused = client.subscribe(partial=asked.partial, presence=asked.presence)
            if refused is not None:
                error = _REFUSALS.get(refused, http_errors.BAD_CHANNEL)
                raise ApiError(error, _sentence(refused, error))
            for channel in client.session.subscriptions:
                log.debug("subscribed", channel=channel)
            yield client
        finally:
            client.leave()
            self.registry.remove(client)
            self.metrics.event_clients_open -= 1

    def _head(self, asked: EventRequest) -> Response:
        """Return the head of what GET would be answered: who may not see a channel is not told otherwise here."""
        with self.client(asked):
            answer = Response(headers=_headers(JSON if asked.wants_page else STREAM))
        del answer.headers["content-length"]  # GET has another one, or none
        return answer

    async def _page(self, asked: EventRequest, wait: float) -> Response:
        with self.client(asked) as client:
            page = await client.page(wait, MOST_PAGE_MESSAGES)
        events = [orjson.Fragment(event) for event in page.events]
        return Response(orjson.dumps({"events": events, "position": page.id}), headers=_headers(JSON))


class _Stream(Response):
    """An answer that goes on until its client leaves, or is closed."""

    def __init__(self, server: EventServer, asked: EventRequest) -> None:
        super().__init__(headers=_headers(STREAM))
        del self.headers["content-length"]
        self._server = server
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; see ASGI's specification."""
        with self._server.client(self._asked) as client:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

            async def write(text: bytes) -> None:
                await send({"type": "http.response.body", "body": text, "more_body": True})

            # At once: who waits for the head would take silence for a fault.
            await write(b"retry: %d\n" % randint(*RETRY_MS) + COMMENT)  # noqa: S311 - no secret
            await client.stream(write)
            if (code := client.close_code) is not None:
                log.info("connection closed", code=code.code, reason=code.name, by="service")
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _headers(media_type: str) -> dict[str, str]:
    return {
        "Content-Type": media_type,
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
        "Vary": "Accept, Authorization, Last-Event-ID",
    }


def _sentence(refused: ErrorCode | CloseCode, error: HttpError) -> str:
    return error.meaning if error is not http_errors.BAD_CHANNEL else refused.meaning
