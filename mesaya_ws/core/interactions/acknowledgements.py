"""Which new reservations a restaurant has acknowledged, as one partition's records decide.

| record | while | what follows |
|---|---|---|
| `open {reservationId, restaurantId, after_ms}` | the reservation is not known | it is open since then; the first reminder's time comes `after_ms` later |
| `ack {reservationId, restaurantId, by}` | it is not acknowledged | it is: by that user, at that time |
| `remind {reservationId, restaurantId, n}` | it is open, n is one more than the last reminder, at most 3, and its time has come | reminded: the next one's time comes `after_ms` later |
| any of these | otherwise | nothing |

The first record of a reservation says which restaurant's it is; those that say another one are nothing. A reminder's
time has come if the record's own append time says so. An acknowledged reservation never becomes open. What
is known is forgotten `KEPT` of log time after it became known.
"""  # noqa: E501 - a table

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

import orjson
from attrs import define

from mesaya_ws.core.interactions.strict import identifier, read_object, reader_of, whole
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.state.tracking import Tracking

REMINDERS = 3
"""How often a reservation is announced again; then it rests."""

KEPT = 7 * 24 * 60 * 60 * 1000
"""Milliseconds of log time for which a reservation is remembered."""

MAX_REMEMBERED = 100_000
"""Reservations that are remembered; past that, the oldest give way."""

MAX_AFTER = 24 * 60 * 60 * 1000
"""Milliseconds from one reminder to the next, at most."""

FORGOTTEN_AT_ONCE = 500
"""Reservations that are forgotten in one go when the topic is created again."""

SWEPT_AT_ONCE = 4
"""What one record makes forget at most, more than it can add."""


class Open(NamedTuple):
    """A reservation is new, and to be announced again every `after_ms` until it is acknowledged."""

    reservation: str
    restaurant: str
    after_ms: int


class Ack(NamedTuple):
    """A user of the restaurant has taken note of a reservation."""

    reservation: str
    restaurant: str
    by: str


class Remind(NamedTuple):
    """The time for reminder number `n` may have come."""

    reservation: str
    restaurant: str
    n: int


AckRecord = Open | Ack | Remind


def read_ack_record(record: Record) -> AckRecord:
    """Return what a record of the topic says. Raises `BadFieldError`, and nothing else, whatever it holds."""
    fields = read_object(record)
    return reader_of(fields, "type", _READERS)(fields)


def ack_record(said: AckRecord) -> NewRecord:
    """Return the record that says so."""
    kind = type(said).__name__.lower()
    fields: dict[str, Any] = {"type": kind, "reservationId": said.reservation, "restaurantId": said.restaurant}
    match said:
        case Open(_, _, after_ms):
            fields["after_ms"] = after_ms
        case Ack(_, _, by):
            fields["by"] = by
        case Remind(_, _, n):
            fields["n"] = n
    return NewRecord(ACKS, orjson.dumps(fields), said.reservation.encode())


def _subject(fields: dict[str, Any]) -> tuple[str, str]:
    return identifier(fields, "reservationId"), identifier(fields, "restaurantId")


_READERS: Mapping[str, Callable[[dict[str, Any]], AckRecord]] = {
    "open": lambda fields: Open(*_subject(fields), whole(fields, "after_ms", 1, MAX_AFTER)),
    "ack": lambda fields: Ack(*_subject(fields), identifier(fields, "by")),
    "remind": lambda fields: Remind(*_subject(fields), whole(fields, "n", 1, REMINDERS)),
}


@define
class News:
    """What is known of a reservation: who acknowledged it when, or since when it is open, and its reminders.

    Times are append times, in ms; `due_at` is when the next reminder's time comes. `place` is the reservation's in the
    order in which they became known.
    """

    known_at: int
    restaurant: str
    after_ms: int = 0
    due_at: int | None = None
    reminded: int = 0
    by: str | None = None
    at: int | None = None
    place: int = -1

    @property
    def is_open(self) -> bool:
        """Whether it is still to be acknowledged, and announced again until then."""
        return self.by is None and self.due_at is not None and self.reminded < REMINDERS


