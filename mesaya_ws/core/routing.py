"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

What happened is judged by what is known, not by the record's word: `created` of a known entity is an update, an update
with another status is a change of status.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from mesaya_ws.core.channels import RESTAURANT_KINDS, restaurant_channel, user_channel
from mesaya_ws.core.entities import ENTITIES, PRIVATE, Data
from mesaya_ws.core.projections import Projections, Shelf
from mesaya_ws.core.records import AUTH, OWNER_REASSIGNED, Event, Reason, Unreadable

_LISTS = "global:restaurants"
_ANNOUNCEMENTS = "global:announcements"


class Message(NamedTuple):
    """What a record says on one channel. Messages of one record share their `data` where it is the same."""

    channel: str
    type: str
    timestamp: str
    data: Data


class Outcome(NamedTuple):
    """What became of a record.

    `detail` is a sentence for the log, of a record that could not be understood. `reparented` are the restaurants whose
    floor plan changed its parts by this record: who resumes there from before cannot be served from after.
    """

    messages: Sequence[Message]
    reason: Reason
    detail: str = ""
    reparented: tuple[str, ...] = ()


def missing_parent(event: Event, projections: Projections) -> str | None:
    """Return what must be known before it can be said whom an event concerns, as `<entity>:<id>`; None if nothing is missing.

    A parent that is known to be deleted is not waited for.
    """
    shelves = projections.shelves
    entity = event.entity
    if entity in ("table", "section_object"):
        return _unknown(shelves["section"], _named(event, shelves[entity], "sectionId"))
    if entity == "subscription":
        return _unknown(shelves["restaurant"], _named(event, shelves[entity], "restaurantId"))
    if entity == "payment":
        if reservation := _named(event, shelves[entity], "reservationId"):
            return _unknown(shelves["reservation"], reservation)
        subscription = _named(event, shelves[entity], "subscriptionId")
        known = shelves["subscription"].last(subscription)
        if known is None:
            return _unknown(shelves["subscription"], subscription)
        return _unknown(shelves["restaurant"], known.get("restaurantId"))
    return None


def _named(event: Event, shelf: Shelf, field: str) -> str | None:
    return event.data.get(field) or (shelf.last(event.id) or {}).get(field)


def _unknown(shelf: Shelf, id: str | None) -> str | None:
    return None if id is None or shelf.knows(id) else f"{shelf.entity.name}:{id}"


def route(event: Event | Unreadable, projections: Projections) -> Outcome:
    """Fold an event into `projections`, and return what is to be sent. Raises nothing, whatever the record was."""
    if isinstance(event, Unreadable):
        return Outcome((), event.reason, event.detail)
    return _ROUTES[event.entity](event, projections)


def _sent(messages: Sequence[Message], otherwise: Reason = Reason.ORPHAN, reparented: Iterable[str] = ()) -> Outcome:
    return Outcome(messages, Reason.SENT if messages else otherwise, "", tuple(reparented))


def _judge(event: Event, before: Data | None, data: Data) -> tuple[str, str | None]:
    """Return what really happened to an entity that has a status, and its previous status where that is what changed."""
    status = data.get(ENTITIES[event.entity].status or "")
    if event.what == "deleted" or (event.what == "created" and before is None):
        return event.what, None
    previous = event.previous
    if previous is None and before is not None:
        previous = before.get(ENTITIES[event.entity].status or "")
    if status is not None and (previous != status if previous is not None else event.what == "status_changed"):
        return "status_changed", previous
    return "updated", None


def _told(what: str, previous: str | None, data: Data) -> Data:
    return data | {"newStatus": data["status"], "previousStatus": previous} if what == "status_changed" else data


# Restaurants


