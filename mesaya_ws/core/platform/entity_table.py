"""What is known of the entities of one kind: those that exist, those that did, and whose parts they are."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, cast

from mesaya_ws.core.platform.change import After
from mesaya_ws.core.platform.cold import ColdRows, OnDisk
from mesaya_ws.core.platform.cold_columns import Alive, Places, Provenances
from mesaya_ws.core.platform.cold_indexes import Children, ColdSchedule, DraftSchedule
from mesaya_ws.core.platform.entity import Data, Entity
from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import (
    NEVER,
    At,
    Mixed,
    Names,
    Provenance,
    after_end,
    in_order,
    merge,
    newest,
    record_of,
    shared,
    superseded,
    updated,
)
from mesaya_ws.core.platform.reservation_time import BEGINNING
from mesaya_ws.core.platform.rows import at_in, data_in, integer_in, provenance_in, provenance_row
from mesaya_ws.core.platform.schedule import Schedule
from mesaya_ws.core.state.stored import Ids
from mesaya_ws.core.state.tracking import Tracking

REMEMBERED = 10_000
"""Deleted entities of each kind that are remembered, the last ones: some 300 bytes each."""

SHAPES, LARGEST_SHAPE = 256, 64
"""Sets of fields that records of one kind have, which are remembered, and how many fields those have at most."""

FOUND_AT_ONCE = 400
"""Entities known by the platform's API that are checked in one step, at some 2 µs each."""

PLACED = 3
"""Columns of a row of those alive that says their place, which those of former checkpoints do not; one more if gone."""

_NONE: Mapping[str, Data] = {}
_NOTHING: Data = {}


class Gone(NamedTuple):
    """What stays known of an entity that has been deleted, also when it has been created again since.

    `at` is the last record about it, its end included; it `ended` (ms since the epoch) by that record, or with
    what it belonged to. `data` are its fields `Entity.remembered`. Of all in its table, the one with the least `place`
    was deleted first.
    """

    at: At
    ended: int
    data: Data
    place: int


_after = partial(tuple.__new__, After)
"""Makes one of all of its values, in half of the time that naming them takes."""


