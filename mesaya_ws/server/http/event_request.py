"""What a request of `GET /events` asks for: by its query, and by `Accept` and `Last-Event-ID`."""

import re
from collections.abc import Sequence

from attrs import frozen
from starlette.requests import Request

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.event_stream import MOST_ID_BYTES
from mesaya_ws.server.http.errors import ApiError

STREAM = "text/event-stream"
JSON = "application/json"

LONGEST_WAIT = 30.0
"""Seconds that a page may be waited for: proxies give up what is silent for longer."""

_NO_WEIGHT = re.compile(r"q=0(?:\.0{0,3})?")


@frozen
class EventRequest:
    """Channels, and how `identity` is to see them: `since` an id, as a page (`wants_page`) or as a stream."""

    identity: Identity | None
    channels: Sequence[str]
    since: str | None
    wants_page: bool
    snapshot: bool
    partial: bool
    """Whether to show what may be shown, and to say so of the rest, instead of refusing all."""
    presence: bool
    """Whether to show who is on the channels; not on a page, which would not wait for anything else then."""


def read_event_request(request: Request, identity: Identity | None) -> EventRequest:
    """Return what is asked for. Raises `ApiError` when there is no channel, or the id is too long."""
    query = request.query_params
    channels = list(dict.fromkeys(query.getlist("channel")))
    if not channels:
        raise ApiError(http_errors.BAD_CHANNEL, "Name one channel at least: /events?channel=…&channel=…")
    since = request.headers.get("last-event-id") or query.get("since") or None
    if since is not None and len(since) > MOST_ID_BYTES:
        raise ApiError(http_errors.BAD_CHANNEL, f"An id has at most {MOST_ID_BYTES} characters.")
    wants_page = _wants_page(request.headers.get("accept", ""))
    wanted = {name for name in ("snapshot", "partial", "presence") if query.get(name) in ("1", "true")}
    return EventRequest(
        identity,
        channels,
        since,
        wants_page,
        snapshot="snapshot" in wanted,
        partial="partial" in wanted,
        presence="presence" in wanted and not wants_page,
    )


def read_wait(request: Request) -> float:
    """Return for how many seconds a page may be waited for. Raises `ApiError` when that is none, or too many."""
    try:
        wait = float(request.query_params.get("wait", "0"))
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= LONGEST_WAIT:
        raise ApiError(http_errors.BAD_CHANNEL, f"`wait` is in seconds, from 0 to {LONGEST_WAIT:.0f}.")
    return wait


def _wants_page(accept: str) -> bool:
    """Return whether JSON is preferred: it is named, and the stream is not (RFC 9110, 12.5.1).

    Of what has a weight, only whether it is 0 counts: that is not acceptable.
    """
    named = set()
    for part in accept.lower().split(","):
        media_type, *parameters = (each.strip() for each in part.split(";"))
        if not any(_NO_WEIGHT.fullmatch(each) for each in parameters):
            named.add(media_type)
    return JSON in named and STREAM not in named
