"""What the records up to now mean: the entities as they are last known, who belongs to whom, what users are called."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesaya_ws.core.checkpoint import Row
from mesaya_ws.core.entities import CASCADES, ENTITIES
from mesaya_ws.core.entity import Data
from mesaya_ws.core.records import AUTH, Event, Unreadable
from mesaya_ws.core.shelf import Shelf

DISCARDED_AT_ONCE = 2000
"""How many entities are let go in one go: a millisecond of work, at most."""


class Projections:
    """The fold of all records. `shelves` are the entities by their kind's name."""

    def __init__(self) -> None:
        self.shelves = {name: Shelf(entity) for name, entity in ENTITIES.items()}
        self.names: dict[str, str] = {}
        """What users are called, by `auth` or by their reviews, whichever spoke last."""
        self.roles: dict[str, tuple[str, ...]] = {}
        self._assigned: dict[str, str] = {}  # owners of restaurants that were never heard of
        self._restaurants = self.shelves["restaurant"]
        self._sections = self.shelves["section"]
        self._tables = self.shelves["table"]

    def can_judge(self, event: Event | Unreadable) -> bool:
        """Return whether it can be said what an event changes: not if it is about something never heard of before."""
        if isinstance(event, Unreadable) or event.what == "created" or event.entity == AUTH:
            return True
        return self.shelves[event.entity].knows(event.id)

    def fold(self, event: Event) -> Data:
        """Take in an event; return the entity with what the event left out filled in from what was known.

        A deleted entity takes with it what the platform's database deletes with it.
        """
        if event.entity == AUTH:
            self._fold_user(event)
            return event.data
        data = event.data
        shelf = self.shelves[event.entity]
        deleted = event.what == "deleted"
        old = shelf.alive.get(event.id)
        if old is not None:
            data = old | data
            for name in event.unknown:
                data.pop(name, None)
            for name in shelf.entity.absent:
                if name in old and name not in event.data and shelf.entity.required <= event.data.keys():
                    del data[name]  # what a whole record leaves out has no value any more
        if deleted:
            self._bury(shelf, event.id, data)
            for table in self.listed(data) if event.entity == "section" else ():
                self._bury(self._tables, table["tableId"], table)
        else:
            shelf.put(event.id, data)
            if event.entity == "owner_upgrade":
                self._fold_upgrade(data)
            elif event.entity == "menu":
                self._fold_dishes(event, data.get("restaurantId"))
        if event.entity == "review":
            self._name(data.get("userId"), event.data.get("userName"))
        return data

    def rows(self) -> Iterator[Row]:
        """Yield all that is known, table by table; no event may be folded meanwhile."""
        for name, table in self._tables_by_name().items():
            for id, value in table.items():
                yield name, id, value

    def _tables_by_name(self) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {"names": self.names, "roles": self.roles, "assigned": self._assigned}
        for name, shelf in self.shelves.items():
            tables[f"alive/{name}"], tables[f"gone/{name}"] = shelf.alive, shelf.gone
        return tables

    def discard(self) -> Iterator[None]:
        """Let go of all that is known, yielding after some of it: to free it takes 0.4 µs for each entity."""
        for table in self._tables_by_name().values():
            while table:
                for _ in range(min(DISCARDED_AT_ONCE, len(table))):
                    table.popitem()
                yield

    def load(self, table: str, id: str, value: Any) -> None:
        """Take in one of the `rows`, those of one table in their order. Raises `ValueError` when it is none."""
        kind, _, entity = table.partition("/")
        if kind in ("alive", "gone") and entity in self.shelves and type(value) is dict:
            shelf = self.shelves[entity]
            if kind == "alive":
                shelf.put(id, value)
            else:
                shelf.gone[id] = value
        elif kind == "roles" and type(value) is list:
            self.roles[id] = tuple(value)
        elif kind in ("names", "assigned") and type(value) is str:
            (self.names if kind == "names" else self._assigned)[id] = value
        else:
            raise ValueError(f"{table} holds no such row")

    def find_owner(self, restaurant: str, owner: str) -> None:
        """Take in who owns a restaurant, as the platform's API says, unless a record has told of it."""
        if not self._restaurants.knows(restaurant):
            self._assigned.setdefault(restaurant, owner)

    def find_section(self, id: str, data: Data) -> tuple[bool, list[str]]:
        """Take in what the platform's API says of a section and its `tables`, where records have told nothing.

        Return whether that is anything new of the section itself, and of which tables it is. Nothing comes back that
        was deleted, and no table from another section.
        """
        known = self._sections.alive.get(id, {})
        filled = {name: value for name, value in data.items() if name != "tables"} | known
        is_new = len(filled) > len(known)
        if is_new:
            self._sections.put(id, filled)
        tables = []
        for row in data.get("tables", ()):
            table = row["tableId"]
            known = self._tables.alive.get(table, {})
            filled = row | {"sectionId": id} | known
            if table not in self._tables.gone and filled["sectionId"] == id and len(filled) > len(known):
                self._tables.put(table, filled)
                tables.append(table)
        return is_new, tables

    def _fold_user(self, event: Event) -> None:
        self._name(event.id, event.data.get("name"))
        if "roles" in event.data:
            self.roles[event.id] = event.data["roles"]

    def _name(self, user: str | None, name: str | None) -> None:
        if user and name and name.strip():
            self.names[user] = name.strip()

    def _fold_upgrade(self, request: Data) -> None:
        """Give an approved owner the restaurant: the platform does so without telling of the restaurant."""
        restaurant, user = request.get("assignedRestaurantId"), request.get("userId")
        if request.get("status") != "approved" or not restaurant or not user:
            return
        if known := self._restaurants.alive.get(restaurant):
            self._restaurants.put(restaurant, known | {"ownerId": user})
        else:
            self._assigned[restaurant] = user

    def _fold_dishes(self, menu: Event, restaurant: str | None) -> None:
        """Take in the dishes that come with their menu: the event that deletes one brings its id alone."""
        dishes = self.shelves["dish"]
        unknown = [name.removeprefix("dishes.") for name in menu.unknown]
        for dish in menu.data.get("dishes", ()):
            known = dishes.alive.get(dish["dishId"], {"restaurantId": restaurant} if restaurant else {})
            known = {name: value for name, value in known.items() if name not in unknown} if unknown else known
            dishes.put(dish["dishId"], known | dish)

    def _bury(self, shelf: Shelf, id: str, data: Data) -> None:
        shelf.bury(id, data)
        for name in CASCADES.get(shelf.entity.name, ()):
            children = self.shelves[name]
            for child in list(children.under(shelf.entity.id_field, id)):
                self._bury(children, child, children.alive[child])

    def listed(self, section: Data) -> list[Data]:
        """Return the tables that a section names itself, without those that are known to stand elsewhere by now."""
        here, alive = section["sectionId"], self._tables.alive
        return [
            table
            for table in section.get("tables", ())
            if alive.get(table["tableId"], table).get("sectionId", here) == here
        ]

    def owner(self, restaurant: str | None) -> str | None:
        """Return who owns a restaurant, or owned it when it was deleted."""
        known = self._restaurants.last(restaurant) or {}
        return known.get("ownerId") or self._assigned.get(restaurant or "")

    def is_parent(self, entity: str, id: str) -> bool:
        """Return whether enough is known of an entity to say whom its parts concern: of restaurants, who owns them."""
        return self.shelves[entity].knows(id) or (entity == "restaurant" and id in self._assigned)

    def is_open(self, restaurant: str) -> bool:
        """Return whether a restaurant's channels can be spoken on: its deletion was their last word."""
        return restaurant not in self._restaurants.gone

    def place(self, entity: str, data: Mapping[str, Any] | None) -> str | None:
        """Return the restaurant that an entity belongs to now, directly or by what it is a part of; None if unknown."""
        if data is None:
            return None
        if entity == "image":
            return self._place_of_any(data.get("entityId"))
        if entity in ("table", "section_object"):
            data = self._sections.alive.get(data.get("sectionId", ""))
        return data.get("restaurantId") if data is not None else None

    def _place_of_any(self, id: str | None) -> str | None:
        if id is None:
            return None
        for name in ("restaurant", "section", "table", "menu", "dish"):
            if id in self.shelves[name].alive:
                return self.place(name, self.shelves[name].alive[id])
        return None