class EntityTable:
    """All entities of one kind: the `alive`, and what is remembered of those that were deleted (`gone`).

    What changes is noted in the `tracking`. Each that is alive has a place in their order, a number that is never given
    again; so has each that is gone. With `on_disk`, those alive are in memory only as far as they are in use (`cold`).
    """

    __slots__ = (
        "_binding",
        "_children",
        "_places",
        "_provenances",
        "_required",
        "_shapes",
        "_tracked",
        "_tracked_found",
        "_tracked_gone",
        "alive",
        "cold",
        "entity",
        "found",
        "gone",
        "next_place",
        "schedule",
    )

    def __init__(self, entity: Entity, tracking: Tracking | None = None, on_disk: OnDisk | None = None) -> None:
        tracking = tracking or Tracking()
        self.entity = entity
        self._tracked, self._tracked_gone, self._tracked_found = (
            tracking.table(f"{kind}/{entity.name}") for kind in ("alive", "gone", "found")
        )
        self._required = entity.required
        # By the fields of a record: whether it is whole, and their names. Records of one producer have the same few.
        self._shapes: dict[tuple[str, ...], tuple[bool, Names]] = {}
        self.alive: dict[str, Data] = {}
        # To find the first key of a dict takes as long as how many were deleted before it.
        self.gone: dict[str, Gone] = OrderedDict()
        self.found: dict[str, Data] = {}
        """What the platform's API has said, which counts where no record has said anything."""
        self._provenances: dict[str, Provenance] = {}
        self._places: dict[str, int] = {}
        self.next_place = 0
        """The place that the next one will have, which is higher than all that were given."""
        # By field, by parent, in the order in which they came.
        self._children: dict[str, dict[str, dict[str, Data]]] = {field: {} for field in entity.parents}
        self.schedule: Schedule | ColdSchedule | None = Schedule() if entity.is_scheduled else None
        # Where one of these fields changes, an entity comes last among those with which it belongs then.
        self._binding = (*entity.parents, *((*BEGINNING,) if entity.is_scheduled else ()))
        self.cold: ColdRows | None = None
        if on_disk is not None:
            self._put_on_disk(on_disk)

    def _put_on_disk(self, on_disk: OnDisk) -> None:
        self.cold = rows = ColdRows(f"alive/{self.entity.name}", on_disk)
        # These can all that is needed of dicts.
        self.alive = cast("dict[str, Data]", Alive(rows))
        self._provenances = cast("dict[str, Provenance]", Provenances(rows))
        self._places = cast("dict[str, int]", Places(rows))
        self._children = {}
        if self.schedule is not None:
            self.schedule = ColdSchedule(rows)

    def draft(self) -> "EntityTable":
        """Return a table that knows the same, and can be changed without changing this one; until this one changes.

        It has no schedule, or that of what is on disk as it was.
        """
        table = EntityTable(self.entity)
        table.schedule = DraftSchedule(self.schedule) if isinstance(self.schedule, ColdSchedule) else None
        table.alive, table.gone, table.found = over(self.alive), over(self.gone), over(self.found)
        table._provenances, table._places = over(self._provenances), over(self._places)
        table.next_place = self.next_place
        table._children = {field: over(children, over) for field, children in self._children.items()}
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

    def under(self, field: str, parent: str) -> Mapping[str, Data]:
        """Return those alive, by their ids, whose `field` (one of `Entity.parents`) is `parent`."""
        if isinstance(self.schedule, ColdSchedule):
            return Children(self.schedule, parent, self.entity.id_field)
        return self._children[field].get(parent, _NONE)

    def ids_under(self, field: str, parent: str) -> Ids:
        """Return the ids of these, to be taken one after the other; each may be removed when it has been taken."""
        if isinstance(self.schedule, ColdSchedule):
            return self.schedule.ids(parent)
        if self.schedule is not None:
            return self.schedule.ids(parent)[::-1]
        return list(self.under(field, parent))[::-1]

    def under_each(self, field: str, parents: Iterable[str]) -> Iterator[Mapping[str, Data]]:
        """Yield the same for each of the `parents` under which there are any: of many, in a fifth of the time."""
        if isinstance(self.schedule, ColdSchedule):
            return filter(None, (self.under(field, parent) for parent in parents))
        return filter(None, map(self._children[field].get, parents))

    def record_of(self, id: str, field: str) -> At:
        """Return the record that a field of one alive is of, as it stands."""
        return record_of(self._provenances[id], field)

    def newest(self, id: str) -> At | None:
        """Return the latest of the records about one alive; None if it is not."""
        return newest(self._provenances[id]) if id in self.alive else None

    def apply(self, id: str, at: At, given: Data, unknown: Iterable[str] = (), *, ends: bool = False) -> After:
        """Apply a record `at` a place of its topic: its fields are `given`, the `unknown` have no value; or it ends."""
        before = self.alive.get(id)
        is_whole, names = self._shapes.get(tuple(given)) or self._shape(given)
        if ends:
            is_whole = False
        elif before is not None and (is_whole or not unknown):
            # So are nearly all records, for which this is the shortest way.
            known = self._provenances[id]
            provenance = superseded(known, at) if is_whole else updated(known, at, names)
            if provenance is not None:
                self._provenances[id] = provenance
                data = given if is_whole else {**before, **given}
                self.put(id, data)
                return _after((data, False, True, None))
        gone = self.gone.get(id) if before is None else None
        if is_whole and before is None and gone is None:
            self._keep(id, given, at)
            return After(given, False, True)
        provenance = self._provenances[id] if before is not None else gone.at if gone is not None else None
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
            left, self._provenances[id] = merge(provenance, data, at, {}, (), is_whole=True)
            if not is_late:
                data = data | given
                self._bury(id, at, at[0], data)
                return After(data, is_late, exists=False)
            self._remember(id, at, at[0], data)
            self.put(id, left)
            return After(left, is_late, exists=True)
        data, provenance = merge(provenance, before or _NOTHING, at, given, unknown, is_whole=is_whole)
        self._keep(id, data, provenance)
        return After(data, is_late, exists=True)

    def _shape(self, given: Data) -> tuple[bool, Names]:
        shape = self._required <= given.keys(), shared(frozenset(given))
        if len(given) <= LARGEST_SHAPE:
            if len(self._shapes) >= SHAPES:
                self._shapes.clear()
            self._shapes[tuple(given)] = shape
        return shape

    def find(self, id: str, data: Data) -> bool:
        """Fill in what the platform's API says of an entity; return whether it is anything new.

        It only fills in what records have not said, and nothing comes back that was deleted.
        """
        found = self.found[id] = data | self.found.get(id, _NOTHING)
        self._tracked_found.note(id, found)
        known = self.alive.get(id)
        if known is None:
            if id in self.gone:
                return False
            self._keep(id, found, Mixed(NEVER, NEVER))
            return True
        provenance = self._provenances[id]
        if not isinstance(provenance, Mixed) or provenance.base != NEVER:
            return False
        given = provenance.fields()
        filled = {name: value for name, value in found.items() if name not in given} | known
        self.put(id, filled)
        return len(filled) > len(known)

    def cut(self, id: str, field: str, time: int) -> bool:
        """End an entity with its parent, named by `field`, which ended at `time`, unless a later record is about it.

        Return whether it has ended. What earlier records said of it counts no longer, in any case.
        """
        provenance = self._provenances[id]
        if record_of(provenance, field)[0] > time:
            return False
        if newest(provenance)[0] <= time:
            self._bury(id, newest(provenance), time, self.alive[id])
            return True
        if isinstance(provenance, Mixed):
            left, self._provenances[id] = after_end(provenance, self.alive[id], time)
            self.put(id, left)
        return False

    def put(self, id: str, data: Data) -> None:
        """Keep an entity as it is now; with another parent, it is the last that came. Its data is never changed again.

        So the order of `alive` is that of all children.
        """
        old = self.alive.get(id)
        if old is None or not self._stays(old, data):
            self._remove(id)
            old = None
            self._places[id] = self.next_place
            self.next_place += 1
            for field, children in self._children.items():
                if (parent := data.get(field)) is not None:
                    children.setdefault(parent, {})[id] = data
        else:
            for field, children in self._children.items():
                if (parent := data.get(field)) is not None:
                    children[parent][id] = data
        if self.schedule is not None:
            self.schedule.put(id, old, data)
        self.alive[id] = data
        if (rows := self._tracked.rows) is not None:
            rows[id] = (data, self._provenances[id], self._places[id]) if self.cold is None else self.cold.hot[id]

    def _keep(self, id: str, data: Data, provenance: Provenance) -> None:
        self._provenances[id] = provenance
        self.put(id, data)

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
        """Keep what the routing of late records needs of a deleted entity; it is the last that is forgotten."""
        former = self.gone.pop(id, None)
        kept = {name: data[name] for name in self.entity.remembered if name in data} or _NOTHING
        if former is not None:
            at, ended, kept = max(at, former.at), max(ended, former.ended), former.data | kept
        self.gone[id] = Gone(at, ended, kept, self.next_place)
        self.next_place += 1
        self._tracked_gone.note(id, (at, ended, kept, self.gone[id].place))

    def forget(self, id: str) -> None:
        """Know nothing of an entity any more, as if no record had been about it."""
        self._end(id)
        if self.gone.pop(id, None) is not None:
            self._tracked_gone.note(id, None)

    def forget_found(self) -> Iterator[None]:
        """Forget what the platform's API has said, where no record has said anything; yields after some of it."""
        found, self.found = self.found, {}
        for number, id in enumerate(found, 1):
            self._tracked_found.note(id, None)
            if id in self.alive and newest(self._provenances[id]) == NEVER:
                self.forget(id)
            if number % FOUND_AT_ONCE == 0:
                yield

    def forget_oldest(self, remembered: int = REMEMBERED) -> str | None:
        """Forget the entity that was deleted first, if more are remembered than so many; return its id."""
        if len(self.gone) <= remembered:
            return None
        id = next(iter(self.gone))
        del self.gone[id]
        self._tracked_gone.note(id, None)
        return id

    def _end(self, id: str) -> None:
        self._remove(id)
        if self._provenances.pop(id, None) is not None:
            self._tracked.note(id, None)

    def _remove(self, id: str) -> None:
        old = self.alive.get(id)
        if old is None:
            return
        if self.schedule is not None:
            self.schedule.remove(id, old)
        del self._places[id], self.alive[id]
        for field, children in self._children.items():
            if (parent := old.get(field)) is not None:
                siblings = children[parent]
                del siblings[id]
                if not siblings:
                    del children[parent]

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept, by id: to be emptied in that order, when nobody needs it any more."""
        if self.cold is not None:
            return *self.cold.tables(), self.gone, self.found
        parents = chain.from_iterable(children.values() for children in self._children.values())
        days = () if self.schedule is None else self.schedule.tables()
        return *parents, *days, self.alive, self.gone, self.found, self._provenances, self._places

    def discard(self) -> Iterator[None]:
        """Note that all of it is no more, yielding after some of it; another one is to take the place of this."""
        yield from self._tracked.emptied(self.alive)
        yield from self._tracked_gone.emptied(self.gone)
        yield from self._tracked_found.emptied(self.found)

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield all that is known, as rows of tables; those of one table in their order, but those that are on disk."""
        name = self.entity.name
        if self.cold is not None:
            for id, (data, provenance, place) in self.cold.items():
                yield f"alive/{name}", id, [data, provenance_row(provenance), place]
        for id, data in self.alive.items() if self.cold is None else ():
            yield f"alive/{name}", id, [data, provenance_row(self._provenances[id]), self._places[id]]
        for id, (at, ended, data, place) in self.gone.items():
            yield f"gone/{name}", id, [at, ended, data, place]
        for id, data in self.found.items():
            yield f"found/{name}", id, data

    def load(self, table: str, id: str, value: Any) -> None:
        """Take in one of the `rows`. Raises `ValueError` or `TypeError` when it is none."""
        if table == "alive":
            data, provenance, place = value if len(value) == PLACED else (*value, self.next_place)
            next_place, self.next_place = self.next_place, integer_in(place)
            self._keep(id, data_in(data), provenance_in(provenance))
            self.next_place = max(next_place, place + 1)
        elif table == "gone":
            at, ended, data, place = value if len(value) == PLACED + 1 else (*value, self.next_place)
            self.gone[id] = Gone(at_in(at), integer_in(ended), data_in(data) or _NOTHING, integer_in(place))
            self.next_place = max(self.next_place, place + 1)
        else:
            self.found[id] = data_in(value)