def _route_restaurant(event: Event, projections: Projections) -> Outcome:
    id, timestamp = event.id, event.timestamp
    before = projections.shelves["restaurant"].alive.get(id)
    data = projections.fold(event)
    what, previous = _judge(event, before, data)
    told = _told(what, previous, data)
    public = {name: value for name, value in told.items() if name not in PRIVATE}
    kinds: Iterable[str] = RESTAURANT_KINDS if what == "deleted" else ("info",)
    messages = [
        Message(channel, f"restaurant.{what}", timestamp, public)
        for channel in [*(restaurant_channel(id, kind) for kind in kinds), _LISTS]
    ]
    if what == "deleted":
        return _sent(messages, reparented=(id,))
    owner, former = data.get("ownerId"), before.get("ownerId") if before is not None else None
    if event.metadata.get("action") == OWNER_REASSIGNED or (former is not None and former != owner):
        messages += [
            Message(user_channel(user), "restaurant.owner_changed", timestamp, told)
            for user in dict.fromkeys((former, owner))
            if user is not None
        ]
    elif what == "status_changed" and owner is not None:
        messages.append(Message(user_channel(owner), "restaurant.status_changed", timestamp, told))
    return _sent(messages)


# The floor plan


def _route_section(event: Event, projections: Projections) -> Outcome:
    id, timestamp = event.id, event.timestamp
    before = projections.shelves["section"].alive.get(id)
    # A deletion takes them along, so they are asked for first.
    tables = list(projections.shelves["table"].under("sectionId", id))
    objects = list(projections.shelves["section_object"].under("sectionId", id))
    left = projections.place("section", before)
    data = projections.fold(event)
    here = projections.place("section", data)

    def gone(restaurant: str, data: Data) -> Message:
        listed = (table["tableId"] for table in data.get("tables", ()))
        ids = list(dict.fromkeys((*listed, *tables)))
        told = data | {"tableIds": ids} | ({"sectionObjectIds": objects} if objects else {})
        return Message(restaurant_channel(restaurant, "tables"), "section.deleted", timestamp, told)

    def come(restaurant: str, what: str) -> Message:
        told = data | _whole(projections.shelves["table"], "tables", tables)
        told |= _whole(projections.shelves["section_object"], "sectionObjects", objects)
        return Message(restaurant_channel(restaurant, "tables"), f"section.{what}", timestamp, told)

    if event.what == "deleted":
        places = [place for place in dict.fromkeys((left, here)) if place is not None]
        return _sent([gone(place, data) for place in places], reparented=places)
    if here is None:
        return _sent(())
    if before is not None and left is not None and left != here:
        moved = come(here, "created")
        moved.data.setdefault("tables", [])
        return _sent([gone(left, before), moved], reparented=(left, here))
    what = "created" if event.what == "created" and before is None else "updated"
    if left is None:
        # What was folded before its section came has been said to nobody yet.
        return _sent([come(here, what)], reparented=(here,))
    return _sent([Message(restaurant_channel(here, "tables"), f"section.{what}", timestamp, data)])


def _whole(shelf: Shelf, name: str, ids: Collection[str]) -> Data:
    return {name: [shelf.alive[id] for id in ids]} if ids else {}


def _route_object(event: Event, projections: Projections) -> Outcome:
    """Route a piece of the shared catalogue to every floor plan that it stands in."""
    placed = projections.shelves["section_object"]
    ids: dict[str, list[str]] = {}
    for child in placed.under("objectId", event.id):
        restaurant = projections.place("section_object", placed.alive[child])
        if restaurant is not None:
            ids.setdefault(restaurant, []).append(child)
    known = event.id in projections.shelves["object"].alive
    data = projections.fold(event)
    what = event.what if event.what == "deleted" or (event.what == "created" and not known) else "updated"
    return _sent(
        [
            Message(
                restaurant_channel(restaurant, "tables"),
                f"object.{what}",
                event.timestamp,
                data | {"sectionObjectIds": children} if what == "deleted" else data,
            )
            for restaurant, children in ids.items()
        ],
        otherwise=Reason.UNPLACED,
    )


