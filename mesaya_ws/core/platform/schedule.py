"""Reservations by the day on which they begin: those to come are found without a look at those that were."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import chain
from typing import Any

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.reservation_time import day_of

_NO_DAYS: list[str] = []


class Schedule:
    """The reservations that exist, by restaurant and day (UTC), those of which nothing says when under "".

    It takes some 300 bytes for each day on which a restaurant has any, and 100 for each reservation.
    """

    __slots__ = ("_days", "_reservations")

    def __init__(self) -> None:
        # By restaurant, in their order.
        self._days: dict[str, list[str]] = {}
        # By restaurant and day, by id.
        self._reservations: dict[tuple[str, str], dict[str, Data]] = {}

    def put(self, id: str, former: Data | None, data: Data, place: int) -> None:
        """Note a reservation as it is now, and was before; None if it was not.

        Its `place` among all is of use to a schedule on disk alone.
        """
        where = _day_of(data)
        if former is not None and (left := _day_of(former)) != where:
            self._remove(id, left)
        if where is None:
            return
        on_day = self._reservations.get(where)
        if on_day is None:
            on_day = self._reservations[where] = {}
            restaurant, day = where
            insort(self._days.setdefault(restaurant, []), day)
        on_day[id] = data

    def remove(self, id: str, former: Data, place: int) -> None:
        """Note that a reservation, as it was last, is no more."""
        self._remove(id, _day_of(former))

    def _remove(self, id: str, where: tuple[str, str] | None) -> None:
        if where is None:
            return
        on_day = self._reservations[where]
        del on_day[id]
        if not on_day:
            del self._reservations[where]
            restaurant, day = where
            days = self._days[restaurant]
            del days[bisect_left(days, day)]
            if not days:
                del self._days[restaurant]

    def since(self, restaurant: str, day: str) -> Iterator[Data]:
        """Yield the reservations of a restaurant from a day on (`YYYY-MM-DD`), day by day, and those of no day last.

        Of tens of thousands, in a millisecond.
        """
        return chain.from_iterable(on_day.values() for on_day in self._since(restaurant, day))

    def count_since(self, restaurant: str, day: str, most: int) -> int:
        """Return how many those are, or `most` if there are more."""
        return min(most, sum(map(len, self._since(restaurant, day))))

    def ids(self, restaurant: str) -> list[str]:
        """Return the ids of all reservations of a restaurant, in the same order."""
        return list(chain.from_iterable(self._since(restaurant, "")))

    def _since(self, restaurant: str, day: str) -> Iterator[dict[str, Data]]:
        days = self._days.get(restaurant, _NO_DAYS)
        for number in range(bisect_left(days, day), len(days)):
            if days[number]:
                yield self._reservations[restaurant, days[number]]
        if (restaurant, "") in self._reservations:
            yield self._reservations[restaurant, ""]

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept: to be emptied when nobody needs it any more."""
        return self._days, self._reservations


def _day_of(data: Data) -> tuple[str, str] | None:
    restaurant = data.get("restaurantId")
    return None if restaurant is None else (restaurant, day_of(data))
