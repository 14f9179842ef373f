"""What a snapshot of each channel holds, in the shapes of its events."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from attrs import frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.platform.fields import PRIVATE
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.belongings import belongings
from mesaya_ws.core.views.reservations import is_before, show_reservation
from mesaya_ws.core.wire.frames import payload_of

LATEST = 20
"""How many announcements or notifications a snapshot holds."""


State = dict[str, Any]


@frozen
class _Derived:
    """A list of a state, of which each is still to be derived from an entity as it is known; None is left out."""

    entities: list[State]
    derive: Callable[[State], State | None]


def state(channel: Channel, projections: Projections, window: Window, now: int) -> State:
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


def _contents(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    # Of a restaurant that is deleted, nobody is told any more what becomes of its parts.
    own = channel.subject or ""
    known = belongings(channel.kind.name, own if projections.is_open(own) else "", projections)
    return dict(known)


def _reservations(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    # The earliest "today" there is: UTC-12.
    today = (datetime.fromtimestamp(now / 1000, UTC) - timedelta(hours=12)).date().isoformat()

    def derive(data: State) -> State | None:
        return None if is_before(data, today) else show_reservation(data, projections.names)

    known = _contents(channel, projections, window, now)
    return {"reservations": _Derived(known["reservations"], derive)}


def _public(restaurant: Mapping[str, Any]) -> State:
    return {name: value for name, value in restaurant.items() if name not in PRIVATE}


def _info(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    restaurant = projections.shelves["restaurant"].alive.get(channel.subject or "")
    shown = None if restaurant is None else _public(restaurant)
    return {"restaurant": shown, **_contents(channel, projections, window, now)}


def _restaurants(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    return {"restaurants": _Derived(list(projections.shelves["restaurant"].alive.values()), _public)}


def _announcements(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    return {"announcements": projections.latest_announcements(LATEST)}


def _notifications(channel: Channel, _: Projections, window: Window, __: int) -> State:
    latest = window.latest(channel.name, LATEST)
    return {"events": [orjson.Fragment(payload_of(publication.frame)) for publication in latest]}


_STATES: Mapping[str, Callable[[Channel, Projections, Window, int], State]] = {
    "tables": _contents,
    "reservations": _reservations,
    "menu": _contents,
    "reviews": _contents,
    "info": _info,
    "restaurants": _restaurants,
    "announcements": _announcements,
    "notifications": _notifications,
}
