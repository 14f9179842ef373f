"""Reservations and payments that were settled long ago are forgotten: at the same record everywhere.

What decides are the times of the records of their topic, in the order in which they are applied, and no clock: so all
instances forget the same, whether they read a record when it came or a year later.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mesaya_ws.core.platform.cold_indexes import ColdDays
from mesaya_ws.core.platform.entity import Data, Entity
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.rows import integer_in
from mesaya_ws.core.state.stored import Ids
from mesaya_ws.core.state.tracking import Tracking

DAY = 86_400_000
"""In milliseconds."""

SETTLED: Mapping[str, frozenset[str]] = {
    "reservation": frozenset({"rejected", "cancelled", "completed", "no_show"}),
    "payment": frozenset({"completed", "cancelled", "failed", "refunded"}),
}
"""By kind, the states after which the platform expects nothing more of an entity. Something may come nevertheless."""


def is_settled(entity: Entity, data: Data) -> bool:
    """Return whether an entity, as it is known, is in one of those states."""
    return entity.status is not None and data.get(entity.status) in SETTLED.get(entity.name, ())


class Days:
    """Ids by day, which is a number."""

    __slots__ = ("_days",)

    def __init__(self) -> None:
        self._days: dict[int, dict[str, None]] = {}

    def add(self, day: int, id: str) -> None:
        """Note an id on a day."""
        self._days.setdefault(day, {})[id] = None

    def take_before(self, day: int) -> list[Ids]:
        """Return the ids of all days before one, to be taken one after the other; they are on no day any more."""
        return [list(self._days.pop(past)) for past in sorted(each for each in self._days if each < day)]

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept: to be emptied in that order when nobody needs it any more."""
        return *self._days.values(), self._days


class Settled:
    """The entities of a table that are settled, by the day of the last record about each: those are kept `keep_days`.

    The `time` of their topic is the latest that two records in a row have reached: a single record from the future
    makes nothing old. Some 100 bytes for each.
    """

    __slots__ = ("_keep_days", "_last", "_table", "_tracked", "days", "time")

    def __init__(self, table: EntityTable, keep_days: int, tracking: Tracking) -> None:
        self._tracked = tracking.table("settled")
        self._table = table
        self._keep_days = keep_days
        # By day, since the epoch. They stay in it when another record comes, or none was the last: that is seen later.
        self.days: Days | ColdDays = (
            Days() if table.cold is None else ColdDays(f"settled/{table.entity.name}", table.cold.on_disk)
        )
        self._last = 0
        self.time = 0

    def note(self, id: str) -> None:
        """Take note of an entity as it is now."""
        data = self._table.alive.get(id)
        if data is not None and is_settled(self._table.entity, data) and (at := self._table.newest(id)) is not None:
            self.days.add(at[0] // DAY, id)

    def advance(self, timestamp: int) -> Sequence[Ids]:
        """Take note of a record's time (ms since the epoch); return what may be old from now on: ids, by day.

        Nothing is until another day begins.
        """
        reached, self._last = min(timestamp, self._last), timestamp
        has_begun = False
        if reached > self.time:
            has_begun, self.time = reached // DAY > self.time // DAY, reached
        self._tracked.note(self._table.entity.name, (self.time, timestamp))
        if not has_begun:
            return []
        return self.days.take_before(self._first_kept)

    @property
    def _first_kept(self) -> int:
        return self.time // DAY - self._keep_days

    def forget(self, id: str) -> None:
        """Forget an entity if it is old and settled, as it is now."""
        table = self._table
        data, at = table.alive.get(id), table.newest(id)
        if data is not None and at is not None and at[0] // DAY < self._first_kept and is_settled(table.entity, data):
            table.forget(id)

    def row(self) -> Any:
        """Return the time, as a value of JSON; the entities are in their table."""
        return [self.time, self._last]

    def load(self, value: Any) -> None:
        """Take in a `row`. Raises `ValueError` or `TypeError` when it is none."""
        time, last = value
        self.time, self._last = integer_in(time), integer_in(last)

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept: to be emptied in that order when nobody needs it any more."""
        return self.days.tables()
