"""What becomes of records that concern a user: payments, subscriptions, requests of owners."""

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.entity_table import Folded
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.status import _judge, _type


def _route_payment(event: Event, projections: Projections) -> Outcome:
    shelves = projections.shelves
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    data, what = folded.data, _judge(event, folded)[0]
    if event.what == "status_changed" and not folded.is_late:
        what = "status_changed"
    # A payment has its `date`; and it always tells what it is about.
    told = dict.fromkeys(("amount", "paymentStatus", "date")) | data
    hidden = ["createdAt", "updatedAt"]
    channels = []
    if (reservation := data.get("reservationId")) is not None:
        booked = shelves["reservation"].last(reservation) or {}
        if (restaurant := projections.place("reservation", booked)) is not None:
            channels.append(restaurant_channel(restaurant, "reservations"))
        if (guest := booked.get("userId")) is not None:
            channels.append(user_channel(guest))
        hidden.append("subscriptionId")
    else:
        subscription = shelves["subscription"].last(data.get("subscriptionId")) or {}
        if (owner := projections.owner(subscription.get("restaurantId"))) is not None:
            channels.append(user_channel(owner))
    for name in hidden:
        told.pop(name, None)
    return outcome_of([Message(channel, f"payment.{what}", event.timestamp, told) for channel in channels])


def _route_subscription(event: Event, projections: Projections) -> Outcome:
    folded = projections.fold(event)
    return _to_user(event, folded, projections.owner(folded.data.get("restaurantId")))


def _route_owner_upgrade(event: Event, projections: Projections) -> Outcome:
    folded = projections.fold(event)
    return _to_user(event, folded, folded.data.get("userId"))


def _to_user(event: Event, folded: Folded, user: str | None) -> Outcome:
    if user is None or (folded.is_late and not folded.exists):
        return outcome_of(())
    return outcome_of([Message(user_channel(user), _type(event, folded), event.timestamp, folded.data)])
