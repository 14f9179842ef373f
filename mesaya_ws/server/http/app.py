"""The HTTP application: its routes, and what holds for all of them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mesaya_ws import __version__
from mesaya_ws.core.feed.watermark import Fresh
from mesaya_ws.core.wire.http_errors import ORIGIN_NOT_ALLOWED, UPGRADE_REQUIRED
from mesaya_ws.core.wire.origins import may_use
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import CONTENT_TYPE
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.http.assets import client_routes, console_routes, protocol_style_route
from mesaya_ws.server.http.asyncapi import asyncapi_route
from mesaya_ws.server.http.broadcast import broadcast_route
from mesaya_ws.server.http.erase import erase_route
from mesaya_ws.server.http.errors import (
    ApiError,
    answer_api_error,
    answer_fault,
    answer_http_exception,
    error_response,
)
from mesaya_ws.server.http.health import health_routes
from mesaya_ws.server.http.protocol_page import protocol_page_route
from mesaya_ws.server.http.publish import publish_route
from mesaya_ws.server.http.request import authorize
from mesaya_ws.server.http.request_log import RequestLog
from mesaya_ws.server.http.revoke import Revoke, revoke_route
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.settings import Settings

_PLACES: Mapping[str, str] = {
    "websocket": "/ws",
    "events": "/events",
    "health": "/health",
    "metrics": "/metrics",
    "protocol": "/asyncapi.json",
    "client": "/client/mesaya-ws.js",
    "console": "/console",
}
"""What there is here, for somebody who has just found the service."""


def create_app(
    settings: Settings,
    publisher: Publisher,
    metrics: Metrics,
    status: Status,
    freshness: Callable[[], Fresh],
    render_metrics: Callable[[], Awaitable[bytes]],
    configuration: Mapping[str, object],
    revoke: Revoke | None,
    more: Sequence[Route],
) -> ASGIApp:
    """Return the application that answers everything but WebSockets.

    It answers a request for the metrics with what `render_metrics` returns, and with `configuration` for the settings,
    which PUBLISH_TOKEN, if there is one, is needed for. `revoke` is None where no tokens are verified.
    `more` are the routes that need more of a gateway than is given here.
    """

    async def describe(_: Request) -> Response:
        auth = "on" if settings.auth else "off"
        return JSONResponse({"service": "mesaya-ws", "version": __version__, "auth": auth, **_PLACES})

    async def show_configuration(request: Request) -> Response:
        if settings.publish_token:
            authorize(request, settings)
        return JSONResponse(configuration)

    async def show_metrics(_: Request) -> Response:
        return Response(await render_metrics(), media_type=CONTENT_TYPE)

    app = Starlette(
        routes=[
            Route("/", describe),
            Route("/ws", _tell_to_upgrade),
            *health_routes(metrics, status, freshness),
            Route("/metrics", show_metrics),
            Route("/configuration", show_configuration),
            publish_route(settings, publisher),
            broadcast_route(settings, publisher),
            revoke_route(settings, revoke),
            erase_route(settings, publisher),
            *client_routes(),
            *console_routes(),
            asyncapi_route(),
            protocol_page_route(),
            protocol_style_route(),
            *more,
        ],
        middleware=[
            Middleware(
                _Pages,
                allow_origins=settings.allowed_origins,
                auth=settings.auth,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            )
        ],
        exception_handlers={
            ApiError: answer_api_error,
            HTTPException: answer_http_exception,
            Exception: answer_fault,
        },
    )
    # A redirection would name the wrong scheme behind a proxy that speaks TLS.
    app.router.redirect_slashes = False
    return RequestLog(app, metrics, [route for route in app.routes if isinstance(route, Route)])


class _Pages(CORSMiddleware):
    """Lets those pages read answers that may also open a WebSocket; what has our own host asks for no permission."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Collection[str],
        allow_methods: Collection[str],
        allow_headers: Collection[str],
        auth: bool,
    ) -> None:
        super().__init__(app, allow_origins, allow_methods, allow_headers)
        self._auth = auth

    def is_allowed_origin(self, origin: str) -> bool:
        return may_use(origin, "", self.allow_origins, auth=self._auth)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Say what those pages may ask for, whatever this one asks for: its browser compares (Fetch, 4.8)."""
        said = super().preflight_response(request_headers).headers
        headers = {name: value for name, value in said.items() if name == "vary" or name.startswith("access-control-")}
        if self.is_allowed_origin(request_headers["origin"]):
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        return error_response(ORIGIN_NOT_ALLOWED, "Pages of this origin may not ask (ALLOWED_ORIGINS).", headers)


async def _tell_to_upgrade(_: Request) -> Response:
    raise ApiError(
        UPGRADE_REQUIRED,
        "This is where WebSockets are opened; connect with a WebSocket client.",
        Upgrade="websocket",
        Connection="Upgrade",
    )
