"""What becomes of records that concern a user: payments, subscriptions, requests of owners."""

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.entity_table import Folded
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.status import effective_action, message_type


def route_payment(event: Event, projections: Projections) -> Outcome:
    """Return what a payment says to the guest and the restaurant of its reservation, or to the owner."""
    shelves = projections.shelves
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    data, what = folded.data, effective_action(event, folded)[0]
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


def route_subscription(event: Event, projections: Projections) -> Outcome:
    """Return what a subscription says to the owner of its restaurant."""
    folded = projections.fold(event)
    return _to_user(event, folded, projections.owner(folded.data.get("restaurantId")))


def route_owner_upgrade(event: Event, projections: Projections) -> Outcome:
    """Return what a request to become an owner says to the user who made it."""
    folded = projections.fold(event)
    return _to_user(event, folded, folded.data.get("userId"))


def _to_user(event: Event, folded: Folded, user: str | None) -> Outcome:
    if user is None or (folded.is_late and not folded.exists):
        return outcome_of(())
    return outcome_of([Message(user_channel(user), message_type(event, folded), event.timestamp, folded.data)])
