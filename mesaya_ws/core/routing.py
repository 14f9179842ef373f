"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

What happened is judged by what is known, not by the record's word: `created` of a known entity is an update, an update
with another status is a change of status.
"""

from collections.abc import Callable, Mapping

from mesaya_ws.core.channels import RESTAURANT_KINDS, Audience, restaurant_channel, user_channel
from mesaya_ws.core.entities import ENTITIES
from mesaya_ws.core.entity import Data
from mesaya_ws.core.fields import PRIVATE
from mesaya_ws.core.floor_plan import route_object, route_section
from mesaya_ws.core.found import route_found
from mesaya_ws.core.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import AUTH, FOUND, OWNER_REASSIGNED, Event, Reason, Unreadable, mistyped_id
from mesaya_ws.core.reservations import show_reservation


def route(event: Event | Unreadable, projections: Projections) -> Outcome:
    """Fold an event into `projections`, and return what is to be sent. Raises nothing, whatever the record was."""
    if isinstance(event, Unreadable):
        return Outcome((), event.reason, event.detail)
    outcome = (route_found if event.what == FOUND else _ROUTES[event.entity])(event, projections)
    if event.entity != "restaurant" and projections.shelves["restaurant"].gone:
        outcome = _without_the_closed(outcome, projections)
    if event.mistyped:
        if not outcome.messages and (needed := mistyped_id(event)) is not None:
            outcome = Outcome((), Reason.BAD_ID, f"The {needed} is no id, and without it nobody is concerned.")
        outcome = outcome._replace(mistyped=event.mistyped)
    return outcome


def _without_the_closed(outcome: Outcome, projections: Projections) -> Outcome:
    """Keep silent on the channels of a restaurant that is deleted: that was their last word."""
    open_ones = []
    for message in outcome.messages:
        scope, subject, *_ = message.channel.split(":")
        if scope != "restaurant" or projections.is_open(subject):
            open_ones.append(message)
    if len(open_ones) == len(outcome.messages):
        return outcome
    return outcome_of(open_ones, reparented=outcome.reparented)


def _judge(event: Event, before: Data | None, data: Data) -> tuple[str, str | None]:
    """Return what really happened to an entity that has a status, and its previous status if that is what changed.

    A record that names the previous status is believed.
    """
    if event.what == "deleted" or (event.what == "created" and before is None):
        return event.what, None
    field = ENTITIES[event.entity].status or ""
    status, previous = data.get(field), event.previous
    if previous is None and before is not None:
        previous = before.get(field)
    if previous is None:
        return ("status_changed" if event.what == "status_changed" else "updated"), None
    return ("status_changed" if status is not None and status != previous else "updated"), previous


def _told(what: str, previous: str | None, data: Data) -> Data:
    return data | {"newStatus": data.get("status"), "previousStatus": previous} if what == "status_changed" else data


# Restaurants


def _route_restaurant(event: Event, projections: Projections) -> Outcome:
    timestamp = event.timestamp
    before = projections.shelves["restaurant"].alive.get(event.id)
    was_open = projections.is_open(event.id)
    data = projections.fold(event)
    what, previous = _judge(event, before, data)
    told = _told(what, previous, data)
    public = {name: value for name, value in told.items() if name not in PRIVATE}
    messages = [Message("global:restaurants", f"restaurant.{what}", timestamp, public)]
    for kind in RESTAURANT_KINDS.values() if what == "deleted" else (RESTAURANT_KINDS["info"],):
        suited = public if kind.audience == Audience.PUBLIC else told
        messages.append(Message(restaurant_channel(event.id, kind.name), f"restaurant.{what}", timestamp, suited))
    everything = [restaurant_channel(event.id, kind) for kind in RESTAURANT_KINDS]
    reparented = everything if was_open != projections.is_open(event.id) else []
    if what == "deleted":
        return outcome_of(messages, reparented=reparented)
    owner, former = data.get("ownerId"), before.get("ownerId") if before is not None else None
    if event.metadata.get("action") == OWNER_REASSIGNED or (former is not None and former != owner):
        owners = [user_channel(user) for user in dict.fromkeys((former, owner)) if user is not None]
        messages += [Message(channel, "restaurant.owner_changed", timestamp, told) for channel in owners]
        reparented = [*reparented, *owners]
    elif what == "status_changed" and owner is not None:
        messages.append(Message(user_channel(owner), "restaurant.status_changed", timestamp, told))
    return outcome_of(messages, reparented=reparented)


def _part(kind: str, otherwise: Reason = Reason.ORPHAN) -> Callable[[Event, Projections], Outcome]:
    """Return the rule for what belongs to one restaurant, which sees it on its channel of that kind."""

    def rule(event: Event, projections: Projections) -> Outcome:
        entity, what, timestamp = event.entity, event.what, event.timestamp
        before = projections.shelves[entity].alive.get(event.id)
        left = projections.place(entity, before)
        data = projections.fold(event)
        here = projections.place(entity, data)
        if what == "deleted":
            return outcome_of(
                [
                    Message(restaurant_channel(place, kind), f"{entity}.deleted", timestamp, data)
                    for place in dict.fromkeys((left, here))
                    if place is not None
                ],
                otherwise,
            )
        if here is None:
            return outcome_of((), otherwise)
        channel = restaurant_channel(here, kind)
        if before is not None and left is not None and left != here:
            return outcome_of(
                [
                    Message(restaurant_channel(left, kind), f"{entity}.deleted", timestamp, before),
                    Message(channel, f"{entity}.created", timestamp, data),
                ]
            )
        what = "created" if what == "created" and before is None else "updated"
        return outcome_of([Message(channel, f"{entity}.{what}", timestamp, data)])

    return rule


# Reservations, and what is paid


def _route_reservation(event: Event, projections: Projections) -> Outcome:
    timestamp = event.timestamp
    before = projections.shelves["reservation"].alive.get(event.id)
    data = projections.fold(event)
    what, previous = _judge(event, before, data)
    shown = _told(what, previous, show_reservation(data, projections.names))
    here, guest = projections.place("reservation", data), data.get("userId")
    messages = []
    if here is not None:
        messages.append(Message(restaurant_channel(here, "reservations"), f"reservation.{what}", timestamp, shown))
    if guest is not None:
        messages.append(Message(user_channel(guest), f"reservation.{what}", timestamp, shown))
    if before is not None and (left := projections.place("reservation", before)) is not None and left != here:
        lost = show_reservation(before, projections.names)
        messages.append(Message(restaurant_channel(left, "reservations"), "reservation.deleted", timestamp, lost))
    return outcome_of(messages)


def _route_payment(event: Event, projections: Projections) -> Outcome:
    shelves = projections.shelves
    before = shelves["payment"].alive.get(event.id)
    data = projections.fold(event)
    what = "status_changed" if event.what == "status_changed" else _judge(event, before, data)[0]
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
    known = event.id in projections.shelves["subscription"].alive
    data = projections.fold(event)
    return _to_user(event, known, projections.owner(data.get("restaurantId")), data)


def _route_owner_upgrade(event: Event, projections: Projections) -> Outcome:
    known = event.id in projections.shelves["owner_upgrade"].alive
    data = projections.fold(event)
    return _to_user(event, known, data.get("userId"), data)


def _to_user(event: Event, known: bool, user: str | None, data: Data) -> Outcome:
    if user is None:
        return outcome_of(())
    what = "updated" if known and event.what == "created" else event.what
    return outcome_of([Message(user_channel(user), f"{event.entity}.{what}", event.timestamp, data)])


# The rest


def _route_announcement(event: Event, projections: Projections) -> Outcome:
    what = (
        "updated" if event.what == "created" and event.id in projections.shelves["announcement"].alive else event.what
    )
    data = projections.fold(event)
    return outcome_of([Message("global:announcements", f"announcement.{what}", event.timestamp, data)])


def _route_plan(_: Event, __: Projections) -> Outcome:
    return Outcome((), Reason.PLAN)


def _route_auth(event: Event, projections: Projections) -> Outcome:
    projections.fold(event)
    return Outcome((), Reason.AUTH)


_ROUTES: Mapping[str, Callable[[Event, Projections], Outcome]] = {
    "restaurant": _route_restaurant,
    "section": route_section,
    "table": _part("tables"),
    "object": route_object,
    "section_object": _part("tables"),
    "menu": _part("menu"),
    "dish": _part("menu"),
    "review": _part("reviews"),
    "image": _part("info", otherwise=Reason.UNPLACED),
    "reservation": _route_reservation,
    "payment": _route_payment,
    "subscription": _route_subscription,
    "owner_upgrade": _route_owner_upgrade,
    "plan": _route_plan,
    "announcement": _route_announcement,
    AUTH: _route_auth,
}
