"""What is known of the entities of one kind: those that exist, those that did, and whose parts they are."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

from mesaya_ws.core.platform.change import After
from mesaya_ws.core.platform.children import Children
from mesaya_ws.core.platform.cold import ColdRows, OnDisk
from mesaya_ws.core.platform.cold_columns import Alive, Places, Provenances
from mesaya_ws.core.platform.cold_indexes import ColdChildren, ColdSchedule, DraftSchedule
from mesaya_ws.core.platform.entity import Data, Entity
from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import (
    NEVER,
    At,
    Mixed,
    Provenance,
    after_end,
    in_order,
    merge,
    newest,
    record_of,
    superseded,
    updated,
)
from mesaya_ws.core.platform.reservation_time import BEGINNING
from mesaya_ws.core.platform.rows import data_in, integer_in, provenance_in, provenance_row
from mesaya_ws.core.platform.schedule import Schedule
from mesaya_ws.core.platform.shapes import Shapes
from mesaya_ws.core.platform.tombstones import Tombstones
from mesaya_ws.core.state.tracking import Tracking

PLACED = 3
"""Columns of a row of those alive that says their place, which those of former checkpoints do not."""

_NOTHING: Data = {}


_after = partial(tuple.__new__, After)
"""Makes one of all of its values, in half of the time that naming them takes."""


class EntityTable:
    """All entities of one kind: the `alive`, and what is remembered of those that were deleted (`gone`).

    What changes is noted in the `tracking`. Each that is alive has a place in their order, a number that is never given
    again; so has each that is gone. With `on_disk`, those alive are in memory only as far as they are in use (`cold`).
    """

    __slots__ = (
        "_binding",
        "_shapes",
        "_tracked",
        "alive",
        "children",
        "cold",
        "entity",
        "found",
        "gone",
        "next_place",
        "places",
        "provenances",
        "schedule",
        "tombstones",
        "tracked_found",
    )

    def __init__(self, entity: Entity, tracking: Tracking | None = None, on_disk: OnDisk | None = None) -> None:
        tracking = tracking or Tracking()
        self.entity = entity
        self._tracked = tracking.table(f"alive/{entity.name}")
        self.tracked_found = tracking.table(f"found/{entity.name}")
        self._shapes = Shapes(entity.required)
        self.alive: dict[str, Data] = {}
        self.tombstones = Tombstones(entity.remembered, tracking.table(f"gone/{entity.name}"))
        self.gone = self.tombstones.gone
        self.found: dict[str, Data] = {}
        """What the platform's API has said, which counts where no record has said anything."""
        self.provenances: dict[str, Provenance] = {}
        self.places: dict[str, int] = {}
        self.next_place = 0
        """The place that the next one will have, which is higher than all that were given."""
        schedule = Schedule() if entity.is_scheduled else None
        self.schedule: Schedule | ColdSchedule | None = schedule
        self.children: Children | ColdChildren = Children(entity.parents, schedule)
        # Where one of these fields changes, an entity comes last among those with which it belongs then.
        self._binding = (*entity.parents, *((*BEGINNING,) if entity.is_scheduled else ()))
        self.cold: ColdRows | None = None
        if on_disk is not None:
            self._put_on_disk(on_disk)

    def _put_on_disk(self, on_disk: OnDisk) -> None:
        self.cold = rows = ColdRows(f"alive/{self.entity.name}", on_disk)
        # They have all of a dict that is used here.
        self.alive = cast("dict[str, Data]", Alive(rows))
        self.provenances = cast("dict[str, Provenance]", Provenances(rows))
        self.places = cast("dict[str, int]", Places(rows))
        if self.schedule is not None:
            self.schedule = ColdSchedule(rows)
            self.children = ColdChildren(self.schedule, self.entity.id_field)

    def draft(self) -> "EntityTable":
        """Return a table that knows the same, and can be changed without changing this one; until this one changes.

        It has no schedule, or that of what is on disk as it was.
        """
        table = EntityTable(self.entity)
        table.schedule = DraftSchedule(self.schedule) if isinstance(self.schedule, ColdSchedule) else None
        table.alive, table.found = over(self.alive), over(self.found)
        table.tombstones = self.tombstones.draft()
        table.gone = table.tombstones.gone
        table.provenances, table.places = over(self.provenances), over(self.places)
        table.next_place = self.next_place
        table.children = self.children.draft()
        return table

    def knows(self, id: str) -> bool:
        """Return whether the entity exists, or did."""
        return id in self.alive or id in self.gone

    def last(self, id: str | None) -> Data | None:
        """Return the entity as it is, or what is remembered of it; None when it is not known, or no longer."""
        if id is None:
            return None
        if (data := self.alive.get(id)) is not None:
            return data
        return gone.data if (gone := self.gone.get(id)) is not None else None

    def record_of(self, id: str, field: str) -> At:
        """Return the record that a field of one alive is of, as it stands."""
        return record_of(self.provenances[id], field)

    def newest(self, id: str) -> At | None:
        """Return the latest of the records about one alive; None if it is not."""
        return newest(self.provenances[id]) if id in self.alive else None

    def apply(self, id: str, at: At, given: Data, unknown: Iterable[str] = (), *, ends: bool = False) -> After:
        """Apply a record `at` a place of its topic: its fields are `given`, the `unknown` have no value; or it ends."""
        before = self.alive.get(id)
        is_whole, names = self._shapes[tuple(given)]
        if ends:
            is_whole = False
        elif is_whole or not unknown:
            # Nearly all records come this way, which is the shortest.
            if before is not None:
                known = self.provenances[id]
                provenance = superseded(known, at) if is_whole else updated(known, at, names)
            else:
                provenance = None if id in self.gone else at if is_whole else Mixed(NEVER, at, names)
            if provenance is not None:
                data = given if is_whole or before is None else {**before, **given}
                self._change(id, before, data, provenance)
                return _after((data, False, True, None))
        gone = self.gone.get(id) if before is None else None
        provenance = self.provenances[id] if before is not None else gone.at if gone is not None else None
        at = in_order(at, provenance)
        is_late = provenance is not None and at < newest(provenance)
        if before is None and (is_late or ends):
            if gone is not None and is_late:
                self._remember(id, gone.at, gone.ended, given | gone.data)
            else:
                self._remember(id, at, at[0], given)
            return After(given, is_late, exists=False)
        if ends:
            data = before or given
            left, provenance = merge(provenance, data, at, {}, (), is_whole=True)
            if not is_late:
                data = data | given
                self._bury(id, at, at[0], data)
                return After(data, is_late, exists=False)
            self._remember(id, at, at[0], data)
            self.keep(id, left, provenance)
            return After(left, is_late, exists=True)
        data, provenance = merge(provenance, before or _NOTHING, at, given, unknown, is_whole=is_whole)
        self.keep(id, data, provenance)
        return After(data, is_late, exists=True)

    def cut(self, id: str, field: str, time: int) -> bool:
        """End an entity with its parent, named by `field`, which ended at `time`, unless a later record is about it.

        Return whether it has ended. What earlier records said of it counts no longer, in any case.
        """
        provenance = self.provenances[id]
        if record_of(provenance, field)[0] > time:
            return False
        if newest(provenance)[0] <= time:
            self._bury(id, newest(provenance), time, self.alive[id])
            return True
        if isinstance(provenance, Mixed):
            self.keep(id, *after_end(provenance, self.alive[id], time))
        return False

    def keep(self, id: str, data: Data, provenance: Provenance) -> None:
        """Keep an entity as it is now, and of which records that is. Its data is never changed again.

        With another parent, it is the last that came: so the order of `alive` is that of all children.
        """
        self._change(id, self.alive.get(id), data, provenance)

    def _change(self, id: str, old: Data | None, data: Data, provenance: Provenance) -> None:
        # Every record comes here: what is known of the entity is not looked up again.
        if old is not None and self._stays(old, data):
            place = self.places[id]
        else:
            if old is not None:
                self._remove(id, old)
                old = None
            place = self.next_place
            self.next_place += 1
        known = data, provenance, place
        if self.cold is None:
            self.alive[id], self.provenances[id], self.places[id] = known
        else:
            self.cold.change(id, known)
        self.children.put(id, data)
        if self.schedule is not None:
            self.schedule.put(id, old, data, place)
        if (rows := self._tracked.rows) is not None:
            rows[id] = known

    def _stays(self, old: Data, data: Data) -> bool:
        """Return whether an entity keeps the place of the `old` one: it belongs to the same, and begins when it did."""
        get, known = data.get, old.get
        for field in self._binding:  # in half of the time that `all` takes  # noqa: SIM110
            if get(field) != known(field):
                return False
        return True

    def _bury(self, id: str, at: At, ended: int, data: Data) -> None:
        self._end(id)
        self._remember(id, at, ended, data)

    def _remember(self, id: str, at: At, ended: int, data: Data) -> None:
        self.tombstones.put(id, at, ended, data, self.next_place)
        self.next_place += 1

    def forget(self, id: str) -> None:
        """Forget an entity, as if no record had been about it."""
        self._end(id)
        self.tombstones.forget(id)

    def _end(self, id: str) -> None:
        if (old := self.alive.get(id)) is not None:
            self._remove(id, old)
            self._tracked.note(id, None)

    def _remove(self, id: str, old: Data) -> None:
        if self.schedule is not None:
            self.schedule.remove(id, old, self.places[id])
        if self.cold is None:
            del self.alive[id], self.provenances[id], self.places[id]
        else:
            self.cold.change(id, None)
        self.children.remove(id, old)

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept, by id: to be emptied in that order, when nobody needs it any more."""
        if self.cold is not None:
            return *self.cold.tables(), self.gone, self.found
        days = () if self.schedule is None else self.schedule.tables()
        return *self.children.tables(), *days, self.alive, self.gone, self.found, self.provenances, self.places

    def discard(self) -> Iterator[None]:
        """Note that all of it is no more, yielding after some of it; another one is to take the place of this."""
        yield from self._tracked.emptied(self.alive)
        yield from self.tombstones.discard()
        yield from self.tracked_found.emptied(self.found)

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield all that is known, as rows of tables; those of one table in their order, but those that are on disk."""
        name = self.entity.name
        if self.cold is not None:
            for id, (data, provenance, place) in self.cold.items():
                yield f"alive/{name}", id, [data, provenance_row(provenance), place]
        for id, data in self.alive.items() if self.cold is None else ():
            yield f"alive/{name}", id, [data, provenance_row(self.provenances[id]), self.places[id]]
        for id, row in self.tombstones.rows():
            yield f"gone/{name}", id, row
        for id, data in self.found.items():
            yield f"found/{name}", id, data

    def load(self, table: str, id: str, value: Any) -> None:
        """Take in one of the `rows`. Raises `ValueError` or `TypeError` when it is none."""
        if table == "alive":
            data, provenance, place = value if len(value) == PLACED else (*value, self.next_place)
            next_place, self.next_place = self.next_place, integer_in(place)
            self.keep(id, data_in(data), provenance_in(provenance))
            self.next_place = max(next_place, place + 1)
        elif table == "gone":
            place = self.tombstones.load(id, value, self.next_place)
            self.next_place = max(self.next_place, place + 1)
        else:
            self.found[id] = data_in(value)
