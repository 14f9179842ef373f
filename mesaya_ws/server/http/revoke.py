"""`POST /revoke`: whose tokens are dead from now on."""

from collections.abc import Awaitable, Callable

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.wire import http_errors
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.http.request import authorize, bad_message, read_object, require_id, structure
from mesaya_ws.settings import Settings

Revoke = Callable[[str, int], Awaitable[int]]
"""Revokes the tokens of a user that were issued before some time (ms since 1970); returns before what, in the end."""


@frozen
class RevokeRequest:
    """`{"user", "before"?}`: the tokens of a user that were issued before some time, in ms since 1970; by default, now.

    Tokens that do not say when they were issued are among them.
    """

    user: str
    before: int | None = None


def revoke_route(settings: Settings, revoke: Revoke | None) -> Route:
    """Return the route; it answers 200 when the revocation has been read back from the log, and so holds here.

    Without `revoke`, no token is good here, and there is nothing to revoke.
    """

    async def answer(request: Request) -> Response:
        authorize(request, settings)
        if revoke is None:
            raise ApiError(
                http_errors.NOT_FOUND, "No tokens are verified here (AUTH, JWT_…): there is nothing to revoke."
            )
        asked = structure(await read_object(request, settings), RevokeRequest)
        now = now_ms()
        before = now if asked.before is None else asked.before
        require_id("The user", asked.user)
        if not 0 < before <= now + settings.jwt_leeway * 1000:
            raise bad_message("`before` must be a time in milliseconds since 1970, and not in the future.")
        try:
            before = await revoke(asked.user, before)
        except RecordRejectedError as error:
            raise ApiError(http_errors.REFUSED, str(error)) from None
        except LogUnavailableError as error:
            raise ApiError(http_errors.LOG_UNAVAILABLE, str(error)) from None
        return JSONResponse({"user": asked.user, "before": before})

    return Route("/revoke", answer, methods=["POST"])
