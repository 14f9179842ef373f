"""What each event depends on, and what depends on it: added to its outcome, from what is known before and after it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mesaya_ws.core.access.channels import RESTAURANT_KINDS, restaurant_channel, user_channel
from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.inheritance import GIVES, Given, channels_of_parts, given_by, gives, names_of
from mesaya_ws.core.recovery.parents import PARENTS, depends_on, depends_on_by, missing_parent

# By entity: the fields of which all of this depends; while they stay, so does what depends on what. Those that are not
# here may change by what other entities are.
_DECISIVE: Mapping[str, tuple[str, ...]] = {
    "section": ("restaurantId",),
    "table": ("sectionId",),
    "menu": ("restaurantId",),
    "dish": ("restaurantId",),
    "section_object": ("sectionId", "objectId"),
    "image": ("entityId",),
    "reservation": ("restaurantId", "userId"),
    "payment": ("reservationId", "subscriptionId"),
    "subscription": ("restaurantId",),
}

_NAME_NOTHING = frozenset({"review", "announcement", "plan", "object"})
"""Entities that need no parent, and are none themselves (a piece of the catalogue waits for those that name it)."""

_OWN_CHANNEL: Mapping[str, str] = {
    "section": "tables",
    "table": "tables",
    "section_object": "tables",
    "menu": "menu",
    "dish": "menu",
    "review": "reviews",
    "image": "info",
    "reservation": "reservations",
}


class DependenciesBefore(NamedTuple):
    """What an event found, before it was applied.

    `subject` is the parent that it may change, if it is known, and what this `gave` its parts (see `gives`). Of what it
    deletes or moves away, nobody knows afterwards on which `parents` that depended, and which ones it `awaits`.
    """

    subject: tuple[str, str] | None
    was_known: bool
    gave: Given
    parents: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()


_NOTHING = DependenciesBefore(None, was_known=False, gave=None)
_SAME = DependenciesBefore(None, was_known=True, gave=None)
"""The entity is known, and nothing changes on which it depends what depends on what; so nearly all events are."""


def dependencies_before(event: Event, projections: Projections) -> DependenciesBefore:
    """Return what an event finds that is to be applied."""
    entity, id = event.entity, event.id
    fields = _DECISIVE.get(entity)
    if fields is not None:
        data = event.data
        table = projections.entities[entity]
        known = table.alive.get(id)
        if known is None:
            if id not in table.gone:
                return DependenciesBefore((entity, id), False, None) if entity in GIVES else _NOTHING
        elif event.what != "deleted":
            for field in fields:
                if data.get(field) != known.get(field):
                    break
            else:
                return _SAME
    elif entity in _NAME_NOTHING:
        return _NOTHING
    parents: tuple[str, ...] = ()
    awaits = parents
    if entity in PARENTS and (event.what == "deleted" or _moves(event, projections)):
        parents, awaits = depends_on(entity, id, projections)
    subject = subject_of(event, projections)
    if subject is None:
        return DependenciesBefore(None, False, None, parents, awaits) if parents else _NOTHING
    gave = gives(*subject, projections)
    return DependenciesBefore(
        subject, gave is not None or projections.relations.is_parent(*subject), gave, parents, awaits
    )


def _moves(event: Event, projections: Projections) -> bool:
    known = projections.entities[event.entity].alive.get(event.id)
    if known is not None:
        for name, _ in PARENTS[event.entity]:
            if (parent := event.data.get(name)) is not None and parent != known.get(name):
                return True
    return False


def add_dependencies(
    outcome: Outcome, event: Event, before: DependenciesBefore, projections: Projections, *, is_late: bool
) -> None:
    """Add to the outcome of an event that has been applied what it depended on, and what depends on it."""
    entity = event.entity
    if before is _SAME:
        if not is_late:
            if entity not in PARENTS:
                return
            outcome.parents, outcome.awaits = depends_on_by(entity, event.data, projections)
            if not outcome.awaits:
                return
        # It says again what an earlier record said.
        before = (
            DependenciesBefore((entity, event.id), True, given_by(entity, event.data, projections))
            if entity in GIVES
            else _NOTHING
        )
    subject, was_known, gave, parents, awaits = before
    if entity in PARENTS or entity == "object":
        more, missing = depends_on(entity, event.id, projections)
        outcome.parents, outcome.awaits = parents + more, awaits + missing
    if is_late:
        # An instance that took it in time published it there.
        outcome.concerned = tuple(_own_channels(event, projections))
        if subject is not None:
            # There it may have moved or ended its parts, which stay here.
            outcome.concerned += tuple(channels_of_parts(*subject, gives(*subject, projections), projections))
        missing_one = missing_parent(event, projections)
        # Where that was, the parent that it names will say.
        if missing_one is not None and missing_one not in outcome.awaits:
            outcome.awaits += (missing_one,)
    if subject is None:
        return
    kind, id = subject
    given = gives(kind, id, projections)
    if given == gave and not (event.what == "deleted" and given is not None):
        if parents:
            # Elsewhere, where its other parent was not known, its parts went with it.
            outcome.concerned += tuple(channels_of_parts(kind, id, given, projections))
        if outcome.awaits:
            outcome.known = names_of(kind, id, given)  # what waits for it waits from now on for what it waits for
        return
    now = channels_of_parts(kind, id, given, projections)
    is_closed = kind == "restaurant" and "closed" in {*(gave or ())[:1], *(given or ())[:1]}
    if not was_known and not is_closed:
        outcome.known = names_of(kind, id, given)
        outcome.concerned += tuple(now)
        return
    channels = [restaurant_channel(id, name) for name in RESTAURANT_KINDS] if is_closed else []
    channels += [*outcome.reparented, *channels_of_parts(kind, id, gave, projections), *now]
    outcome.reparented = tuple(dict.fromkeys(channels))


def _own_channels(event: Event, projections: Projections) -> Iterator[str]:
    """Yield the channels of those whom a record names itself."""
    kind = _OWN_CHANNEL.get(event.entity)
    if kind is not None and (place := projections.relations.place(event.entity, event.data)) is not None:
        yield restaurant_channel(place, kind)
        if event.entity in IMAGED:
            yield restaurant_channel(place, "info")
    if event.entity in ("reservation", "owner_upgrade") and (user := event.data.get("userId")) is not None:
        yield user_channel(user)


def subject_of(event: Event, projections: Projections) -> tuple[str, str] | None:
    """Return the kind and id of the parent that a record may change: that which it is about, or whose owner it says."""
    if event.entity in GIVES:
        return event.entity, event.id
    if event.entity == "owner_upgrade":
        known = projections.entities["owner_upgrade"].last(event.id) or {}
        restaurant = event.data.get("assignedRestaurantId") or known.get("assignedRestaurantId")
        return ("restaurant", restaurant) if restaurant else None
    return None
