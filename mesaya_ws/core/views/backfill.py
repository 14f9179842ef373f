"""What the platform's API says of parents that no record has spoken of: records of our own, and what becomes of them.

What the API says is appended to the log, and counts when it is read back: so all instances know the same. It only fills
in what records have not said: who owns a restaurant, and sections with their tables, which are published as if they had
just been made. For state and stream must agree; and what stands in them may have been published nowhere yet.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import orjson

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.envelope import FOUND, Event
from mesaya_ws.core.platform.fields import DROPPED
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.core.views.floor_plan import entering, floor_plan

MOST_FIELDS = 200
"""Fields that an entity of the API may have, ten times what they have; to look at more takes too long."""

TABLES_AT_ONCE = 200
"""Tables of a section that are read in one go: some 0.2 ms."""

_RESTAURANT, _SECTION = ENTITIES["restaurant"], ENTITIES["section"]


def parents_in(row: object) -> Iterator[str]:
    """Yield the parents that a restaurant, as the API shows it, speaks of (see `missing_parent`); any JSON may come.

    Each is looked for when it is taken, so that others can run in between. One that is there twice comes twice.
    """
    if not _may_be_entity(row) or (id := _RESTAURANT.id_in(row)) is DROPPED:
        return
    yield f"restaurant:{id}"
    for section, _ in _sections(row):
        yield f"section:{section}"


def records_of(row: Mapping[str, Any], timestamp: str) -> Iterator[NewRecord | None]:
    """Yield the records that say what a restaurant, as the API shows it, is, and what each of its sections is.

    It must have an id, as `parents_in` finds out. Each is made when it is taken, so that others can run in between; a
    None comes where they also should, as a section has many tables.
    """
    restaurant = _RESTAURANT.id_in(row)

    def record(kind: str, id: str, data: Mapping[str, Any]) -> NewRecord:
        value = {"timestamp": timestamp, "event_type": FOUND, "entity_subtype": kind, "entity_id": id, "data": data}
        return NewRecord(PARENTS_TOPIC, orjson.dumps(value), restaurant.encode())

    own = {name: value for name, value in row.items() if name != "sections"}
    yield record("restaurant", restaurant, _RESTAURANT.clean(restaurant, own))
    for id, section in _sections(row):
        data = {**section, "restaurantId": restaurant}
        tables = data.get("tables")
        pieces: list[list[Any]] = []
        if isinstance(tables, list):
            pieces = [tables[at : at + TABLES_AT_ONCE] for at in range(0, len(tables), TABLES_AT_ONCE)]
            data["tables"] = []
        cleaned = _SECTION.clean(id, data)
        for piece in pieces:
            cleaned["tables"] += _SECTION.lists["tables"](piece, "tables", {})
            yield None
        yield record("section", id, cleaned)


def _may_be_entity(row: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(row, dict) and len(row) <= MOST_FIELDS


def _sections(row: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    sections = row.get("sections")
    for section in sections if isinstance(sections, list) else ():
        if _may_be_entity(section) and (id := _SECTION.id_in(section)) is not DROPPED:
            yield id, section


def backfill_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what is new of a section; who owns a restaurant is said to nobody."""
    left, there = projections.relations.place("section", before.data), event.data.get("restaurantId")
    here = left or there
    if event.entity == "restaurant" or here is None or after.backfilled is None:
        return Outcome((), Disposition.BACKFILLED)
    messages, parts = [], 0
    is_new, tables = after.backfilled
    if is_new or tables:
        what, objects = ("created" if before.data is None else "updated"), {}
        standing = projections.entities["table"].alive
        come = {id: standing[id] for id in tables}
        if left is None:
            # What came before its section has been published nowhere yet.
            come, objects = (
                dict(projections.entities[kind].children.under("sectionId", event.id))
                for kind in ("table", "section_object")
            )
        parts = len(come) + len(objects)
        shown = entering(what, after.data, come, objects)
        messages.append(Message(floor_plan(here), f"section.{what}", event.timestamp, shown))
    # Also where nothing is published: another instance may have taken it before the records that know better.
    places = [floor_plan(place) for place in dict.fromkeys((here, there)) if place is not None]
    return outcome_of(messages, otherwise=Disposition.BACKFILLED, reparented=places, parts=parts)
