"""What stands in the demo from its beginning: users, and restaurants with their plans; the same for the same seed."""

from collections.abc import Iterator
from random import Random

from attrs import frozen

from mesaya_ws.demo.records import fixed_id
from mesaya_ws.demo.texts import FIRST_NAMES, LAST_NAMES, RESTAURANTS, SECTIONS

GUESTS = 60
MAX_RESTAURANTS = 50
DEPTH = 80
"""Of a table, in the measure of the plan."""

_TABLES_IN_A_ROW = 4
_LARGE = 6
"""For so many, a table is one and a half times as wide."""


@frozen
class User:
    """A guest, or the owner of a restaurant."""

    id: str
    first_name: str
    last_name: str
    role: str

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

    @property
    def width(self) -> int:
        """How wide it is, in the measure of the plan."""
        return _width(self.capacity)


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
        x = round(width * (column + 0.5) / in_row - _width(capacity) / 2)
        y = round(height * (row + 0.5) / rows - DEPTH / 2)
        yield Table(id, section, restaurant, first + place, capacity, x, y)


def _width(capacity: int) -> int:
    """Return how wide a table is for so many."""
    return DEPTH if capacity < _LARGE else DEPTH * 3 // 2
