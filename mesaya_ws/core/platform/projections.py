"""What the records up to now mean: the entities as they are last known, who belongs to whom, what users are called."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from mesaya_ws.core.platform.change import After, Backfilled, Before
from mesaya_ws.core.platform.entities import CASCADES, ENTITIES, IMAGED, OF_TOPIC
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import FOUND_AT_ONCE, REMEMBERED, EntityTable, at_in
from mesaya_ws.core.platform.envelope import AUTH, FOUND, Event, Rejected
from mesaya_ws.core.platform.latest import Latest
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.core.platform.ranking import Ranking
from mesaya_ws.core.platform.topics import PARENTS, topic_of

Row = tuple[str, str, Any]
"""What is known, piece by piece: table, id, and a value of JSON. The order of a table's rows is part of it."""


class LoggedRoles(NamedTuple):
    """The roles of a user by the latest record that says them, and when that was (ms since 1970)."""

    at: int
    roles: tuple[str, ...]


DISCARDED_AT_ONCE = 2000
"""How many entities are let go in one go: a millisecond of work, at most."""

ENDED_AT_ONCE = 200
"""How many parts end in one go with what they belong to: 2 ms of work, at most."""

_TELLS_MORE = frozenset({"restaurant", "owner_upgrade", "menu", "review", "announcement"})

_FURNITURE = ("table", "section_object")

# By kind: which parts of a floor plan end with an entity.
_PARTS = {name: tuple(part for part in parts if part in _FURNITURE) for name, parts in CASCADES.items()}

# By kind: with whose end entities end, and the field that names it.
_ENDS_WITH = {
    part: [(name, ENTITIES[name].id_field) for name, parts in CASCADES.items() if part in parts]
    for part in {part for parts in CASCADES.values() for part in parts}
}


