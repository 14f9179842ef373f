"""`POST /explain`: why a record is shown to whom, or to nobody, by what is known now; nothing changes."""

from typing import Any

import orjson
import trio
from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesaya_ws.core.access.authentication import Authentication
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.explanation import TooWideError
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.http_errors import LOG_UNAVAILABLE
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.http.operators import authorize_operator
from mesaya_ws.server.http.request import read_object, require_id, structure
from mesaya_ws.settings import Settings

MID_RECORD_TIMEOUT = 5.0
"""Seconds for a large record to be published, in the middle of which nothing can be explained."""


@frozen
class ExplainRequest:
    """`{"topic", "value", "key"?, "user"?}`: a record as it would be produced, and a user of whom to say what they see.

    A `value` that is text stands for bytes that are no JSON object, null for a tombstone.
    """

    topic: str
    value: Any = None
    key: str | None = None
    user: str | None = None


def explain_route(
    settings: Settings,
    feed: Published,
    authentication: Authentication | None,
    *,
    timeout: float = MID_RECORD_TIMEOUT,
) -> Route:
    """Return the route, for those who have PUBLISH_TOKEN or a token of an ADMIN; with AUTH=off and neither, for all.

    A large record that is being published is waited for up to `timeout` seconds.
    """
    looking = trio.Lock()

    async def answer(request: Request) -> Response:
        await authorize_operator(request, settings, feed, authentication)
        asked = structure(await read_object(request, settings), ExplainRequest)
        if asked.user is not None:
            require_id("The user", asked.user)
        user = None if asked.user is None else Identity(asked.user)
        with trio.move_on_after(timeout) as patience:
            # Of all who wait, one looks in each turn of the event loop: they must not slow down what they wait for.
            async with looking:
                while feed.is_mid_record:
                    await trio.lowlevel.checkpoint()
        if patience.cancelled_caught:
            raise ApiError(LOG_UNAVAILABLE, "A large record is being published: try again in a moment.")
        try:
            explanation = feed.known.explain(_record(asked), auth=settings.auth, user=user)
        except TooWideError as error:
            raise ApiError(http_errors.TOO_WIDE, f"{error} `mesaya-ws explain` can say more.") from None
        return JSONResponse({"topic": asked.topic, **explanation, **feed.freshness()})

    return Route("/explain", answer, methods=["POST"])


def _record(asked: ExplainRequest) -> Record:
    """Return the record that is asked about, as if it were appended now."""
    value = asked.value
    if value is not None:
        value = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else orjson.dumps(value)
    return Record(asked.topic, 0, 0, now_ms(), None if asked.key is None else asked.key.encode(), value)
