"""Reservations: how clients see one, their records, and what `:reservations` shows."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.acknowledgements import acknowledged
from mesaya_ws.core.views.contents import Derived, State, View, alive_under
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


def is_before(data: Data, day: str) -> bool:
    """Return whether a reservation begins before a day (`YYYY-MM-DD`, UTC); not if nothing says when."""
    when: str | None = data.get("reservationTime")
    if when is not None and when[10:11] == "T" and when.endswith("Z"):
        # As the platform writes it. A restaurant has tens of thousands of the past: this takes a tenth of the time.
        return when[:10] < day
    begins = compose_date(when, data.get("reservationDate"))
    return begins is not None and begins < day


# Tables are booked for the same hours again and again, and a reservation has several records.
@lru_cache(maxsize=4096)
def compose_date(when: str | None, day: str | None) -> str | None:
    """Return when a reservation begins, as `YYYY-MM-DDTHH:MM:SSZ`, or None where that is not known.

    `when` is an instant, or else a time of day on `day` (a day, or any instant of it), as RFC 3339 writes it or a
    database's text does (a blank for the T, no minutes in the offset). Times without an offset are UTC.
    """
    if when is None:
        return None
    try:
        start = _instant(when)
        if start is None and day is not None:
            on = _instant(day) or date.fromisoformat(day)
            start = _utc(datetime.combine(on, time.fromisoformat(when.upper())))
    except (ValueError, OverflowError):
        return None
    return None if start is None else start.isoformat(timespec="seconds") + "Z"


def _instant(text: str) -> datetime | None:
    """Return the instant that a text gives; None where it is only a day or a time of day. Raises ValueError."""
    if text[10:11] not in ("T", "t", " "):
        return None
    text = text.upper()  # "T" and "Z" may be small (RFC 3339, 5.6)
    if text[16:19] == ":60":  # a leap second (RFC 3339, 5.7) is the first of the next minute, as POSIX counts
        return _utc(datetime.fromisoformat(f"{text[:16]}:59{text[19:]}")) + timedelta(seconds=1)
    return _utc(datetime.fromisoformat(text))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


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
    here, guest = projections.place("reservation", data), data.get("userId")
    messages = []
    if here is not None:
        messages.append(Message(restaurant_channel(here, "reservations"), f"reservation.{what}", timestamp, shown))
    if guest is not None:
        messages.append(Message(user_channel(guest), f"reservation.{what}", timestamp, shown))
    if former is not None and (left := projections.place("reservation", former)) is not None and left != here:
        lost = show_reservation(former, projections.names)
        messages.append(Message(restaurant_channel(left, "reservations"), "reservation.deleted", timestamp, lost))
    return outcome_of(messages)


def reservation_contents(restaurant: str, projections: Projections) -> dict[str, list[Data] | Derived]:
    """Return all reservations of a restaurant, as clients see them."""
    known = alive_under("reservation", "restaurantId", (restaurant,), projections)
    if len(known) > PARTS_AT_ONCE:
        return {"reservations": Derived(known, partial(show_reservation, names=projections.names))}
    return {"reservations": [show_reservation(data, projections.names) for data in known]}


def reservations_state(view: View) -> State:
    """Return the reservations of today, in whatever time zone, and later; and which new ones are acknowledged."""
    # The earliest "today" there is: UTC-12.
    today = (datetime.fromtimestamp(view.now / 1000, UTC) - timedelta(hours=12)).date().isoformat()
    names = view.projections.names

    def derive(data: Data) -> State | None:
        return None if is_before(data, today) else show_reservation(data, names)

    known = alive_under("reservation", "restaurantId", (view.subject,), view.projections)
    state: State = {"reservations": Derived(known, derive)}
    if acks := acknowledged(view.subject, view.projections):
        state["acknowledged"] = acks
    return state