def _part(kind: str, otherwise: Reason = Reason.ORPHAN) -> Callable[[Event, Projections], Outcome]:
    """Return the rule for what belongs to one restaurant, which sees it on its channel of that kind."""

    def rule(event: Event, projections: Projections) -> Outcome:
        entity, what, id, _, _, timestamp, _ = event
        before = projections.shelves[entity].alive.get(id)
        left = projections.place(entity, before)
        data = projections.fold(event)
        here = projections.place(entity, data)
        if what == "deleted":
            return _sent(
                [
                    Message(restaurant_channel(place, kind), f"{entity}.deleted", timestamp, data)
                    for place in dict.fromkeys((left, here))
                    if place is not None
                ],
                otherwise,
            )
        if here is None:
            return _sent((), otherwise)
        channel = restaurant_channel(here, kind)
        if before is not None and left is not None and left != here:
            return _sent(
                [
                    Message(restaurant_channel(left, kind), f"{entity}.deleted", timestamp, before),
                    Message(channel, f"{entity}.created", timestamp, data),
                ]
            )
        what = "created" if what == "created" and before is None else "updated"
        return _sent([Message(channel, f"{entity}.{what}", timestamp, data)])

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
    return _sent(messages)


_CONSUMED = frozenset({"userName", "reservationDate", "reservationTime"})


def show_reservation(data: Data, names: Mapping[str, str]) -> Data:
    """Return a folded reservation as clients see it: always all of its fields, null where nothing is known.

    `names` are what users are called, for a reservation that does not say it itself.
    """
    known = data.get
    shown = {
        "reservationId": data["reservationId"],
        "restaurantId": known("restaurantId"),
        "tableId": known("tableId"),
        "userId": known("userId"),
        "clientName": known("userName") or names.get(known("userId", "")),
        "date": compose_date(known("reservationTime"), known("reservationDate")),
        "numberOfGuests": known("numberOfGuests"),
        "status": known("status"),
        "createdAt": known("createdAt"),
        "updatedAt": known("updatedAt"),
    }
    for name in data.keys() - shown.keys() - _CONSUMED:
        shown[name] = data[name]
    return shown


def compose_date(when: str | None, day: str | None) -> str | None:
    """Return when a reservation begins, as `YYYY-MM-DDTHH:MM:SSZ`, or None where that cannot be told.

    `when` is an instant, or else a time of day on `day` (a day, or any instant of it). Times are UTC.
    """
    if when is None:
        return None
    try:
        moment = _instant(when)
        if moment is None:
            if day is None:
                return None
            clock = time.fromisoformat(when)
            moment = datetime.combine((_instant(day) or date.fromisoformat(day)), clock)
        if moment.tzinfo is not None and moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def _instant(text: str) -> datetime | None:
    """Return the instant that a text gives; None where it is only a day or a time of day."""
    return datetime.fromisoformat(text) if len(text) > 10 and text[10] in "T " else None


def _route_payment(event: Event, projections: Projections) -> Outcome:
    shelves = projections.shelves
    before = shelves["payment"].alive.get(event.id)
    data = projections.fold(event)
    what = "status_changed" if event.what == "status_changed" else _judge(event, before, data)[0]
    channels = []
    if (reservation := data.get("reservationId")) is not None:
        booked = shelves["reservation"].last(reservation) or {}
        if (restaurant := projections.place("reservation", booked)) is not None:
            channels.append(restaurant_channel(restaurant, "reservations"))
        if (guest := booked.get("userId")) is not None:
            channels.append(user_channel(guest))
        told = {name: value for name, value in data.items() if name != "subscriptionId"}
    else:
        subscription = shelves["subscription"].last(data.get("subscriptionId")) or {}
        if (owner := projections.owner(subscription.get("restaurantId"))) is not None:
            channels.append(user_channel(owner))
        told = data
    return _sent([Message(channel, f"payment.{what}", event.timestamp, told) for channel in channels])


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
        return _sent(())
    what = "updated" if known and event.what == "created" else event.what
    return _sent([Message(user_channel(user), f"{event.entity}.{what}", event.timestamp, data)])


# The rest


def _route_announcement(event: Event, _: Projections) -> Outcome:
    return _sent([Message(_ANNOUNCEMENTS, f"announcement.{event.what}", event.timestamp, event.data)])


def _route_plan(_: Event, __: Projections) -> Outcome:
    return Outcome((), Reason.PLAN)


def _route_auth(event: Event, projections: Projections) -> Outcome:
    projections.fold(event)
    return Outcome((), Reason.AUTH)


_ROUTES: Mapping[str, Callable[[Event, Projections], Outcome]] = {
    "restaurant": _route_restaurant,
    "section": _route_section,
    "table": _part("tables"),
    "object": _route_object,
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
