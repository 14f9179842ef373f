"""What entities have to do with each other: which restaurant each belongs to, and whether enough is known to say so."""

from collections.abc import Iterable, Mapping
from typing import Any

from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.owners import Owners


class Relations:
    """The relations of `entities`, which are the tables of all kinds, by name, and who the `owners` of restaurants are.

    Whoever owns the tables may replace one.
    """

    def __init__(self, entities: Mapping[str, EntityTable], owners: Owners) -> None:
        self._entities = entities
        self._owners = owners

    def is_parent(self, entity: str, id: str) -> bool:
        """Return whether enough is known of an entity to say whom its parts concern: of restaurants, who owns them."""
        if entity == "restaurant" and (id in self._owners.assigned.entries or id in self._owners.found):
            return True
        table = self._entities.get(entity)
        return self.kind_of(id, IMAGED) is not None if table is None else table.knows(id)

    def is_open(self, restaurant: str) -> bool:
        """Return whether a restaurant's channels can be spoken on: its deletion was their last word."""
        table = self._entities["restaurant"]
        return restaurant not in table.gone or restaurant in table.alive

    def place(self, entity: str, data: Mapping[str, Any] | None) -> str | None:
        """Return the restaurant that an entity belongs to now, directly or by what it is a part of; None if unknown."""
        if data is None:
            return None
        if entity == "image":
            return self.place_of_images(data.get("entityId"))
        if entity in ("table", "section_object"):
            data = self._entities["section"].alive.get(data.get("sectionId", ""))
        return data.get("restaurantId") if data is not None else None

    def place_of_images(self, id: str | None) -> str | None:
        """Return the restaurant that the images of something belong to now; None if unknown."""
        kind = None if id is None else self.kind_of(id, IMAGED)
        return None if kind is None or id is None else self.place(kind, self._entities[kind].alive.get(id))

    def kind_of(self, id: str, kinds: Iterable[str]) -> str | None:
        """Return which of the `kinds` something is that is known by its id alone; one that exists goes first."""
        tables = [self._entities[name] for name in kinds]
        for table in tables:
            if id in table.alive:
                return table.entity.name
        return next((table.entity.name for table in tables if id in table.gone), None)

    def listed(self, section: Data) -> list[Data]:
        """Return the tables that a section names itself, without those that are known to stand elsewhere by now."""
        here, alive = section["sectionId"], self._entities["table"].alive
        return [
            table
            for table in section.get("tables", ())
            if alive.get(table["tableId"], table).get("sectionId", here) == here
        ]
