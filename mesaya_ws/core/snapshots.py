"""The state of a channel, as of a position: what a client starts from, before the events that change it."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.fields import PRIVATE
from mesaya_ws.core.frames import payload_of
from mesaya_ws.core.projections import Projections, Shelf
from mesaya_ws.core.reservations import compose_date, show_reservation
from mesaya_ws.core.window import Window

LATEST = 20
"""How many announcements or notifications a snapshot holds."""

State = dict[str, Any]


def snapshot(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    """Return the state of a channel, in the shapes that its events have; `now` in milliseconds since the epoch.

    `:tables` has all `tables`, `sections` and `sectionObjects`; `:reservations` those of today (in whatever time zone)
    and later; `:menu` its `menus` and `dishes`; `:reviews` its `reviews`; `:info` the `restaurant` and the `images` of
    it and of its parts; `global:restaurants` all `restaurants`; announcements and notifications the latest ones.
    """
    build = _STATES[channel.kind.name]
    return build(channel, projections, window, now)


def is_known(channel: Channel, projections: Projections) -> bool:
    """Return whether the restaurant of a channel has been told of by the log; true for channels of none."""
    return not channel.name.startswith("restaurant:") or projections.shelves["restaurant"].knows(channel.subject or "")


def _alive(shelf: Shelf, field: str, parents: Iterable[str]) -> list[State]:
    return [shelf.alive[child] for parent in parents for child in shelf.under(field, parent)]


def _own(channel: Channel, projections: Projections) -> list[str]:
    """Return the restaurant of a channel, unless it is deleted: nobody is told any more what becomes of its parts."""
    return [channel.subject] if channel.subject is not None and projections.is_open(channel.subject) else []


def _tables(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    shelves = projections.shelves
    sections = [id for own in _own(channel, projections) for id in shelves["section"].under("restaurantId", own)]
    return {
        "sections": [shelves["section"].alive[section] for section in sections],
        "tables": _alive(shelves["table"], "sectionId", sections),
        "sectionObjects": _alive(shelves["section_object"], "sectionId", sections),
    }


def _reservations(channel: Channel, projections: Projections, _: Window, now: int) -> State:
    # The earliest "today" there is: UTC-12.
    today = (datetime.fromtimestamp(now / 1000, UTC) - timedelta(hours=12)).date().isoformat()
    return {
        "reservations": [
            show_reservation(data, projections.names)
            for data in _alive(projections.shelves["reservation"], "restaurantId", _own(channel, projections))
            if (compose_date(data.get("reservationTime"), data.get("reservationDate")) or today) >= today
        ]
    }


def _menu(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    own = _own(channel, projections)
    return {
        "menus": _alive(projections.shelves["menu"], "restaurantId", own),
        "dishes": _alive(projections.shelves["dish"], "restaurantId", own),
    }


def _reviews(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    return {"reviews": _alive(projections.shelves["review"], "restaurantId", _own(channel, projections))}


def _public(restaurant: Mapping[str, Any]) -> State:
    return {name: value for name, value in restaurant.items() if name not in PRIVATE}


def _info(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    shelves, own = projections.shelves, _own(channel, projections)
    restaurant = shelves["restaurant"].alive.get(channel.subject or "")
    sections = [id for place in own for id in shelves["section"].under("restaurantId", place)]
    parts = [*own, *sections]
    parts += (id for section in sections for id in shelves["table"].under("sectionId", section))
    for kind in ("menu", "dish"):
        parts += (id for place in own for id in shelves[kind].under("restaurantId", place))
    return {
        "restaurant": None if restaurant is None else _public(restaurant),
        "images": _alive(shelves["image"], "entityId", parts),
    }


def _restaurants(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    return {"restaurants": [_public(data) for data in projections.shelves["restaurant"].alive.values()]}


def _announcements(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    return {"announcements": list(projections.shelves["announcement"].alive.values())[-LATEST:]}


def _notifications(channel: Channel, _: Projections, window: Window, __: int) -> State:
    latest = deque(window.after(channel.name, {}), maxlen=LATEST)
    return {"events": [orjson.Fragment(payload_of(publication.frame)) for publication in latest]}


_STATES: Mapping[str, Callable[[Channel, Projections, Window, int], State]] = {
    "tables": _tables,
    "reservations": _reservations,
    "menu": _menu,
    "reviews": _reviews,
    "info": _info,
    "restaurants": _restaurants,
    "announcements": _announcements,
    "notifications": _notifications,
}
