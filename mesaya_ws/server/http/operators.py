"""Who may see what only operators may, by HTTP: whoever has PUBLISH_TOKEN, or the token of an ADMIN."""

from starlette.requests import Request

from mesaya_ws.core.access.authentication import Authentication, Unavailable
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import ADMIN, roles
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.http_errors import UNAVAILABLE
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.http.request import authorize, check_host
from mesaya_ws.settings import Settings


async def authorize_operator(
    request: Request, settings: Settings, feed: Published, authentication: Authentication | None
) -> None:
    """Raise `ApiError` unless the request may know everything; with AUTH=off and no PUBLISH_TOKEN, all may."""
    if authentication is None:
        if settings.publish_token:
            authorize(request, settings)
        else:
            check_host(request, settings)
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and "." in token:  # as a JWT has; a PUBLISH_TOKEN may have, too
        caller = await authentication.authenticate(token.strip(" \t"))
        if isinstance(caller, Identity) and not feed.live:
            # The log may still say that the user has other roles by now.
            raise ApiError(UNAVAILABLE, "What the event log holds is still being read: try again in a moment.")
        if isinstance(caller, Identity) and ADMIN in roles(caller, feed.known.facts):
            return
        if isinstance(caller, Unavailable) and not settings.publish_token:
            raise ApiError(UNAVAILABLE, caller.sentence)
    if not settings.publish_token:
        raise ApiError(http_errors.UNAUTHORIZED, "Send a token of an ADMIN as `Authorization: Bearer …`.")
    authorize(request, settings)
