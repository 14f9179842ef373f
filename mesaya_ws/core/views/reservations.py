"""Reservations: how clients see one, their records, and what `:reservations` shows."""

from collections.abc import Mapping
from functools import partial

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.reservation_time import compose_date, is_before, start_of_today
from mesaya_ws.core.views.acknowledgements import acknowledged
from mesaya_ws.core.views.contents import COUNTED, ChannelState, Contents, View, read_derived
from mesaya_ws.core.views.holds import holds_shown_to_restaurant
from mesaya_ws.core.views.status import effective_action, with_status_change

_KNOWN = frozenset(ENTITIES["reservation"].fields)


def show_reservation(data: Data, names: Mapping[str, str]) -> Data:
    """Return a reservation as clients see it: always all of its fields, null where nothing is known.

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
    if not data.keys() <= _KNOWN:
        shown |= {name: value for name, value in data.items() if name not in _KNOWN}
    return shown


def reservation_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a reservation says to its restaurant and its guest, and to a restaurant that it leaves."""
    timestamp = event.timestamp
    former, data = before.data, after.data
    if after.is_late and not after.exists and former is None:
        return outcome_of(())
    what, previous = effective_action(event, before, after)
    if not after.exists:
        what = "deleted"
    shown = with_status_change(what, previous, show_reservation(data, projections.names))
    here, guest = projections.relations.place("reservation", data), data.get("userId")
    messages = []
    if here is not None:
        messages.append(Message(restaurant_channel(here, "reservations"), f"reservation.{what}", timestamp, shown))
    if guest is not None:
        messages.append(Message(user_channel(guest), f"reservation.{what}", timestamp, shown))
    if former is not None and (left := projections.relations.place("reservation", former)) is not None and left != here:
        lost = show_reservation(former, projections.names)
        messages.append(Message(restaurant_channel(left, "reservations"), "reservation.deleted", timestamp, lost))
    return outcome_of(messages)


def reservation_contents(restaurant: str, projections: Projections) -> Contents:
    """Return all reservations of a restaurant, as clients see them."""
    known = projections.reservations_of(restaurant)
    return {"reservations": read_derived(known, partial(show_reservation, names=projections.names))}


def reservations_state(view: View) -> ChannelState:
    """Return the reservations that begin today or later, or nobody knows when; what is acknowledged, and what is held.

    Reservations are day by day, and found by their day: how many there were before does not matter.
    """
    today = start_of_today(view.now, view.rules.zone)
    names = view.projections.names

    def derive(data: Data) -> ChannelState | None:
        return None if is_before(data, today) else show_reservation(data, names)

    coming = view.projections.schedule.since(view.subject, today[:10])
    state: ChannelState = {"reservations": read_derived(coming, derive)}
    if acks := acknowledged(view.subject, view.projections):
        state["acknowledged"] = acks
    if holds := holds_shown_to_restaurant(view.subject, view.log_now, view.projections):
        state["holds"] = holds
    return state


def count_coming(view: View) -> int:
    """Return how many reservations a snapshot looks at; of very many, not all are counted."""
    day = start_of_today(view.now, view.rules.zone)[:10]
    return view.projections.schedule.count_since(view.subject, day, COUNTED)
