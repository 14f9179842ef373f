"""What concerns a user: records of payments, subscriptions and requests of owners; what `:notifications` shows."""

import orjson

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.notifications import Latest
from mesaya_ws.core.views.contents import ChannelState, View
from mesaya_ws.core.views.status import effective_action, message_type
from mesaya_ws.core.wire.frames import payload_of


def payment_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a payment says to the guest and the restaurant of its reservation, or to the owner."""
    entities = projections.entities
    if after.is_late and not after.exists:
        return outcome_of(())
    data, what = after.data, effective_action(event, before, after)[0]
    if event.what == "status_changed" and not after.is_late:
        what = "status_changed"
    # A payment has its `date`; and it always says what it is about.
    shown = dict.fromkeys(("amount", "paymentStatus", "date")) | data
    hidden = ["createdAt", "updatedAt"]
    channels = []
    if (reservation := data.get("reservationId")) is not None:
        booked = entities["reservation"].last(reservation) or {}
        if (restaurant := projections.relations.place("reservation", booked)) is not None:
            channels.append(restaurant_channel(restaurant, "reservations"))
        if (guest := booked.get("userId")) is not None:
            channels.append(user_channel(guest))
        hidden.append("subscriptionId")
    else:
        subscription = entities["subscription"].last(data.get("subscriptionId")) or {}
        if (owner := projections.owner(subscription.get("restaurantId"))) is not None:
            channels.append(user_channel(owner))
    for name in hidden:
        shown.pop(name, None)
    return outcome_of([Message(channel, f"payment.{what}", event.timestamp, shown) for channel in channels])


def subscription_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a subscription says to the owner of its restaurant."""
    return _to_user(event, before, after, projections.owner(after.data.get("restaurantId")))


def owner_upgrade_rule(event: Event, before: Before, after: After, _: Projections) -> Outcome:
    """Return what a request to become an owner says to the user who made it."""
    return _to_user(event, before, after, after.data.get("userId"))


def _to_user(event: Event, before: Before, after: After, user: str | None) -> Outcome:
    if user is None or (after.is_late and not after.exists):
        return outcome_of(())
    what = message_type(event, before, after)
    return outcome_of([Message(user_channel(user), what, event.timestamp, after.data)])


def notifications_state(view: View) -> ChannelState:
    """Return the latest events of a user, the latest one last, and whether `more` are kept."""
    latest = view.notifications or Latest([], more=False, are_all=True)
    return {"events": [orjson.Fragment(payload_of(frame)) for frame in latest.frames], "more": latest.more}
