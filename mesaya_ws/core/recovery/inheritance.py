"""What parts need of their parents to say whom they concern, and where those are shown that need it."""

from collections.abc import Mapping
from typing import Any

from mesaya_ws.core.access.channels import restaurant_channel, user_channel
from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.parents import PARTS

# By entity: the fields that those need of whom it is a parent, beside the restaurant where it is. A piece of furniture
# is a parent of the model that it is of: records of that are sent wherever a piece stands.
GIVES: Mapping[str, tuple[str, ...]] = {
    "restaurant": (),
    "section": (),
    "table": (),
    "menu": (),
    "dish": (),
    "section_object": ("objectId",),
    "reservation": ("userId",),
    "subscription": (),
}

# Parents that still say whom their parts concern when they have been deleted.
_LASTING = frozenset({"restaurant", "reservation", "subscription"})

# By entity: the channels of its restaurant on which its parts are shown.
_SHOWN_ON: Mapping[str, tuple[str, ...]] = {
    "section": ("tables", "info"),
    "table": ("info",),
    "menu": ("info",),
    "dish": ("info",),
    "section_object": ("tables",),
    "reservation": ("reservations",),
}

Given = tuple[str | None, ...] | None
"""What parts need of a parent: its restaurant, or whether that is open, and more by its kind. None: it is of no use."""


def gives(kind: str, id: str, projections: Projections) -> Given:
    """Return what its parts need of a parent; None if it is not known, or is of no use to them (any more)."""
    table = projections.entities[kind]
    if kind == "restaurant":
        if not projections.relations.is_parent(kind, id):
            return None
        state = "closed" if not projections.relations.is_open(id) else "open" if id in table.alive else "unseen"
        return state, projections.owner(id)
    data = table.last(id) if kind in _LASTING else table.alive.get(id)
    return None if data is None else given_by(kind, data, projections)


def given_by(kind: str, data: Mapping[str, Any], projections: Projections) -> Given:
    """Return what parts need of a parent with such `data`."""
    place, names = projections.relations.place(kind, data), GIVES[kind]
    return (place, data.get(names[0])) if names else (place,)


def names_of(kind: str, id: str, given: Given) -> tuple[str, ...]:
    """Return by which names parts may know a parent (see `depends_on`, `missing_parent`)."""
    if kind == "section_object":
        return (f"object:{given[1]}",) if given is not None else ()
    return (f"{kind}:{id}", f"{PARTS}:{id}") if kind in IMAGED else (f"{kind}:{id}",)


def channels_of_parts(kind: str, id: str, given: Given, projections: Projections) -> list[str]:
    """Return the channels on which the parts of a parent are shown that gives them so much (see `gives`)."""
    if given is None:
        return []
    place, *more = given
    channels = []
    if kind == "restaurant":
        channels.append(restaurant_channel(id, "info"))
    elif kind == "subscription":
        if (owner := projections.owner(place)) is not None:
            channels.append(user_channel(owner))
    elif place is not None:
        channels += [restaurant_channel(place, name) for name in _SHOWN_ON[kind]]
    if kind in ("restaurant", "reservation") and more[0]:
        channels.append(user_channel(more[0]))
    return channels
