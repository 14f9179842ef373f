"""What the platform's API says of entities: it only fills in what no record has said, and brings nothing back."""

from collections.abc import Iterator, Mapping

from mesaya_ws.core.platform.change import After, Backfilled
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.owners import Owners
from mesaya_ws.core.platform.provenance import NEVER, Mixed, newest
from mesaya_ws.core.platform.relations import Relations

FOUND_AT_ONCE = 300
"""Entities known by the platform's API that are checked in one step, at some 3 µs each."""

_NOTHING: Data = {}


def backfill(event: Event, entities: Mapping[str, EntityTable], owners: Owners, relations: Relations) -> After:
    """Apply what the API says of a restaurant or a section, as far as no record has said anything of it.

    Nothing comes back that was deleted, also not with its restaurant, and no table from another section.
    """
    table, id, given = entities[event.entity], event.id, event.data
    backfilled = Backfilled(False, [])
    if event.entity == "restaurant":
        if (owner := given.get("ownerId")) is not None:
            owners.find(id, owner)
    elif id in table.alive or id not in table.gone:
        place = relations.place("section", table.alive.get(id)) or given.get("restaurantId")
        if place is not None and relations.is_open(place):
            backfilled = _backfill_section(id, given, entities)
    return After(table.alive.get(id, given), False, id in table.alive, backfilled)


def _backfill_section(id: str, given: Data, entities: Mapping[str, EntityTable]) -> Backfilled:
    is_new = find(entities["section"], id, {name: value for name, value in given.items() if name != "tables"})
    found, tables = [], entities["table"]
    for row in given.get("tables", ()):
        table_id = row["tableId"]
        is_here = tables.alive.get(table_id, {}).get("sectionId", id) == id
        if find(tables, table_id, row | {"sectionId": id}) and is_here:
            found.append(table_id)
    return Backfilled(is_new, found)


def find(table: EntityTable, id: str, data: Data) -> bool:
    """Fill in what the API says of an entity; return whether it is anything new."""
    found = table.found[id] = data | table.found.get(id, _NOTHING)
    table.tracked_found.note(id, found)
    known = table.alive.get(id)
    if known is None:
        if id in table.gone:
            return False
        table.keep(id, found, Mixed(NEVER, NEVER))
        return True
    provenance = table.provenances[id]
    if not isinstance(provenance, Mixed) or provenance.base != NEVER:
        return False
    given = provenance.fields()
    filled = {name: value for name, value in found.items() if name not in given} | known
    table.keep(id, filled, provenance)
    return len(filled) > len(known)


def find_again(table: EntityTable, found: Mapping[str, Data]) -> Iterator[None]:
    """Fill in what the API has said before, in a table that is new; yields after some of it."""
    for number, (id, data) in enumerate(found.items(), 1):
        find(table, id, data)
        if number % FOUND_AT_ONCE == 0:
            yield


def forget_found(table: EntityTable) -> Iterator[None]:
    """Forget what the API has said, where no record has said anything; yields after some of it."""
    found, table.found = table.found, {}
    for number, id in enumerate(found, 1):
        table.tracked_found.note(id, None)
        if id in table.alive and newest(table.provenances[id]) == NEVER:
            table.forget(id)
        if number % FOUND_AT_ONCE == 0:
            yield