class Acknowledgements:
    """What is known of all reservations, as of the partition's last record. What changes is noted in the `tracking`."""

    def __init__(self, tracking: Tracking | None = None) -> None:
        self._tracked = (tracking or Tracking()).table("ack")
        self._next_place = 0
        self._news: dict[str, News] = {}
        # In the order in which they became known: the first one is found at once, and any by its number, of which the
        # first one has that of those forgotten before it.
        self._order: deque[str] = deque()
        self._forgotten = 0
        self._by_restaurant: dict[str, dict[str, None]] = {}
        self._original: Acknowledgements | None = None

    def get(self, reservation: str) -> News | None:
        """Return what is known of a reservation."""
        news = self._news.get(reservation)
        if news is None and self._original is not None and (original := self._original.get(reservation)) is not None:
            news = self._put(reservation, copy(original))
        return news

    def ids(self) -> Iterator[str]:
        """Iterate over the reservations of which something is known now; meanwhile, records may be applied."""
        number, end = self._forgotten, self._forgotten + len(self._order)
        while (number := max(number, self._forgotten)) < min(end, self._forgotten + len(self._order)):
            yield self._order[number - self._forgotten]
            number += 1

    def apply(self, said: AckRecord, at: int) -> News | None:
        """Apply a record that was appended `at` some time (ms); return what it changed: None if nothing."""
        self._sweep(at)
        news = self.get(said.reservation)
        if news is not None and news.restaurant != said.restaurant:
            return None
        match said:
            case Open(id, restaurant, after_ms):
                if news is not None:
                    return None
                news = self._put(id, News(at, restaurant, after_ms, at + after_ms))
            case Ack(id, restaurant, by):
                if news is None:
                    news = self._put(id, News(at, restaurant))
                if news.by is not None:
                    return None
                news.by, news.at = by, at
            case Remind(_, _, n):
                if news is None or not news.is_open or n != news.reminded + 1 or at < (news.due_at or 0):
                    return None
                news.reminded, news.due_at = n, at + news.after_ms
        if self._tracked.rows is not None:
            self._tracked.note(said.reservation, _row(news))
        return news

    def of_restaurant(self, restaurant: str) -> Iterator[tuple[str, News]]:
        """Iterate over what is known of a restaurant's reservations, those known first come first."""
        return ((id, self._news[id]) for id in self._by_restaurant.get(restaurant, ()))

    def _put(self, id: str, news: News) -> News:
        if news.place < 0:
            news.place = self._next_place
        self._next_place = max(self._next_place, news.place + 1)
        if id not in self._news:
            self._order.append(id)
        self._news[id] = news
        self._by_restaurant.setdefault(news.restaurant, {})[id] = None
        return news

    def draft(self) -> "Acknowledgements":
        """Return acknowledgements that know the same, for one record that is not to change these."""
        draft = Acknowledgements()
        draft._original, draft._next_place = self, self._next_place
        return draft

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        yield from self._tracked.emptied(self._news)
        while self._order:
            for _ in range(min(FORGOTTEN_AT_ONCE, len(self._order))):
                self._forget_first()
            yield

    def rows(self) -> Iterator[tuple[str, Any]]:
        """Yield what is known, in rows: their ids, and values that JSON can hold."""
        for id, news in self._news.items():
            yield id, _row(news)

    def load(self, id: str, value: Any) -> None:
        """Take in a row. Raises `TypeError` if it is none."""
        self._put(id, News(*value))

    def _sweep(self, at: int) -> None:
        too_many = max(0, len(self._news) - MAX_REMEMBERED)
        for number in range(min(SWEPT_AT_ONCE, len(self._order))):
            if at < self._news[self._order[0]].known_at + KEPT and number >= too_many:
                return
            self._tracked.note(self._forget_first(), None)

    def _forget_first(self) -> str:
        """Forget the reservation that became known first; return its id."""
        id = self._order.popleft()
        self._forgotten += 1
        restaurant = self._news.pop(id).restaurant
        of_restaurant = self._by_restaurant[restaurant]
        del of_restaurant[id]
        if not of_restaurant:
            del self._by_restaurant[restaurant]
        return id


def _row(news: News) -> tuple[Any, ...]:
    return news.known_at, news.restaurant, news.after_ms, news.due_at, news.reminded, news.by, news.at, news.place
