"""What stands in the demo from its beginning: users, restaurants, their plans and menus; the same for the same seed."""

from collections.abc import Iterator
from random import Random
from typing import Any

from attrs import frozen

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.demo.records import fixed_id, record, sign_up
from mesaya_ws.demo.texts import FIRST_NAMES, LAST_NAMES, MENUS, RESTAURANTS, SECTIONS

GUESTS = 60
MAX_RESTAURANTS = 50
BUILT = "2026-01-12T14:00:00.000Z"
"""Since when all that stands has stood, whenever the demo is run."""

_TABLES_IN_A_ROW = 4
_DEPTH = 80
"""Of a table, in the measure of the plan."""
_LARGE = 6
"""For so many, a table is one and a half times as wide."""
_DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


@frozen
class User:
    """A guest, or the owner of a restaurant."""

    id: str
    first_name: str
    last_name: str
    role: str = "USER"

    @property
    def name(self) -> str:
        """The name as reviews show it."""
        return f"{self.first_name} {self.last_name}"


@frozen
class Table:
    """A table on the plan of a restaurant."""

    id: str
    section: str
    restaurant: str
    number: int
    capacity: int
    x: int
    y: int


@frozen
class Section:
    """A room of a restaurant."""

    id: str
    name: str
    description: str
    width: int
    height: int
    tables: tuple[Table, ...]


