"""What belongs to a restaurant, as far as it is known: the contents of its channels."""

from collections.abc import Iterable
from itertools import chain

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.projections import Projections


def belongings(kind: str, restaurant: str, projections: Projections) -> dict[str, list[Data]]:
    """Return the entities that a restaurant's channel of a kind is about, by what they are called in its state."""
    shelves = projections.shelves
    if kind == "tables":
        sections = shelves["section"].under("restaurantId", restaurant)
        return {
            "sections": list(sections.values()),
            "tables": alive_under(shelves["table"], "sectionId", sections),
            "sectionObjects": alive_under(shelves["section_object"], "sectionId", sections),
        }
    if kind == "info":
        return {"images": alive_under(shelves["image"], "entityId", imaged_parts(restaurant, projections))}
    names = {"menu": ("menu", "dish"), "reviews": ("review",), "reservations": ("reservation",)}[kind]
    plurals = {"dish": "dishes"}
    return {plurals.get(name, f"{name}s"): alive_under(shelves[name], "restaurantId", (restaurant,)) for name in names}


def alive_under(shelf: EntityTable, field: str, parents: Iterable[str]) -> list[Data]:
    """Return the entities of a kind whose `field` names one of the `parents`."""
    # Of tens of thousands, in a millisecond: so they are copied as they stand, and written down later.
    return list(chain.from_iterable(shelf.under(field, parent).values() for parent in parents))


def imaged_parts(restaurant: str, projections: Projections) -> list[str]:
    """Return the ids of all that can have an image: a restaurant, and its parts."""
    shelves = projections.shelves
    sections = list(shelves["section"].under("restaurantId", restaurant))
    parts = [restaurant, *sections]
    parts += (id for section in sections for id in shelves["table"].under("sectionId", section))
    for kind in ("menu", "dish"):
        parts += shelves[kind].under("restaurantId", restaurant)
    return parts
