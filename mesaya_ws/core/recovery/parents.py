"""Whom a record concerns may depend on its parents: on which ones, and which of them is not known yet.

A record says whom it concerns by its own fields, or by those of a parent, which is in another topic. Two instances may
take the two in different order; so a client that moves from one to the other may have received one of them, and not the
other (see `dependencies.Dependencies`). From the one table here it follows what is waited for, flagged, carried, and
sent to whom: what parts need of their parents is in `inheritance`, what an event changes in `event_dependencies`.
"""

from collections.abc import Mapping
from typing import Any

from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import topic_of

PARTS = "part"
"""Stands for the kind of a parent of which only the id is known, not which of `IMAGED` it is."""

PARENTS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "table": (("sectionId", ("section",)),),
    "section_object": (("sectionId", ("section",)),),
    "subscription": (("restaurantId", ("restaurant",)),),
    "payment": (("reservationId", ("reservation",)), ("subscriptionId", ("subscription",))),
    "image": (("entityId", IMAGED),),
}
"""By entity: the fields that name a parent, of which the first that is there counts, and what kinds it can be of. What
names its restaurant or user itself needs no parent."""

_ONLY_PARENT: Mapping[str, tuple[str, str]] = {
    entity: (field, kinds[0])
    for entity, ((field, kinds), *others) in PARENTS.items()
    if not others and len(kinds) == 1 and kinds[0] not in PARENTS
}
"""By entity: the field that names its parent, and that one's kind, where it has but one, which has none itself."""

UNCARRIED = frozenset(map(topic_of, ("payments", "subscriptions")))
"""The topics of those that waited for a parent and are not carried by it when it comes: snapshots do not hold them."""


def missing_parent(event: Event, projections: Projections) -> str | None:
    """Return what must be known before it can be said whom an event concerns, as `<entity>:<id>`, or None.

    A parent that is known to be deleted is not missing: waiting would not bring it back.
    """
    entity = event.entity
    fields = PARENTS.get(entity)
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
            kind = kinds[0] if len(kinds) == 1 else projections.relations.kind_of(id, kinds) or PARTS
            if not projections.relations.is_parent(kind, id):
                return f"{kind}:{id}"
            missing = depends_on(kind, id, projections)[1] if kind in PARENTS else ()
            return missing[0] if missing else None
    return None


def depends_on(entity: str, id: str, projections: Projections) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return on which parents it depends whom an entity concerns, as `<entity>:<id>`, and which of them is missing."""
    if entity == "object":
        # Any number of pieces may be placed yet.
        return (f"object:{id}",), (f"object:{id}",)
    return depends_on_by(entity, projections.entities[entity].last(id) or {}, projections)


def depends_on_by(
    entity: str, data: Mapping[str, Any], projections: Projections
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return that of an entity with such `data`."""
    if (only := _ONLY_PARENT.get(entity)) is not None and (id := data.get(only[0])) in projections.entities[
        only[1]
    ].alive:
        return (f"{only[1]}:{id}",), ()
    for field, kinds in PARENTS[entity]:
        if (parent := data.get(field)) is None:
            continue
        kind = kinds[0] if len(kinds) == 1 else projections.relations.kind_of(parent, kinds) or PARTS
        name = f"{kind}:{parent}"
        if not projections.relations.is_parent(kind, parent):
            return (name,), (name,)
        if kind not in PARENTS:
            return (name,), ()
        names, missing = depends_on(kind, parent, projections)
        return (name, *names), missing
    return (), ()
