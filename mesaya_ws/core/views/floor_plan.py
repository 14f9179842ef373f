"""What becomes of the records about sections and furniture: whole pieces of a floor plan come, go and move at once."""

from mesaya_ws.core.access.channels import Channel, restaurant_channel
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Disposition, Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections


def floor_plan(restaurant: str) -> str:
    """Return the channel of a restaurant's floor plan."""
    return restaurant_channel(restaurant, "tables")


def route_section(event: Event, projections: Projections) -> Outcome:
    """Route a section, with what stands in it where that comes or goes along."""
    left = projections.place("section", projections.shelves["section"].alive.get(event.id))
    # A deletion takes them from the shelves, so they are asked for first.
    tables = standing("table", event.id, projections)
    objects = standing("section_object", event.id, projections)
    folded = projections.fold(event)
    before, data = folded.before, folded.data
    here = projections.place("section", data)

    def say(restaurant: str, what: str, told: Data) -> Message:
        return Message(floor_plan(restaurant), f"section.{what}", event.timestamp, told)

    if not folded.exists:
        if folded.is_late and before is None:
            return outcome_of(())
        places = [place for place in dict.fromkeys((left, here)) if place is not None]
        told = _going(data, tables, objects, projections)
        return outcome_of([say(place, "deleted", told) for place in places], reparented=map(floor_plan, places))
    messages = []
    if before is not None and left is not None and left != here:
        messages.append(say(left, "deleted", _going(before, tables, objects, projections)))
    if here is None:
        return outcome_of(messages)
    what = "created" if event.what == "created" and before is None else "updated"
    if folded.is_late:
        what = "updated"
    if event.what == "deleted":
        # It ended some time, and has come again; what had stood in it has not.
        tables = {id: table for id, table in tables.items() if id not in projections.shelves["table"].alive}
        objects = {id: one for id, one in objects.items() if id not in projections.shelves["section_object"].alive}
        messages.append(say(here, what, _going(data, tables, objects, projections)))
    elif left != here:
        # What was folded before its section came has been told to nobody here yet.
        what = "created" if left is not None else what
        messages.append(say(here, what, coming(what, data, tables, objects)))
    else:
        messages.append(say(here, what, data))
    return outcome_of(messages)


def standing(entity: str, section: str, projections: Projections) -> dict[str, Data]:
    """Return what stands in a section by its id: all that are `table`, or `section_object`."""
    shelf = projections.shelves[entity]
    return dict(shelf.under("sectionId", section))


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
    sections: dict[str | None, list[str]] = {}
    for child, placement in placed.under("objectId", event.id).items():
        section = placement.get("sectionId")
        if section in sections:
            sections[section].append(child)
        else:
            sections[section] = [child]
    ids: dict[str, list[str]] = {}
    for section, children in sections.items():
        restaurant = projections.place("section_object", {"sectionId": section})
        if restaurant is not None:
            ids.setdefault(restaurant, []).extend(children)
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of((), otherwise=Disposition.UNPLACED)
    what, data = event.what, folded.data
    if folded.is_late or what not in ("created", "deleted") or (what == "created" and folded.before is not None):
        what = "updated"
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
        otherwise=Disposition.UNPLACED,
        reparented=map(floor_plan, ids) if what == "deleted" else (),
    )


def can_conflate(channel: Channel) -> bool:
    """Return whether a channel has states, and its snapshot all of them."""
    return channel.kind.name == "tables"


def state_of(message: Message) -> str | None:
    """Return the id of the thing whose whole state a message tells; None when nothing later can stand for it.

    A client may tell `created` and `deleted` from updates, so those are no mere states.
    """
    return message.data["tableId"] if message.type == "table.updated" else None
