"""What depends on what: the one table from which it follows what is waited for, flagged, carried, and sent to whom.

A record says whom it concerns by its own fields, or by those of a parent, which is in another topic. Two instances may
take the two in different order; so a client that moves from one to the other may have received one of them, and not the
other (see `dependencies.Dependencies`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mesaya_ws.core.access.channels import RESTAURANT_KINDS, restaurant_channel, user_channel
from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import topic_of

PARTS = "part"
"""Stands for the kind of a parent of which only the id is known, not which of `IMAGED` it is."""

# By entity: the fields that name a parent, of which the first that is there counts, and what kinds it can be of. What
# names its restaurant or user itself needs no parent.
_PARENTS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "table": (("sectionId", ("section",)),),
    "section_object": (("sectionId", ("section",)),),
    "subscription": (("restaurantId", ("restaurant",)),),
    "payment": (("reservationId", ("reservation",)), ("subscriptionId", ("subscription",))),
    "image": (("entityId", IMAGED),),
}

_ONLY_PARENT: Mapping[str, tuple[str, str]] = {
    entity: (field, kinds[0])
    for entity, ((field, kinds), *others) in _PARENTS.items()
    if not others and len(kinds) == 1 and kinds[0] not in _PARENTS
}
"""By entity: the field that names its parent, and that one's kind, where it has but one, which has none itself."""

