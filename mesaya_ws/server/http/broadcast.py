"""`POST /broadcast`: the shape of payments that n8n posted to the service before this one."""

import re
from collections.abc import Mapping
from datetime import datetime
from time import time
from typing import Any

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.server.http.request import authorize, bad_message, publish, read_object, structure
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.settings import Settings

_HAPPENED = ("created", "updated", "deleted")
_OF_PAYMENTS = frozenset({"PENDING", "PROCESSING", "COMPLETED", "CANCELLED", "FAILED", "REFUNDED"})
_OF_RESERVATIONS = frozenset({"PENDING", "CONFIRMED", "REJECTED", "CANCELLED", "CHECKED_IN", "COMPLETED", "NO_SHOW"})
_STATUSES = _OF_PAYMENTS | _OF_RESERVATIONS
_OTHER_WORDS: Mapping[str, str] = {
    "SUCCEEDED": "COMPLETED",
    "SUCCESS": "COMPLETED",
    "PAID": "COMPLETED",
    "APPROVED": "COMPLETED",
    "CANCELED": "CANCELLED",
}
"""What payment providers say where the platform has a word of its own."""

_FOR_THE_RESERVATION: Mapping[str, str] = {
    "COMPLETED": "CONFIRMED",
    "PENDING": "PENDING",
    "PROCESSING": "PENDING",
    "FAILED": "REJECTED",
    "REFUNDED": "CANCELLED",
}
"""What the backend makes of a reservation when its payment takes a status."""


@frozen
class Broadcast:
    """`{event, topic?, reservation_id?, payment_id?, status?, amount?, timestamp?, data?}`; what is empty is absent."""

    event: str
    topic: str | None = None
    reservation_id: str | None = None
    payment_id: str | None = None
    status: str | None = None
    amount: float | None = None
    timestamp: str | None = None
    data: dict[str, Any] | None = None


def broadcast_route(settings: Settings, publisher: Publisher) -> Route:
    """Return the route; it answers like `POST /publish`."""

    async def broadcast(request: Request) -> Response:
        authorize(request, settings)
        return await publish(publisher, *as_record(structure(await read_object(request, settings), Broadcast)))

    return Route("/broadcast", broadcast, methods=["POST"])


def as_record(news: Broadcast) -> tuple[str, dict[str, Any]]:
    """Return topic and record of the platform that say what a broadcast says. Raises `ApiError`.

    - It is about the payment that it names, else about the reservation. `data` goes along.
    - What happened is the last word of `event` if that is `created`, `updated` or `deleted`, else `status_changed`.
    - The status is `status`, in capitals whatever it is; else the last word of `event` (`payment.completed`,
      `payment_failed`, `reservation.no_show`) if the platform knows such a status.
    - News of a payment that names only a reservation is what that payment makes of the reservation: completed confirms
      it. Other news of an unnamed payment would be taken for the reservation's own, and is refused.
    - `topic` named a channel of the old service, and says nothing here.
    """
    words = re.findall(r"[a-z]+", news.event.lower())
    happened = words[-1] if words and words[-1] in _HAPPENED else "status_changed"
    status = _status(news.status, words)
    data = dict(news.data or {})
    if news.payment_id:
        domain, entity_id = "payments", news.payment_id
        given = {
            "paymentId": entity_id,
            "reservationId": news.reservation_id or None,
            "amount": news.amount,
            "paymentStatus": status,
        }
        data |= {name: value for name, value in given.items() if value is not None}
        missing = "paymentStatus" not in data
    elif news.reservation_id:
        domain, entity_id = "reservations", news.reservation_id
        if words and words[0] in ("payment", "payments"):
            status = _FOR_THE_RESERVATION.get(status or "") if happened == "status_changed" else None
            if status is None:
                raise bad_message(f"What {news.event!r} means for the reservation is not known: name a payment_id.")
        data["id"] = entity_id
        if status is not None:
            data["status"] = status
        missing = "status" not in data
    else:
        raise bad_message("Name a payment_id or a reservation_id: whom is it about?")
    if missing and happened == "status_changed":
        raise bad_message(f"Name a status: {news.event!r} does not end in one, nor in {', '.join(_HAPPENED)}.")
    record = {
        "timestamp": _moment(news.timestamp),
        "event_type": happened,
        "entity_id": entity_id,
        "data": data,
        "metadata": {"source": "broadcast"},
    }
    return topic_of(domain), record


def _status(given: str | None, words: list[str]) -> str | None:
    if given:
        return _OTHER_WORDS.get(given.upper(), given.upper())
    for count in (2, 1):
        word = "_".join(words[-count:]).upper()
        word = _OTHER_WORDS.get(word, word)
        if word in _STATUSES:
            return word
    return None


def _moment(timestamp: str | None) -> str:
    if not timestamp:
        return platform_time(round(time() * 1000))
    try:
        datetime.fromisoformat(timestamp)
    except ValueError:
        raise bad_message("The timestamp must be a time as in 2026-01-20T19:00:00Z.") from None
    return timestamp
