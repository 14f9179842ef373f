"""`GET /connections`: who is connected to this process, to what, and what waits for them; a page of them at a time."""

import os
from collections.abc import Callable, Collection, Sequence
from heapq import nsmallest

import orjson
import trio
from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.core.access.authentication import Authentication
from mesaya_ws.core.feed.published import Published
from mesaya_ws.server.clients import Client
from mesaya_ws.server.http.operators import authorize_operator
from mesaya_ws.server.http.request import bad_message
from mesaya_ws.settings import Settings

MOST, USUAL = 200, 50
"""Connections on a page: at most, and when nothing is said."""

MOST_CHANNELS = 20
"""Channels that are listed of a connection; of the others, their number is said."""

LOOKED_AT, DESCRIBED = 1000, 25
"""Connections that are looked at, and described, in one step of the event loop."""

Key = tuple[int, str]
"""What connections are ordered by. Ids have a number that grows, so those that come later are on later pages."""


@frozen
class _Asked:
    """What a request asks for: so many connections, after one of them, perhaps only of a user, or on a channel."""

    limit: int
    after: Key
    user: str | None
    channel: str | None

    def wants(self, client: Client) -> bool:
        session = client.session
        return (
            _key(client) > self.after
            and (self.user is None or (session.identity is not None and session.identity.user == self.user))
            and (self.channel is None or self.channel in session.subscriptions)
        )


def connections_route(
    settings: Settings,
    connections: Collection[Client],
    feed: Published,
    authentication: Authentication | None,
    now: Callable[[], float] = trio.current_time,
) -> Route:
    """Return the route, for operators; nothing of a token is ever in an answer."""

    async def answer(request: Request) -> Response:
        await authorize_operator(request, settings, feed, authentication)
        asked = _asked(request)
        found = await _select(connections, asked)
        shown: list[dict[str, object]] = []
        for first in range(0, min(len(found), asked.limit), DESCRIBED):
            shown += [_description(client, now()) for client in found[first : min(first + DESCRIBED, asked.limit)]]
            await trio.lowlevel.checkpoint()
        page = {
            "process": os.getpid(),
            "total": len(connections),
            "connections": shown,
            "next": shown[-1]["id"] if len(found) > asked.limit else None,
        }
        return Response(orjson.dumps(page), media_type="application/json", headers={"Cache-Control": "no-store"})

    return Route("/connections", answer)


def _asked(request: Request) -> _Asked:
    """Return what the query says. Raises `ApiError`."""
    query = request.query_params
    limit = query.get("limit", str(USUAL))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(MOST)) and 1 <= int(limit) <= MOST):
        raise bad_message(f"`limit` is a whole number from 1 to {MOST}.")
    after = query.get("after", "")
    return _Asked(int(limit), (len(after), after), query.get("user") or None, query.get("channel") or None)


def _key(client: Client) -> Key:
    id = client.session.id
    return len(id), id


async def _select(connections: Collection[Client], asked: _Asked) -> Sequence[Client]:
    """Return the first connections that are asked for, and one more if there are more."""
    found: list[Client] = []
    everybody = list(connections)
    for first in range(0, len(everybody), LOOKED_AT):
        found += filter(asked.wants, everybody[first : first + LOOKED_AT])
        found = nsmallest(asked.limit + 1, found, key=_key)
        await trio.lowlevel.checkpoint()
    return found


def _description(client: Client, now: float) -> dict[str, object]:
    session = client.session
    identity, subscriptions = session.identity, list(session.subscriptions.items())
    return {
        "id": session.id,
        "transport": client.transport,
        "user": None if identity is None else identity.user,
        "roles": [] if identity is None else list(identity.roles),
        "address": client.address,
        "seconds": round(now - client.opened_at, 1),
        "subscriptions": len(subscriptions),
        "channels": [
            {"channel": name, "state": subscription.state.name.lower()}
            for name, subscription in subscriptions[:MOST_CHANNELS]
        ],
        "waitingBytes": client.waiting_bytes,
    }
