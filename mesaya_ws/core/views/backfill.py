"""What the platform's API says of parents that no record has told of: as records of our own, and what becomes of them.

What the API says is appended to the log, and counts when it is read back: so all instances know the same. It only fills
in what records have not told: who owns a restaurant, and sections with their tables, which are told as if they had just
been made. For state and stream must agree; and what stands in them may have been told to nobody yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import orjson

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.envelope import FOUND, Disposition, Event
from mesaya_ws.core.platform.fields import DROPPED
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import PARENTS
from mesaya_ws.core.views.floor_plan import coming, floor_plan, standing

MOST_FIELDS = 200
"""Fields that an entity of the API may have, ten times what they have; to look at more takes too long."""

_RESTAURANT, _SECTION = ENTITIES["restaurant"], ENTITIES["section"]


def parents_in(row: object) -> frozenset[str]:
    """Return which parents a restaurant, as the API shows it, tells of (see `missing_parent`); any JSON may come."""
    if not _may_be_entity(row) or (id := _RESTAURANT.id_in(row)) is DROPPED:
        return frozenset()
    return frozenset({f"restaurant:{id}", *(f"section:{section}" for section, _ in _sections(row))})


def records_of(row: Mapping[str, Any], timestamp: str) -> Iterator[NewRecord]:
    """Return the records that say what a restaurant, as the API shows it, is, and what each of its sections is.

    It must have an id, as `parents_in` finds out. Each is made when it is taken, so that others can run in between.
    """
    restaurant = _RESTAURANT.id_in(row)

    def record(kind: str, id: str, data: Mapping[str, Any]) -> NewRecord:
        value = {"timestamp": timestamp, "event_type": FOUND, "entity_subtype": kind, "entity_id": id, "data": data}
        return NewRecord(PARENTS, orjson.dumps(value), restaurant.encode())

    own = {name: value for name, value in row.items() if name != "sections"}
    yield record("restaurant", restaurant, _RESTAURANT.clean(restaurant, own))
    for id, section in _sections(row):
        yield record("section", id, _SECTION.clean(id, {**section, "restaurantId": restaurant}))


def _may_be_entity(row: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(row, dict) and len(row) <= MOST_FIELDS


def _sections(row: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    sections = row.get("sections")
    rows = [section for section in sections if _may_be_entity(section)] if isinstance(sections, list) else []
    return [(id, section) for section in rows if (id := _SECTION.id_in(section)) is not DROPPED]


def route_backfill(event: Event, projections: Projections) -> Outcome:
    """Fold such a record, as far as others have told nothing of the same; tell what is new of a section."""
    if event.entity == "restaurant":
        if (owner := event.data.get("ownerId")) is not None:
            projections.backfill_owner(event.id, owner)
        return Outcome((), Disposition.BACKFILLED)
    sections, id = projections.shelves["section"], event.id
    before = sections.alive.get(id)
    left, there = projections.place("section", before), event.data.get("restaurantId")
    here = left or there
    if here is None:
        return Outcome((), Disposition.BACKFILLED)
    messages = []
    if projections.is_open(here) and (before is not None or id not in sections.gone):
        is_new, tables = projections.backfill_section(id, event.data)
        if is_new or tables:
            what, objects = ("created" if before is None else "updated"), {}
            come = {table: projections.shelves["table"].alive[table] for table in tables}
            if left is None:
                # What was folded before its section came has been told to nobody yet.
                come, objects = (standing(kind, id, projections) for kind in ("table", "section_object"))
            told = coming(what, sections.alive[id], come, objects)
            messages.append(Message(floor_plan(here), f"section.{what}", event.timestamp, told))
    # Also where it is not told: another instance may have taken it before the records that know better.
    places = [floor_plan(place) for place in dict.fromkeys((here, there)) if place is not None]
    return outcome_of(messages, otherwise=Disposition.BACKFILLED, reparented=places)