class Projections:
    """What all records up to now mean. `entities` are in a table for each kind, by its name.

    Of each kind, so many deleted ones are `remembered`.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self.entities = {name: EntityTable(entity) for name, entity in ENTITIES.items()}
        self.names: dict[str, str] = {}
        """What users are called, by `auth` or by their reviews, whichever spoke last."""
        self._called: dict[str, Latest[str]] = {AUTH: Latest(), "review": Latest()}
        self._roles: Latest[list[str]] = Latest()
        # Owners of restaurants by their requests: those that count, as no later record of the restaurant names another.
        self._assigned: Latest[str] = Latest()
        self._found_owners: dict[str, str] = {}  # by the platform's API: they count where no record names any
        self._announcements = Ranking()
        self.ending: list[tuple[str, int | None, EntityTable, list[str]]] = []
        """Parts that are still to end with what they belong to (by which field, when), or to be forgotten with it, the
        next one last. As long as there are any, `end_parts` goes first."""

    def knows_subject(self, event: Event | Rejected) -> bool:
        """Return whether it can be said what an event changes: not if no record has spoken of its entity before."""
        if isinstance(event, Rejected) or event.what == "created" or event.entity == AUTH:
            return True
        return self.entities[event.entity].knows(event.id)

    def lookup(self, event: Event) -> Before:
        """Return what is known of what an event is about, before it is applied; of any kind but `auth`."""
        entity, id = event.entity, event.id
        data = self.entities[entity].alive.get(id)
        parts = _PARTS.get(entity)
        if parts is None:  # of nearly all
            return Before(data)
        field = ENTITIES[entity].id_field
        return Before(
            data,
            entity != "restaurant" or self.is_open(id),
            self.owner(id) if entity == "restaurant" else None,
            {part: dict(self.entities[part].under(field, id)) for part in parts},
        )

    def apply(self, event: Event) -> After:
        """Apply an event, of any kind but `auth`; return what it has made of the entity, with what others said of it.

        A deleted entity takes with it what the platform's database deletes with it: of much, only a piece at once (see
        `ending`). Nobody but the router applies what the log says: what a rule needs of the time before, `lookup` says.
        """
        entity, id = event.entity, event.id
        if event.what == FOUND:
            return self._backfill(event)
        table = self.entities[entity]
        ends = event.what == "deleted"
        after = table.apply(id, event.at, event.data, event.unknown, ends=ends)
        if ends:
            self._end_parts(table, event, after.data)
        elif entity in _ENDS_WITH and after.exists and self._ended_with_parent(table, id, after.data):
            after = After(after.data, True, False)
        if entity in _TELLS_MORE:
            self._apply_more(event, after.data)
        if not after.exists:
            self._forget_oldest(table)
        if self.ending:
            self.end_parts()
        return after

    def _apply_more(self, event: Event, data: Data) -> None:
        """Take in what an event says of others."""
        match event.entity:
            case "restaurant":
                self._apply_owner(event)
            case "owner_upgrade":
                self._apply_upgrade(event.id)
            case "menu":
                self._apply_dishes(event, data.get("restaurantId"))
            case "review":
                self._name("review", data.get("userId"), event.data.get("userName"), event.at)
            case "announcement":
                self._announcements.put(event.id, self.entities["announcement"].newest(event.id))

    def apply_user(self, event: Event) -> None:
        """Apply an event of `auth`."""
        self._name(AUTH, event.id, event.data.get("name"), event.at)
        if "roles" in event.data:
            self._roles.put(event.id, event.at, list(event.data["roles"]))

    def owner_of(self, restaurant: str) -> str | None:
        """Return who owns a restaurant now: of one that is deleted, nobody."""
        return self.owner(restaurant) if self.is_open(restaurant) else None

    def roles_of(self, user: str) -> LoggedRoles | None:
        """Return the roles of a user as `auth` had them last, and when."""
        told = self._roles.told.get(user)
        return None if told is None else LoggedRoles(told[0][0], tuple(told[1]))

    def rows(self) -> Iterator[Row]:
        """Yield all that is known, table by table; no event may be applied meanwhile."""
        for table, latest in self._latest().items():
            for id, told in latest.told.items():
                yield table, id, told
        for id, owner in self._found_owners.items():
            yield "found_owner", id, owner
        for entities in self.entities.values():
            yield from entities.rows()

    def _latest(self) -> dict[str, Latest[Any]]:
        called = {f"called/{source}": latest for source, latest in self._called.items()}
        return {**called, "roles": self._roles, "assigned": self._assigned}

    def discard(self) -> Iterator[None]:
        """Let go of all that is known, yielding after some of it."""
        yield from self._announcements.discard()
        yield from _empty(self.names, self._found_owners, *(latest.told for latest in self._latest().values()))
        for table in self.entities.values():
            yield from _empty(*table.tables())

    def load(self, table: str, id: str, value: Any) -> None:
        """Take in one of the `rows`, those of one table in their order. Raises `ValueError` when it is none."""
        kind, _, entity = table.partition("/")
        try:
            if kind in ("alive", "gone", "found"):
                self.entities[entity].load(kind, id, value)
                if entity == "announcement":
                    self._announcements.put(id, self.entities[entity].newest(id))
            elif table == "found_owner":
                self._found_owners[id] = _text(value)
            elif table == "roles":
                at, roles = value
                self._roles.put(id, at_in(at), list(map(_text, roles)))
            elif kind == "called":
                at, name = value
                self._name(entity, id, _text(name), at_in(at))
            else:
                at, owner = value
                self._latest()[table].put(id, at_in(at), _text(owner))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{table} holds no such row") from error

    def replaced(self, topic: str) -> Iterator[None]:
        """Forget what only `topic` has said, of which nothing is left, yielding often; nothing may be applied then."""
        # What is still to end was known before: it is to be found among that.
        yield from self.end_in_steps()
        gone: list[dict[str, Any]] = []
        announced = Ranking()
        renamed = False
        for entity in OF_TOPIC.get(topic, ()) if topic != PARENTS else ():
            table = self.entities[entity.name]
            fresh = self.entities[entity.name] = EntityTable(entity)
            for number, (id, data) in enumerate(table.found.items(), 1):
                fresh.find(id, data)
                if number % FOUND_AT_ONCE == 0:
                    yield
            gone += table.tables()
        if topic == PARENTS:
            self._found_owners = {}
            for table in self.entities.values():
                yield from table.forget_found()
        for source, at in ((AUTH, topic_of("auth")), ("review", topic_of("reviews"))):
            if topic == at:
                gone.append(self._called[source].told)
                self._called[source] = Latest()
                renamed = True
        if topic == topic_of("auth"):
            self._roles = Latest()
        if topic == topic_of("owner-upgrade"):
            self._assigned = Latest()
        if topic == topic_of("announcements"):
            announced, self._announcements = self._announcements, announced
        if renamed:
            yield from self._recall_names()
        yield from announced.discard()
        yield from _empty(*gone)

    def latest_announcements(self, count: int) -> list[Data]:
        """Return the `count` announcements with the last records, in the order of those, the latest one last."""
        alive = self.entities["announcement"].alive
        return [alive[id] for id in self._announcements.last(count)]

    def _backfill(self, event: Event) -> After:
        """Apply what the platform's API says of a restaurant or a section, as far as no record has said anything of it.

        Nothing comes back that was deleted, also not with its restaurant, and no table from another section.
        """
        table, id, given = self.entities[event.entity], event.id, event.data
        backfilled = Backfilled(False, [])
        if event.entity == "restaurant":
            if (owner := given.get("ownerId")) is not None:
                self._found_owners.setdefault(id, owner)
        elif id in table.alive or id not in table.gone:
            place = self.place("section", table.alive.get(id)) or given.get("restaurantId")
            if place is not None and self.is_open(place):
                backfilled = self._backfill_section(id, given)
        return After(table.alive.get(id, given), False, id in table.alive, backfilled)

    def _backfill_section(self, id: str, given: Data) -> Backfilled:
        is_new = self.entities["section"].find(id, {name: value for name, value in given.items() if name != "tables"})
        tables = []
        for row in given.get("tables", ()):
            table_id = row["tableId"]
            is_here = self._tables.alive.get(table_id, {}).get("sectionId", id) == id
            if self._tables.find(table_id, row | {"sectionId": id}) and is_here:
                tables.append(table_id)
        return Backfilled(is_new, tables)

    def _name(self, source: str, user: str | None, name: str | None, at: At) -> None:
        if user and name and name.strip() and self._called[source].put(user, at, name.strip()):
            told = [latest.told[user] for latest in self._called.values() if user in latest.told]
            # Of two topics only the time can be compared; when it is the same, who spoke last is right.
            latest = max(told, key=lambda one: one[0][0])
            self.names[user] = name.strip() if latest[0][0] == at[0] else latest[1]

    def _recall_names(self) -> Iterator[None]:
        """Find again what users are called, whom another source names; yield after some of them."""
        self.names.clear()
        for source, latest in self._called.items():
            for number, (user, (at, name)) in enumerate(list(latest.told.items())):
                if number % DISCARDED_AT_ONCE == 0:
                    yield
                self._name(source, user, name, at)

    def _apply_owner(self, event: Event) -> None:
        """Let go of an owner by a request if a later record of the restaurant names its owner."""
        assigned = self._assigned.told.get(event.id)
        if assigned is None or "ownerId" not in event.data or event.id not in self._restaurants.alive:
            return
        if self._restaurants.told_at(event.id, "ownerId")[0] >= assigned[0][0]:
            del self._assigned.told[event.id]

    def _apply_upgrade(self, id: str) -> None:
        """Give an approved owner the restaurant: the platform does so without a record of the restaurant."""
        table = self.entities["owner_upgrade"]
        request = table.alive.get(id, {})
        restaurant, user = request.get("assignedRestaurantId"), request.get("userId")
        if request.get("status") != "approved" or not restaurant or not user:
            return
        at = max(table.told_at(id, field) for field in ("status", "assignedRestaurantId", "userId"))
        known = self._restaurants.alive.get(restaurant, {})
        if "ownerId" not in known or self._restaurants.told_at(restaurant, "ownerId")[0] <= at[0]:
            self._assigned.put(restaurant, at, user)

    def _apply_dishes(self, menu: Event, restaurant: str | None) -> None:
        """Take in the dishes that come with their menu: the event that deletes one brings its id alone."""
        dishes = self.entities["dish"]
        unknown = [name.removeprefix("dishes.") for name in menu.unknown if name.startswith("dishes.")]
        for dish in menu.data.get("dishes", ()) if menu.what != "deleted" else ():
            after = dishes.apply(dish["dishId"], menu.at, dish, unknown)
            if after.exists and restaurant is not None and "restaurantId" not in after.data:
                dishes.put(dish["dishId"], after.data | {"restaurantId": restaurant})

    def _end_parts(self, table: EntityTable, event: Event, data: Data) -> None:
        """End what the platform's database deletes with an entity, as far as no later record is about it."""
        time = table.gone[event.id].ended
        self._cut_under(table, event.id, time)
        if event.entity == "section":
            # The record's own tables: where they stand may not be known.
            self._end("sectionId", time, self._tables, [table["tableId"] for table in self.listed(data)])

    def _cut_under(self, table: EntityTable, id: str, time: int) -> None:
        field = table.entity.id_field
        for name in reversed(CASCADES.get(table.entity.name, ())):
            children = self.entities[name]
            self._end(field, time, children, children.under(field, id))

    def _end(self, field: str, time: int | None, table: EntityTable, ids: Collection[str]) -> None:
        if ids:
            self.ending.append((field, time, table, list(ids)[::-1]))

    def end_parts(self, most: int = ENDED_AT_ONCE) -> bool:
        """End some parts, at most so many, of what has ended; return whether there are more."""
        while self.ending and most > 0:
            field, time, table, ids = self.ending[-1]
            if not ids:
                self.ending.pop()
                continue
            most -= 1
            if (id := ids.pop()) not in table.alive:
                continue
            if time is None:
                table.forget(id)
            elif table.cut(id, field, time):
                self._cut_under(table, id, time)
                self._forget_oldest(table)
        return bool(self.ending)

    def end_in_steps(self) -> Iterator[None]:
        """End all parts of what has ended, yielding after some of them."""
        while self.end_parts():
            yield

    def end_all_parts(self) -> None:
        """End all parts of what has ended."""
        while self.end_parts():
            pass

    def _ended_with_parent(self, table: EntityTable, id: str, data: Data) -> bool:
        """End an entity if a parent of it ended after all records about it; return whether that is so."""
        for name, field in _ENDS_WITH[table.entity.name]:
            gone = self.entities[name].gone
            if not gone or (parent := data.get(field)) is None:
                continue
            ended = gone.get(parent)
            if ended is not None and table.cut(id, field, ended.ended - 1):
                self._cut_under(table, id, ended.ended - 1)
                return True
        return False

    def _forget_oldest(self, table: EntityTable) -> None:
        """Forget what was deleted long ago, and what still belongs to it: that is shown to nobody."""
        while (id := table.forget_oldest(self._remembered)) is not None:
            if id in table.alive:
                continue
            if table is self._restaurants:
                # Else it would seem to be one that no record is about, with an owner who may see what it was.
                self._assigned.told.pop(id, None)
                self._found_owners.pop(id, None)
            field = table.entity.id_field
            for parts in self.entities.values():
                for name in parts.entity.parents:
                    if name == field or (name == "entityId" and table.entity.name in IMAGED):
                        self._end(name, None, parts, parts.under(name, id))

    @property
    def _restaurants(self) -> EntityTable:
        return self.entities["restaurant"]

    @property
    def _tables(self) -> EntityTable:
        return self.entities["table"]

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
        if restaurant is None:
            return None
        known = self._restaurants.last(restaurant) or {}
        return self._assigned.get(restaurant) or known.get("ownerId") or self._found_owners.get(restaurant)

    def is_parent(self, entity: str, id: str) -> bool:
        """Return whether enough is known of an entity to say whom its parts concern: of restaurants, who owns them."""
        if entity == "restaurant" and (id in self._assigned.told or id in self._found_owners):
            return True
        table = self.entities.get(entity)
        return self.kind_of(id, IMAGED) is not None if table is None else table.knows(id)

    def is_open(self, restaurant: str) -> bool:
        """Return whether a restaurant's channels can be spoken on: its deletion was their last word."""
        table = self._restaurants
        return restaurant not in table.gone or restaurant in table.alive

    def place(self, entity: str, data: Mapping[str, Any] | None) -> str | None:
        """Return the restaurant that an entity belongs to now, directly or by what it is a part of; None if unknown."""
        if data is None:
            return None
        if entity == "image":
            return self.place_of_images(data.get("entityId"))
        if entity in ("table", "section_object"):
            data = self.entities["section"].alive.get(data.get("sectionId", ""))
        return data.get("restaurantId") if data is not None else None

    def kind_of(self, id: str, kinds: Iterable[str]) -> str | None:
        """Return which of the `kinds` something is that is known by its id alone; one that exists goes first."""
        tables = [self.entities[name] for name in kinds]
        for table in tables:
            if id in table.alive:
                return table.entity.name
        return next((table.entity.name for table in tables if id in table.gone), None)

    def place_of_images(self, id: str | None) -> str | None:
        """Return the restaurant that the images of something belong to now; None if unknown."""
        kind = None if id is None else self.kind_of(id, IMAGED)
        return None if kind is None or id is None else self.place(kind, self.entities[kind].alive.get(id))


def _empty(*tables: dict[str, Any]) -> Iterator[None]:
    """Empty tables, yielding after some of it: to free what is known of an entity takes 0.4 µs."""
    for table in tables:
        while table:
            for _ in range(min(DISCARDED_AT_ONCE, len(table))):
                table.popitem()
            yield
        table.clear()  # an emptied table still has its places


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("a name is a text")
    return value
