"""A small platform under way: what its services write to the log while the faults happen."""

import json
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from uuid import uuid4

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import topic_of

TABLES = 4
_STATUSES = ("AVAILABLE", "OCCUPIED", "BLOCKED")
_ANSWERS = ("CONFIRMED", "CHECKED_IN", "COMPLETED")


class Platform:
    """Restaurants with one section and a few tables each, and a guest who books.

    No two records say the same: `updatedAt` holds a running number. All records of an entity have its id as their key.
    """

    def __init__(self, restaurants: int = 2) -> None:
        self.restaurants = [f"r{number}-{uuid4().hex[:8]}" for number in range(restaurants)]
        self.guest = f"guest-{uuid4().hex[:8]}"
        self.moving = False
        """Whether sections move from one restaurant to another now and then."""
        self._number = count(1)
        self._reservations: list[str] = []

    @property
    def channels(self) -> list[str]:
        """All channels on which something happens all the time."""
        kinds = ("tables", "reservations")
        of_restaurants = [f"restaurant:{restaurant}:{kind}" for restaurant in self.restaurants for kind in kinds]
        return [*of_restaurants, f"user:{self.guest}:notifications", "global:announcements"]

    def founding(self) -> Iterator[NewRecord]:
        """Yield what is there before anything happens; parents come before their children."""
        for restaurant in self.restaurants:
            yield self._record("restaurants", "created", restaurant, name=restaurant, ownerId=f"owner-of-{restaurant}")
        for restaurant in self.restaurants:
            yield self._record("sections", "created", f"s-{restaurant}", restaurantId=restaurant, name="Terraza")
        for restaurant in self.restaurants:
            for number in range(TABLES):
                yield self.table(restaurant, number, what="created")

    def events(self) -> Iterator[NewRecord]:
        """Yield what happens, without end: tables change, guests book, owners answer, somebody announces."""
        for restaurant, turn in zip(cycle(self.restaurants), count(), strict=False):
            yield self.table(restaurant, turn % TABLES, status=_STATUSES[turn % len(_STATUSES)])
            yield self._book(restaurant)
            yield self.table(restaurant, (turn + 1) % TABLES, status=_STATUSES[(turn + 1) % len(_STATUSES)])
            yield self._answer(turn)
            yield self.announcement()
            if self.moving and turn % 4 == 0:
                section = f"s-{self.restaurants[turn // 4 % len(self.restaurants)]}"
                yield self._record("sections", "updated", section, restaurantId=restaurant, name="Terraza")

    def table(self, restaurant: str, number: int, status: str = "AVAILABLE", what: str = "updated") -> NewRecord:
        """Return a record about a table."""
        return self._record(
            "tables",
            what,
            f"t{number}-{restaurant}",
            sectionId=f"s-{restaurant}",
            number=number,
            capacity=4,
            status=status,
            isAvailable=status == "AVAILABLE",
        )

    def announcement(self, size: int = 0) -> NewRecord:
        """Return an announcement, longer by `size` bytes than it need be."""
        return self._record("announcements", "created", f"a{uuid4().hex[:12]}", text="Hola" + "!" * size)

    def review(self, restaurant: str) -> NewRecord:
        """Return a new review."""
        return self._record(
            "reviews", "created", f"v{uuid4().hex[:12]}", restaurantId=restaurant, userId=self.guest, rating=5
        )

    def menu(self, restaurant: str, size: int) -> NewRecord:
        """Return a new menu with a description of `size` bytes."""
        menu = f"m{uuid4().hex[:12]}"
        return self._record(
            "menus",
            "created",
            menu,
            subtype="menu",
            restaurantId=restaurant,
            name=menu,
            description="x" * size,
            price=9,
        )

    def last_words(self) -> list[NewRecord]:
        """Return one record for each of `channels`, or more."""
        words = [self.table(restaurant, 0) for restaurant in self.restaurants]
        return [*words, *map(self._book, self.restaurants), self.announcement()]

    def _book(self, restaurant: str) -> NewRecord:
        reservation = f"b{uuid4().hex[:12]}"
        self._reservations.append(reservation)
        return self._record(
            "reservations",
            "created",
            reservation,
            restaurantId=restaurant,
            userId=self.guest,
            tableId=f"t0-{restaurant}",
            userName="Juan Pérez",
            # No snapshot is too late for it.
            reservationDate="2099-01-20T00:00:00.000Z",
            reservationTime="2099-01-20T19:00:00.000Z",
            numberOfGuests=2,
            status="PENDING",
        )

    def _answer(self, turn: int) -> NewRecord:
        """Return a minimal record: what it leaves out is known from the one that it follows."""
        reservation = self._reservations[-1 - turn % min(3, len(self._reservations))]
        return self._record("reservations", "status_changed", reservation, status=_ANSWERS[turn % len(_ANSWERS)])

    def _record(self, domain: str, what: str, entity: str, *, subtype: str | None = None, **data: object) -> NewRecord:
        number = next(self._number)
        envelope = {
            "timestamp": "2026-01-20T18:00:00.000Z",
            "event_type": what,
            "entity_id": entity,
            "data": {**data, "updatedAt": f"number {number}"},
        }
        if subtype is not None:
            envelope["entity_subtype"] = subtype
        return NewRecord(topic_of(domain), json.dumps(envelope).encode(), entity.encode())


def poison() -> Sequence[NewRecord]:
    """Return records that nobody can understand, one of each sort."""
    tables = topic_of("tables")
    envelope = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "updated", "entity_id": "t", "data": {}}
    values = [
        None,
        b"",
        b"\xff\xfe",
        b"no JSON",
        b"[1, 2]",
        b"{" * 10_000,
        json.dumps(envelope | {"event_type": "exploded"}).encode(),
        json.dumps(envelope | {"entity_id": "../../etc"}).encode(),
        json.dumps(envelope | {"entity_id": None}).encode(),
        json.dumps(envelope | {"data": "text"}).encode(),
        json.dumps(envelope | {"data": {"sectionId": "nobody's"}}).encode(),
        json.dumps(envelope | {"data": {"note": "x" * 900_000}}).encode(),
    ]
    return [NewRecord(tables, value, b"poison") for value in values]
