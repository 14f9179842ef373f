"""The floor plan of a restaurant: its records, by which whole pieces come, go and move, and what `:tables` shows."""

from collections.abc import Mapping

from mesaya_ws.core.access.channels import Channel, restaurant_channel
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome, Steps, at_once, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import ChannelState, Contents, View, read_under
from mesaya_ws.core.views.holds import holds_shown
from mesaya_ws.core.views.parts import part_rule


def floor_plan(restaurant: str) -> str:
    """Return the channel of a restaurant's floor plan."""
    return restaurant_channel(restaurant, "tables")


furniture_rule = part_rule("tables", "sectionId")
"""The rule for tables, and for pieces of furniture."""


def section_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a section says, with what stands in it where that comes or goes along."""
    former, data = before.data, after.data
    left, here = projections.relations.place("section", former), projections.relations.place("section", data)
    tables, objects = before.parts["table"], before.parts["section_object"]
    parts = len(tables) + len(objects)

    def say(restaurant: str, what: str, shown: Data) -> Message:
        return Message(floor_plan(restaurant), f"section.{what}", event.timestamp, shown)

    if not after.exists:
        if after.is_late and former is None:
            return outcome_of(())
        places = [place for place in dict.fromkeys((left, here)) if place is not None]
        shown = _leaving(data, tables, objects, projections)
        messages = [say(place, "deleted", shown) for place in places]
        return outcome_of(messages, reparented=map(floor_plan, places), parts=parts)
    messages = []
    if former is not None and left is not None and left != here:
        messages.append(say(left, "deleted", _leaving(former, tables, objects, projections)))
    if here is None:
        return outcome_of(messages, parts=parts)
    what = "created" if event.what == "created" and former is None else "updated"
    if after.is_late:
        what = "updated"
    if event.what == "deleted":
        # It had ended, and exists again; what had stood in it does not.
        entities = projections.entities
        tables = {id: table for id, table in tables.items() if id not in entities["table"].alive}
        objects = {id: one for id, one in objects.items() if id not in entities["section_object"].alive}
        messages.append(say(here, what, _leaving(data, tables, objects, projections)))
    elif left != here:
        # What came before its section has been published nowhere here yet.
        what = "created" if left is not None else what
        messages.append(say(here, what, entering(what, data, tables, objects)))
    else:
        messages.append(say(here, what, data))
        parts = 0
    return outcome_of(messages, parts=parts)


def _leaving(section: Data, tables: Mapping[str, Data], objects: Mapping[str, Data], projections: Projections) -> Data:
    """Return what is said of a section that goes with all that stands in it."""
    # The record's own tables too: some of them may have been there before the log began.
    listed = dict.fromkeys(table["tableId"] for table in projections.relations.listed(section))
    # With many tables, the search for those that come twice took most of the time.
    others = [id for id in tables if id not in listed] if listed else tables
    leaving = section | {"tableIds": [*listed, *others]}
    return leaving | {"sectionObjectIds": list(objects)} if objects else leaving


def entering(what: str, section: Data, tables: Mapping[str, Data], objects: Mapping[str, Data]) -> Data:
    """Return what is said of a section that comes with all that stands in it."""
    if tables or what == "created":
        section = section | {"tables": list(tables.values())}
    return section | {"sectionObjects": list(objects.values())} if objects else section


def object_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a piece of the shared catalogue says to every floor plan that it stands in."""
    return at_once(object_rule_in_steps(event, before, after, projections))


def object_rule_in_steps(event: Event, before: Before, after: After, projections: Projections) -> Steps[Outcome]:
    """Do the same as `object_rule`, yielding after some of the places."""
    sections: dict[str | None, list[str]] = {}
    for number, (child, placement) in enumerate(before.parts["section_object"].items(), 1):
        section = placement.get("sectionId")
        if section in sections:
            sections[section].append(child)
        else:
            sections[section] = [child]
        if number % PARTS_AT_ONCE == 0:
            yield
    ids: dict[str, list[str]] = {}
    for number, (section, children) in enumerate(sections.items(), 1):
        restaurant = projections.relations.place("section_object", {"sectionId": section})
        if restaurant is not None:
            ids.setdefault(restaurant, []).extend(children)
        if number % PARTS_AT_ONCE == 0:
            yield
    if after.is_late and not after.exists:
        return outcome_of((), otherwise=Disposition.UNPLACED)
    what, data = event.what, after.data
    if after.is_late or what not in ("created", "deleted") or (what == "created" and before.data is not None):
        what = "updated"
    messages = []
    for number, (restaurant, children) in enumerate(ids.items(), 1):
        shown = data | {"sectionObjectIds": children} if what == "deleted" else data
        messages.append(Message(floor_plan(restaurant), f"object.{what}", event.timestamp, shown))
        if number % PARTS_AT_ONCE == 0:
            yield
    return outcome_of(
        messages,
        otherwise=Disposition.UNPLACED,
        reparented=[message.channel for message in messages] if what == "deleted" else (),
    )


def plan_contents(restaurant: str, projections: Projections) -> Contents:
    """Return the sections of a restaurant, and the tables and pieces of furniture in them, which are to be read."""
    sections = projections.entities["section"].children.under("restaurantId", restaurant)
    return {
        "sections": list(sections.values()),
        "tables": read_under("table", "sectionId", sections, projections),
        "sectionObjects": read_under("section_object", "sectionId", sections, projections),
    }


def tables_state(view: View) -> ChannelState:
    """Return what a floor plan shows, and which of its tables are held."""
    contents = plan_contents(view.subject, view.projections)
    return {**contents, "holds": holds_shown(view.subject, view.log_now, view.projections)}


def plan_size(restaurant: str, projections: Projections, enough: int) -> int:
    """Return how many these are; with more than `enough`, it need not be exact."""
    sections = projections.entities["section"].children.under("restaurantId", restaurant)
    if len(sections) > enough:
        return len(sections)
    furniture = (projections.entities[kind] for kind in ("table", "section_object"))
    return len(sections) + sum(
        sum(map(len, entities.children.under_each("sectionId", sections))) for entities in furniture
    )


def can_conflate(channel: Channel) -> bool:
    """Return whether a channel has states, and its snapshot all of them."""
    return channel.kind.name == "tables"


def state_of(message: Message) -> str | None:
    """Return the id of the thing whose whole state a message says; None when nothing later can stand for it.

    A client may distinguish `created` and `deleted` from updates, so those are no mere states.
    """
    return message.data["tableId"] if message.type == "table.updated" else None