@frozen
class Restaurant:
    """A restaurant with its plan; its texts are in row `kind` of `RESTAURANTS`."""

    id: str
    number: int
    kind: int
    name: str
    owner: User
    sections: tuple[Section, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        return tuple(table for section in self.sections for table in section.tables)


@frozen
class Town:
    """All that stands."""

    seed: int
    restaurants: tuple[Restaurant, ...]
    guests: tuple[User, ...]

    def records(self, now: int, known: frozenset[str] = frozenset()) -> Iterator[NewRecord]:
        """Yield what must be in the log before an evening begins, parents first, without the ids that are `known`."""
        owners = (restaurant.owner for restaurant in self.restaurants)
        for user in (*owners, *self.guests):
            if user.id not in known:
                correlation = fixed_id(self.seed, "correlation", user.id)
                yield sign_up(user.id, user.first_name, user.last_name, user.role, now, correlation)
        for restaurant in self.restaurants:
            if restaurant.id not in known:
                yield _restaurant_record(self.seed, restaurant, now)
            for section in restaurant.sections:
                if section.id not in known:
                    yield _section_record(restaurant, section, now)
                for table in section.tables:
                    if table.id not in known:
                        yield table_record(self.seed, table, "created", "AVAILABLE", now)
            for number, menu in enumerate(MENUS):
                if (menu_id := fixed_id(self.seed, restaurant.number, "menu", number)) not in known:
                    yield _menu_record(self.seed, restaurant, menu_id, menu, number, now)


def build_town(seed: int, restaurants: int) -> Town:
    """Return the town of a seed; with more restaurants, the first ones stay the same."""
    return Town(
        seed,
        tuple(_restaurant(seed, number) for number in range(restaurants)),
        tuple(_user(seed, "guest", number) for number in range(GUESTS)),
    )


def _user(seed: int, kind: str, number: int, role: str = "USER") -> User:
    # Steps without a common divisor: so names repeat only after 300 people.
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[(number * 7 + number // 15) % len(LAST_NAMES)]
    return User(fixed_id(seed, kind, number), first, last, role)


def _restaurant(seed: int, number: int) -> Restaurant:
    id = fixed_id(seed, "restaurant", number)
    random = Random(id)
    round, kind = divmod(number, len(RESTAURANTS))
    name = RESTAURANTS[kind][0] if round == 0 else f"{RESTAURANTS[kind][0]} {round + 1}"
    sections, first = [], 1
    for place, (title, description, width, height) in enumerate(SECTIONS):
        section = fixed_id(seed, number, "section", place)
        count = random.randint(6, 8) - 2 * place
        tables = tuple(_tables(seed, random, id, section, first, count, width, height))
        sections.append(Section(section, title, description, width, height, tables))
        first += len(tables)
    return Restaurant(id, number, kind, name, _user(seed, "owner", number, "OWNER"), tuple(sections))


def _tables(
    seed: int, random: Random, restaurant: str, section: str, first: int, count: int, width: int, height: int
) -> Iterator[Table]:
    """Yield the tables of a room, in rows that fill it."""
    rows = -(-count // _TABLES_IN_A_ROW)
    for place in range(count):
        row, column = divmod(place, _TABLES_IN_A_ROW)
        in_row = min(_TABLES_IN_A_ROW, count - row * _TABLES_IN_A_ROW)
        id = fixed_id(seed, section, "table", place)
        capacity = random.choice((2, 2, 4, 4, 4, 6))
        x = round(width * (column + 0.5) / in_row - _side(capacity) / 2)
        y = round(height * (row + 0.5) / rows - _DEPTH / 2)
        yield Table(id, section, restaurant, first + place, capacity, x, y)


def _side(capacity: int) -> int:
    """Return how wide a table is for so many."""
    return _DEPTH if capacity < _LARGE else _DEPTH * 3 // 2


def _times(now: int) -> dict[str, str]:
    return {"createdAt": BUILT, "updatedAt": platform_time(now)}


def _restaurant_record(seed: int, restaurant: Restaurant, now: int) -> NewRecord:
    _, description, city, province, address = RESTAURANTS[restaurant.kind]
    data = {
        "id": restaurant.id,
        "name": restaurant.name,
        "description": description,
        "location": {
            "label": f"{address}, {city}, EC",
            "address": address,
            "city": city,
            "province": province,
            "country": "EC",
            "latitude": None,
            "longitude": None,
            "placeId": None,
        },
        "openTime": "10:00",
        "closeTime": "23:30",
        "daysOpen": _DAYS,
        "totalCapacity": sum(table.capacity for table in restaurant.tables),
        "subscriptionId": fixed_id(seed, "subscription", restaurant.number),
        "imageId": None,
        "status": "ACTIVE",
        "adminNote": None,
        "active": True,
        "ownerId": restaurant.owner.id,
        **_times(now),
        "sections": [],
    }
    return record("restaurants", "created", restaurant.id, data, now, user=restaurant.owner.id)


def _section_record(restaurant: Restaurant, section: Section, now: int) -> NewRecord:
    data = {
        "id": section.id,
        "restaurantId": restaurant.id,
        "name": section.name,
        "description": section.description,
        "width": section.width,
        "height": section.height,
        "posX": 0,
        "posY": 0,
        "status": "ACTIVE",
        "layoutMetadata": {"layoutId": None, "orientation": "LANDSCAPE", "zIndex": 0, "notes": None},
        "createdAt": platform_time(now),  # of a section, the backend says the time of the event in both
        "updatedAt": platform_time(now),
    }
    return record("sections", "created", section.id, data, now)


def table_record(seed: int, table: Table, what: str, status: str, now: int) -> NewRecord:
    """Return a record that shows a table with this status."""
    data = {
        "id": table.id,
        "sectionId": table.section,
        "number": table.number,
        "capacity": table.capacity,
        "posX": table.x,
        "posY": table.y,
        "width": _side(table.capacity),
        "height": _DEPTH,
        "tableImageId": fixed_id(seed, "image of tables"),
        "chairImageId": fixed_id(seed, "image of chairs"),
        "status": status,
        "isAvailable": status == "AVAILABLE",
        **_times(now),
    }
    return record("tables", what, table.id, data, now)


def _menu_record(seed: int, restaurant: Restaurant, id: str, menu: Any, number: int, now: int) -> NewRecord:
    title, description, dishes = menu
    category = fixed_id(seed, "category", number)
    shown = [
        {
            "dishId": fixed_id(seed, id, "dish", place),
            "restaurantId": restaurant.id,
            "name": name,
            "description": text,
            "price": price,
            "menuId": id,
            "categoryId": category,
            "categoryName": title,
            "categoryDescription": None,
            "categoryOrder": number,
            **_times(now),
        }
        for place, (name, text, price) in enumerate(dishes)
    ]
    data = {
        "menuId": id,
        "restaurantId": restaurant.id,
        "name": title,
        "description": description,
        "price": round(sum(price for _, _, price in dishes), 2),
        "imageId": None,
        "dishes": shown,
        **_times(now),
    }
    return record("menus", "created", id, data, now, subtype="menu")
