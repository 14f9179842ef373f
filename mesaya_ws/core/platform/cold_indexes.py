"""What is found of entities on disk other than by id: a restaurant's by their day, and those that have settled."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mesaya_ws.core.platform.cold import ColdRows, OnDisk
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.reservation_time import day_of
from mesaya_ws.core.state.stored import MemberIds, MemberIndex

_PLACE = struct.Struct(">Q")
_NO_DAY = "~" * 10
"""Sorts after all days."""

MEMBER_PREFIX = len(_NO_DAY) + _PLACE.size
"""Bytes of a member of the schedule before its id: the day, and the place."""


class ColdSchedule:
    """The reservations that exist, by restaurant and day (see `Schedule`), found by an index in the store."""

    def __init__(self, rows: ColdRows) -> None:
        self.index = MemberIndex("schedule", rows.stored, anew=rows.anew)
        self._find = rows.find

    def put(self, id: str, former: Data | None, data: Data, place: int) -> None:
        """Note a reservation as it is now, in its `place` among all; the `former` one, if there is one, has it, too."""
        if former is None and (restaurant := data.get("restaurantId")) is not None:
            self.index.put(restaurant, _member(id, data, place), belongs=True)

    def remove(self, id: str, former: Data, place: int) -> None:
        """Note that a reservation, as it was last in its `place`, is no more."""
        if (restaurant := former.get("restaurantId")) is not None:
            self.index.put(restaurant, _member(id, former, place), belongs=False)

    def since(self, restaurant: str, day: str) -> Iterator[Data]:
        """Yield the reservations of a restaurant from a day on (`YYYY-MM-DD`), day by day, and those of no day last."""
        for member in self.index.members(restaurant, day.encode()):
            if (known := self._find(member[MEMBER_PREFIX:].decode())) is not None:
                yield known[0]

    def count_since(self, restaurant: str, day: str, most: int) -> int:
        """Return how many those are, or `most` if there are more."""
        return self.index.count(restaurant, day.encode(), most)

    def ids(self, restaurant: str) -> MemberIds:
        """Return the ids of all reservations of a restaurant, to be taken one after the other."""
        return MemberIds(self.index, restaurant, MEMBER_PREFIX)

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return what is to be emptied when nobody needs it any more: nothing."""
        return ()


def _member(id: str, data: Data, place: int) -> bytes:
    return (day_of(data) or _NO_DAY).encode() + _PLACE.pack(place) + id.encode()


class DraftSchedule(ColdSchedule):
    """The schedule of a draft: as that was which it is a draft of, whatever is changed."""

    def __init__(self, schedule: ColdSchedule) -> None:
        self.index, self._find = schedule.index, schedule._find

    def put(self, id: str, former: Data | None, data: Data, place: int) -> None:
        """Change nothing."""

    def remove(self, id: str, former: Data, place: int) -> None:
        """Change nothing."""


class ColdChildren:
    """The reservations that exist, by their restaurant: the only parent of what has a `schedule` in the store."""

    def __init__(self, schedule: ColdSchedule, id_field: str) -> None:
        self._schedule = schedule
        self._id_field = id_field

    def draft(self) -> "ColdChildren":
        """Return those that there are now, whatever is changed in a draft."""
        return ColdChildren(DraftSchedule(self._schedule), self._id_field)

    def under(self, field: str, parent: str) -> Mapping[str, Data]:
        """Return those of a restaurant, by their ids."""
        return Reservations(self._schedule, parent, self._id_field)

    def under_each(self, field: str, parents: Iterable[str]) -> Iterator[Mapping[str, Data]]:
        """Yield the same for each of the restaurants that have any."""
        return filter(None, (self.under(field, parent) for parent in parents))

    def ids_under(self, field: str, parent: str) -> MemberIds:
        """Return the ids of these, to be taken one after the other."""
        return self._schedule.ids(parent)

    def put(self, id: str, data: Data) -> None:
        """Do nothing: the schedule has it."""

    def remove(self, id: str, data: Data) -> None:
        """Do nothing, either."""

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return what is to be emptied when nobody needs it any more: nothing."""
        return ()


class Reservations(Mapping[str, Data]):
    """The reservations of a restaurant by their ids, in the order of their days; read as one iterates over them."""

    def __init__(self, schedule: ColdSchedule, restaurant: str, id_field: str) -> None:
        self._schedule = schedule
        self._restaurant = restaurant
        self._id_field = id_field

    def __iter__(self) -> Iterator[str]:
        return (data[self._id_field] for data in self._schedule.since(self._restaurant, ""))

    def __getitem__(self, id: str) -> Data:
        for data in self._schedule.since(self._restaurant, ""):
            if data[self._id_field] == id:
                return data
        raise KeyError(id)

    def __len__(self) -> int:
        return sum(1 for _ in self._schedule.index.members(self._restaurant))

    def __bool__(self) -> bool:
        return bool(self._schedule.index.page(self._restaurant, count=1))

    def values(self) -> Any:
        """Yield the reservations themselves."""
        return self._schedule.since(self._restaurant, "")


class ColdDays:
    """Ids by day, which is a number: found by an index in the store."""

    def __init__(self, name: str, on_disk: OnDisk) -> None:
        self.index = MemberIndex(name, on_disk.stored, anew=on_disk.anew)
        self._days: set[int] | None = None

    def add(self, day: int, id: str) -> None:
        """Note an id on a day."""
        self.index.put(str(day), id.encode(), belongs=True)
        if self._days is not None:
            self._days.add(day)

    def take_before(self, day: int) -> list[MemberIds]:
        """Return the ids of all days before one, to be taken one after the other; they are on no day any more."""
        if self._days is None:
            self._days = set(map(int, self.index.parents()))
        past = sorted(each for each in self._days if each < day)
        self._days.difference_update(past)
        return [MemberIds(self.index, str(each), removes=True) for each in past]

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return what is to be emptied when nobody needs it any more: nothing."""
        return ()