# By entity: the fields that those need of whom it is a parent, beside the restaurant where it is. A piece of furniture
# is a parent of the model that it is of: records of that are sent wherever a piece stands.
_GIVES: Mapping[str, tuple[str, ...]] = {
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
_TOLD_ON: Mapping[str, tuple[str, ...]] = {
    "section": ("tables", "info"),
    "table": ("info",),
    "menu": ("info",),
    "dish": ("info",),
    "section_object": ("tables",),
    "reservation": ("reservations",),
}

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

UNCARRIED = frozenset(map(topic_of, ("payments", "subscriptions")))
"""The topics of those that waited for a parent and are not carried by it when it comes: snapshots do not hold them."""

Given = tuple[str | None, ...] | None


def missing_parent(event: Event, projections: Projections) -> str | None:
    """Return what must be known before it can be said whom an event concerns, as `<entity>:<id>`, or None.

    A parent that is known to be deleted is not missing: waiting would not bring it back.
    """
    entity = event.entity
    fields = _PARENTS.get(entity)
    if fields is None:
        return None
    if (only := _ONLY_PARENT.get(entity)) is not None and event.data.get(only[0]) in projections.entities[
        only[1]
    ].alive:
        return None  # so it is of nearly all
    known: Mapping[str, Any] | None = None
    for name, kinds in fields:
        id = event.data.get(name)
        if id is None:
            if known is None:
                known = projections.entities[event.entity].last(event.id) or {}
            id = known.get(name)
        if id is not None:
            kind = kinds[0] if len(kinds) == 1 else projections.kind_of(id, kinds) or PARTS
            if not projections.is_parent(kind, id):
                return f"{kind}:{id}"
            missing = depends_on(kind, id, projections)[1] if kind in _PARENTS else ()
            return missing[0] if missing else None
    return None


class Before(NamedTuple):
    """What an event found, before it was applied.

    `subject` is the parent that it may change, if it is known, and what this `gave` its parts (see `gives`). Of what it
    deletes or moves away, nobody knows afterwards on which `parents` that depended, and which ones it `awaits`.
    """

    subject: tuple[str, str] | None
    was_known: bool
    gave: Given
    parents: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()


_NOTHING = Before(None, was_known=False, gave=None)
_SAME = Before(None, was_known=True, gave=None)
"""The entity is known, and nothing changes on which it depends what depends on what; so nearly all events are."""


def look_before(event: Event, projections: Projections) -> Before:
    """Return what an event finds that is to be applied."""
    entity, id = event.entity, event.id
    fields = _DECISIVE.get(entity)
    if fields is not None:
        data = event.data
        table = projections.entities[entity]
        known = table.alive.get(id)
        if known is None:
            if id not in table.gone:
                return Before((entity, id), False, None) if entity in _GIVES else _NOTHING
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
    if entity in _PARENTS and (event.what == "deleted" or _moves(event, projections)):
        parents, awaits = depends_on(entity, id, projections)
    subject = subject_of(event, projections)
    if subject is None:
        return Before(None, False, None, parents, awaits) if parents else _NOTHING
    gave = gives(*subject, projections)
    return Before(subject, gave is not None or projections.is_parent(*subject), gave, parents, awaits)


def _moves(event: Event, projections: Projections) -> bool:
    known = projections.entities[event.entity].alive.get(event.id)
    if known is not None:
        for name, _ in _PARENTS[event.entity]:
            if (parent := event.data.get(name)) is not None and parent != known.get(name):
                return True
    return False


def add_dependencies(
    outcome: Outcome, event: Event, before: Before, projections: Projections, *, is_late: bool
) -> None:
    """Add to the outcome of an event that has been applied what it depended on, and what depends on it."""
    entity = event.entity
    if before is _SAME:
        if not is_late:
            if entity not in _PARENTS:
                return
            outcome.parents, outcome.awaits = _depends_on(entity, event.data, projections)
            if not outcome.awaits:
                return
        # It says again what an earlier record said.
        before = (
            Before((entity, event.id), True, _given(entity, event.data, projections)) if entity in _GIVES else _NOTHING
        )
    subject, was_known, gave, parents, awaits = before
    if entity in _PARENTS or entity == "object":
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
    if kind is not None and (place := projections.place(event.entity, event.data)) is not None:
        yield restaurant_channel(place, kind)
        if event.entity in IMAGED:
            yield restaurant_channel(place, "info")
    if event.entity in ("reservation", "owner_upgrade") and (user := event.data.get("userId")) is not None:
        yield user_channel(user)


def depends_on(entity: str, id: str, projections: Projections) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return on which parents it depends whom an entity concerns, as `<entity>:<id>`, and which of them is missing."""
    if entity == "object":
        # Any number of pieces may be placed yet.
        return (f"object:{id}",), (f"object:{id}",)
    return _depends_on(entity, projections.entities[entity].last(id) or {}, projections)


def _depends_on(
    entity: str, data: Mapping[str, Any], projections: Projections
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return that of an entity with such `data`."""
    if (only := _ONLY_PARENT.get(entity)) is not None and (id := data.get(only[0])) in projections.entities[
        only[1]
    ].alive:
        return (f"{only[1]}:{id}",), ()
    for field, kinds in _PARENTS[entity]:
        if (parent := data.get(field)) is None:
            continue
        kind = kinds[0] if len(kinds) == 1 else projections.kind_of(parent, kinds) or PARTS
        name = f"{kind}:{parent}"
        if not projections.is_parent(kind, parent):
            return (name,), (name,)
        if kind not in _PARENTS:
            return (name,), ()
        names, missing = depends_on(kind, parent, projections)
        return (name, *names), missing
    return (), ()


def subject_of(event: Event, projections: Projections) -> tuple[str, str] | None:
    """Return the kind and id of the parent that a record may change: that which it is about, or whose owner it says."""
    if event.entity in _GIVES:
        return event.entity, event.id
    if event.entity == "owner_upgrade":
        known = projections.entities["owner_upgrade"].last(event.id) or {}
        restaurant = event.data.get("assignedRestaurantId") or known.get("assignedRestaurantId")
        return ("restaurant", restaurant) if restaurant else None
    return None


def gives(kind: str, id: str, projections: Projections) -> Given:
    """Return what its parts need of a parent; None if it is not known, or is of no use to them (any more)."""
    table = projections.entities[kind]
    if kind == "restaurant":
        if not projections.is_parent(kind, id):
            return None
        state = "closed" if not projections.is_open(id) else "open" if id in table.alive else "unseen"
        return state, projections.owner(id)
    data = table.last(id) if kind in _LASTING else table.alive.get(id)
    return None if data is None else _given(kind, data, projections)


def _given(kind: str, data: Mapping[str, Any], projections: Projections) -> Given:
    """Return what parts need of a parent with such `data`."""
    place, names = projections.place(kind, data), _GIVES[kind]
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
        channels += [restaurant_channel(place, name) for name in _TOLD_ON[kind]]
    if kind in ("restaurant", "reservation") and more[0]:
        channels.append(user_channel(more[0]))
    return channels
