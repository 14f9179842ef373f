"""What becomes of the records about sections and furniture: whole pieces of a floor plan come, go and move at once."""

from mesaya_ws.core.channels import restaurant_channel
from mesaya_ws.core.entity import Data
from mesaya_ws.core.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import Event, Reason


def floor_plan(restaurant: str) -> str:
    """Return the channel of a restaurant's floor plan."""
    return restaurant_channel(restaurant, "tables")


def route_section(event: Event, projections: Projections) -> Outcome:
    """Route a section, with what stands in it where that comes or goes along."""
    before = projections.shelves["section"].alive.get(event.id)
    left = projections.place("section", before)
    # A deletion takes them from the shelves, so they are asked for first.
    tables = standing("table", event.id, projections)
    objects = standing("section_object", event.id, projections)
    data = projections.fold(event)
    here = projections.place("section", data)

    def say(restaurant: str, what: str, told: Data) -> Message:
        return Message(floor_plan(restaurant), f"section.{what}", event.timestamp, told)

    if event.what == "deleted":
        places = [place for place in dict.fromkeys((left, here)) if place is not None]
        told = _going(data, tables, objects, projections)
        return outcome_of([say(place, "deleted", told) for place in places], reparented=map(floor_plan, places))
    if here is None:
        return outcome_of(())
    if before is not None and left is not None and left != here:
        gone, come = _going(before, tables, objects, projections), coming("created", data, tables, objects)
        return outcome_of(
            [say(left, "deleted", gone), say(here, "created", come)], reparented=map(floor_plan, (left, here))
        )
    what = "created" if event.what == "created" and before is None else "updated"
    if left is None:
        # What was folded before its section came has been told to nobody yet.
        return outcome_of([say(here, what, coming(what, data, tables, objects))], reparented=[floor_plan(here)])
    return outcome_of([say(here, what, data)])


def standing(entity: str, section: str, projections: Projections) -> dict[str, Data]:
    """Return what stands in a section by its id: all that are `table`, or `section_object`."""
    shelf = projections.shelves[entity]
    return {child: shelf.alive[child] for child in shelf.under("sectionId", section)}


def _going(section: Data, tables: dict[str, Data], objects: dict[str, Data], projections: Projections) -> Data:
    # The record's own tables too: some of them may have been there before the log began.
    listed = [table["tableId"] for table in projections.listed(section)]
    going = section | {"tableIds": list(dict.fromkeys([*listed, *tables]))}
    return going | {"sectionObjectIds": list(objects)} if objects else going


def coming(what: str, section: Data, tables: dict[str, Data], objects: dict[str, Data]) -> Data:
    """Return what is told of a section that comes with all that stands in it."""
    if tables or what == "created":
        section = section | {"tables": list(tables.values())}
    return section | {"sectionObjects": list(objects.values())} if objects else section


def route_object(event: Event, projections: Projections) -> Outcome:
    """Route a piece of the shared catalogue to every floor plan that it stands in."""
    placed = projections.shelves["section_object"]
    ids: dict[str, list[str]] = {}
    for child in placed.under("objectId", event.id):
        restaurant = projections.place("section_object", placed.alive[child])
        if restaurant is not None:
            ids.setdefault(restaurant, []).append(child)
    known = event.id in projections.shelves["object"].alive
    data = projections.fold(event)
    what = event.what if event.what == "deleted" or (event.what == "created" and not known) else "updated"
    return outcome_of(
        [
            Message(
                floor_plan(restaurant),
                f"object.{what}",
                event.timestamp,
                data | {"sectionObjectIds": children} if what == "deleted" else data,
            )
            for restaurant, children in ids.items()
        ],
        otherwise=Reason.UNPLACED,
        reparented=map(floor_plan, ids) if what == "deleted" else (),
    )
