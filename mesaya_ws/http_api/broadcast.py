"""`POST /broadcast`: the shape in which n8n told the service before this one of payments."""

from http import HTTPStatus
from typing import Any

from attrs import field, frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.core.event_log import EventLog, topic_of
from mesaya_ws.http_api.errors import ApiError
from mesaya_ws.http_api.ingress import append, authorize, read_object, structure
from mesaya_ws.http_api.publish import now
from mesaya_ws.settings import Settings

_HAPPENED = ("created", "updated", "deleted")
_STATUSES = {
    "succeeded": "COMPLETED",
    "success": "COMPLETED",
    "paid": "COMPLETED",
    "approved": "COMPLETED",
    "canceled": "CANCELLED",
}
"""Words for which the platform has another one; any other word is a status as it stands."""


@frozen
class Broadcast:
    """`{event, topic?, reservation_id?, payment_id?, status?, amount?, timestamp?, data?}`."""

    event: str
    topic: str | None = None
    reservation_id: str | None = None
    payment_id: str | None = None
    status: str | None = None
    amount: float | None = None
    timestamp: str | None = None
    data: dict[str, Any] = field(factory=dict)


def broadcast_route(settings: Settings, event_log: EventLog) -> Route:
    """Return the route; it answers like `POST /publish`."""

    async def broadcast(request: Request) -> Response:
        authorize(request, settings)
        return await append(event_log, *_as_record(structure(await read_object(request, settings), Broadcast)))

    return Route("/broadcast", broadcast, methods=["POST"])


def _as_record(news: Broadcast) -> tuple[str, dict[str, Any]]:
    """Return topic and record of the platform that say what a broadcast says.

    It is about a payment when it names one, else about a reservation. What happened is the last word of `event`
    (`payment.completed`, `payment_failed`): `created`, `updated` and `deleted` for what they are, any other word for a
    change of status. The status is `status`, or else that word. `topic` named a channel of the old service: it says
    nothing here.
    """
    word = news.event.replace("_", ".").replace("-", ".").replace(" ", ".").split(".")[-1].lower()
    happened = word if word in _HAPPENED else "status_changed"
    status = news.status
    if status is None and happened == "status_changed" and word not in ("changed", "status"):
        status = word
    data = dict(news.data)
    if status is not None:
        status = _STATUSES.get(status.lower(), status.upper())
    if news.payment_id is not None:
        domain, entity_id = "payments", news.payment_id
        data |= {"paymentId": entity_id}
        if news.reservation_id is not None:
            data["reservationId"] = news.reservation_id
        if news.amount is not None:
            data["amount"] = news.amount
        if status is not None:
            data["paymentStatus"] = status
    elif news.reservation_id is not None:
        domain, entity_id = "reservations", news.reservation_id
        data |= {"id": entity_id}
        if status is not None:
            data["status"] = status
    else:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "bad_message", "Name a payment_id or a reservation_id: whom is it about?"
        )
    record = {
        "timestamp": news.timestamp or now(),
        "event_type": happened,
        "entity_id": entity_id,
        "data": data,
        "metadata": {"source": "broadcast"},
    }
    return topic_of(domain), record
