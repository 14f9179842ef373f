"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

What happened is judged by what is known, not by the record's word: `created` of a known entity is an update, an update
with another status is a change of status.
"""

from collections.abc import Callable, Mapping

from mesaya_ws.core.belongings import alive_under, belongings
from mesaya_ws.core.channels import RESTAURANT_KINDS, Audience, restaurant_channel, user_channel
from mesaya_ws.core.entities import ENTITIES, IMAGED
from mesaya_ws.core.entity import Data
from mesaya_ws.core.fields import PRIVATE
from mesaya_ws.core.floor_plan import route_object, route_section
from mesaya_ws.core.found import route_found
from mesaya_ws.core.images import images_along, moved_along
from mesaya_ws.core.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.parents import look_before, missing_parent, with_dependencies
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import AUTH, FOUND, OWNER_REASSIGNED, Event, Reason, Unreadable, mistyped_id
from mesaya_ws.core.reservations import show_reservation
from mesaya_ws.core.shelf import Folded


def route(event: Event | Unreadable, projections: Projections, *, alone: bool = False) -> Outcome:
    """Fold an event into `projections`, and return what is to be sent. Raises nothing, whatever the record was.

    What depends on what is only looked for if others may have taken the records in another order, or not `alone`.
    """
    if isinstance(event, Unreadable):
        return Outcome((), event.reason, event.detail)
    if projections.ending:
        projections.end_all_parts()
    if event.entity == AUTH:
        projections.fold_user(event)
        return Outcome((), Reason.AUTH)
    before = None if alone else look_before(event, projections)
    projections.is_late = False
    along = images_along(event, projections) if event.entity in IMAGED else None
    outcome = (route_found if event.what == FOUND else _ROUTES[event.entity])(event, projections)
    if along is not None and (moved := moved_along(event, along, projections)):
        outcome = outcome._replace(messages=[*outcome.messages, *moved], reason=Reason.SENT)
    if event.entity != "restaurant" and outcome.messages and projections.shelves["restaurant"].gone:
        outcome = _without_the_closed(outcome, projections)
    if projections.is_late:
        outcome = outcome._replace(reason=Reason.LATE)
    if event.mistyped:
        if not outcome.messages and (needed := mistyped_id(event)) is not None:
            outcome = Outcome((), Reason.BAD_ID, f"The {needed} is no id, and without it nobody is concerned.")
        outcome = outcome._replace(mistyped=event.mistyped)
    if before is not None:
        return with_dependencies(outcome, event, before, projections)
    if not outcome.messages and (missing := missing_parent(event, projections)) is not None:
        outcome = outcome._replace(awaits=(missing,))
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
    return outcome._replace(messages=open_ones, reason=Reason.SENT if open_ones else Reason.ORPHAN)


def _judge(event: Event, folded: Folded) -> tuple[str, str | None]:
    """Return what really happened to an entity, and its previous status if that is what changed.

    A record that names the previous status is believed; one that came late only tells what there is now.
    """
    if folded.is_late:
        return "updated", None
    before, what = folded.before, event.what
    field = ENTITIES[event.entity].status
    if field is None or what == "deleted" or (what == "created" and before is None):
        return ("updated" if what == "created" and before is not None else what), None
    status, previous = folded.data.get(field), event.previous
    if previous is None and before is not None:
        previous = before.get(field)
    if previous is None:
        return ("status_changed" if what == "status_changed" else "updated"), None
    return ("status_changed" if status is not None and status != previous else "updated"), previous


def _told(what: str, previous: str | None, data: Data) -> Data:
    return data | {"newStatus": data.get("status"), "previousStatus": previous} if what == "status_changed" else data


# Restaurants


def _route_restaurant(event: Event, projections: Projections) -> Outcome:
    id, timestamp = event.id, event.timestamp
    was_open, former = projections.is_open(id), projections.owner(id)
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    what, previous = _judge(event, folded)
    told, owner = _told(what, previous, folded.data), projections.owner(id)
    if owner is not None and told.get("ownerId") != owner:
        told = told | {"ownerId": owner}
    public = {name: value for name, value in told.items() if name not in PRIVATE}
    messages = [Message("global:restaurants", f"restaurant.{what}", timestamp, public)]
    # It ended some time, and is there again: its channels begin anew, with what belongs to it.
    begins = folded.exists and (not was_open or event.what == "deleted")
    for kind in RESTAURANT_KINDS.values() if begins or what == "deleted" else (RESTAURANT_KINDS["info"],):
        suited = public if kind.audience == Audience.PUBLIC else told
        if begins:
            suited = suited | _contents(kind.name, id, projections)
        elif what != "deleted" and (images := alive_under(projections.shelves["image"], "entityId", (id,))):
            # Those that came before it have been told to nobody yet.
            suited = suited if folded.before is not None else suited | {"images": images}
        messages.append(Message(restaurant_channel(id, kind.name), f"restaurant.{what}", timestamp, suited))
    if what == "deleted":
        return outcome_of(messages)
    if folded.before is None:
        former = None
    is_reassigned = event.metadata.get("action") == OWNER_REASSIGNED and not folded.is_late
    if is_reassigned or (former is not None and former != owner):
        owners = [user_channel(user) for user in dict.fromkeys((former, owner)) if user is not None]
        messages += [Message(channel, "restaurant.owner_changed", timestamp, told) for channel in owners]
        return outcome_of(messages, reparented=owners)
    if what == "status_changed" and owner is not None:
        messages.append(Message(user_channel(owner), "restaurant.status_changed", timestamp, told))
    return outcome_of(messages)


def _contents(kind: str, restaurant: str, projections: Projections) -> Data:
    known = belongings(kind, restaurant, projections)
    if kind == "reservations":
        return {"reservations": [show_reservation(data, projections.names) for data in known["reservations"]]}
    return dict(known)


def _part(kind: str, otherwise: Reason = Reason.ORPHAN) -> Callable[[Event, Projections], Outcome]:
    """Return the rule for what belongs to one restaurant, which sees it on its channel of that kind."""

    def rule(event: Event, projections: Projections) -> Outcome:
        entity, timestamp = event.entity, event.timestamp
        left = projections.place(entity, projections.shelves[entity].alive.get(event.id))
        folded = projections.fold(event)
        before, data = folded.before, folded.data
        if not folded.exists:
            if folded.is_late and before is None:
                return outcome_of((), otherwise)
            here = projections.place(entity, data)
            return outcome_of(
                [
                    Message(restaurant_channel(place, kind), f"{entity}.deleted", timestamp, data)
                    for place in dict.fromkeys((left, here))
                    if place is not None
                ],
                otherwise,
            )
        here = projections.place(entity, data)
        messages = []
        if before is not None and left is not None and left != here:
            messages.append(Message(restaurant_channel(left, kind), f"{entity}.deleted", timestamp, before))
        if here is not None:
            what = _judge(event, folded)[0]
            if left != here and left is not None:
                what = "created"
            elif what == "status_changed":
                what = "updated"
            messages.append(Message(restaurant_channel(here, kind), f"{entity}.{what}", timestamp, data))
        return outcome_of(messages, otherwise)

    return rule


# Reservations, and what is paid


def _route_reservation(event: Event, projections: Projections) -> Outcome:
    timestamp = event.timestamp
    folded = projections.fold(event)
    before, data = folded.before, folded.data
    if folded.is_late and not folded.exists and before is None:
        return outcome_of(())
    what, previous = _judge(event, folded)
    if not folded.exists:
        what = "deleted"
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


def _type(event: Event, folded: Folded) -> str:
    """Return the type of a message whose entity's status says nothing about what happened."""
    is_update = folded.is_late or (folded.before is not None and event.what == "created")
    return f"{event.entity}.{'updated' if is_update else event.what}"


# The rest


def _route_announcement(event: Event, projections: Projections) -> Outcome:
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    return outcome_of([Message("global:announcements", _type(event, folded), event.timestamp, folded.data)])


def _route_plan(_: Event, __: Projections) -> Outcome:
    return Outcome((), Reason.PLAN)


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
}
