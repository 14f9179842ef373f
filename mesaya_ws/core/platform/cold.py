"""Entities that are too many for memory: in it are those that have changed, and some of the others; on disk are all.

    find ───▶ hot: changed since the last commit, or lately in use ───▶ the store, as of that commit
    change ─▶ hot, and recent ──capture──▶ flushing ──committed──▶ hot alone, until others need the room

Whether an entity is in memory or not, nothing else is different: `EntityTable` uses the mappings here as it uses dicts.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import orjson
from attrs import frozen

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.provenance import Provenance
from mesaya_ws.core.platform.reservation_time import day_of
from mesaya_ws.core.platform.rows import data_in, integer_in, provenance_in
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.core.state.stored import MemberIds, MemberIndex, Stored

Known = tuple[Data, Provenance, int]
"""An entity, of which records it is made, and its place in the order of its table: a row of those alive."""

CACHE_BYTES = 32 << 20
"""Memory for entities of one kind that are in the store as they are in memory."""

KEPT_AT_ONCE = 500
"""Committed entities that are taken care of in one go: half a millisecond of work."""

_BYTES, _BYTES_EACH = 500, 3
"""What an entity takes in memory: so many, and so many for each byte of its row; some 1.5 kB of one of 350 bytes."""


@frozen
class OnDisk:
    """Where entities are that are not in memory, of which some may be, of each kind, that take so many bytes.

    Those that are `anew` begin without what the store has.
    """

    stored: Stored
    cache_bytes: int = CACHE_BYTES
    anew: bool = False


class ColdRows:
    """The rows of one table of those alive, by id, of which the store has those of the last commit."""

    def __init__(self, table: str, on_disk: OnDisk) -> None:
        self.table = table
        self.on_disk = on_disk
        self.stored = on_disk.stored
        self.anew = on_disk.anew
        # What is known of some: None that they do not exist. Of what is in here, this is the truth.
        self.hot: dict[str, Known | None] = {}
        # Of those in there that can be read again, the bytes that they take; the next one to go comes first.
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        # The last one that was looked for, and does not exist.
        self._absent: str | None = None
        self._cache_bytes = on_disk.cache_bytes
        self._recent: set[str] = set()
        self._flushing: set[str] = set()
        # By id, what is set already of rows whose data is to follow.
        self.provenances: dict[str, Provenance] = {}
        self.places: dict[str, int] = {}

    @property
    def cached_bytes(self) -> int:
        """The bytes that rows take which can be read again, about."""
        return self._bytes

    def find(self, id: str) -> Known | None:
        """Return what is known of an entity; None if it does not exist. Raises `CorruptStateError`."""
        try:
            return self.hot[id]
        except KeyError:
            return self._read(id)

    def _read(self, id: str) -> Known | None:
        if id == self._absent:
            return None
        view = None if self.anew else self.stored.view
        value = None if view is None else view.get(self.table, id)
        if value is None:
            # It is asked for again and again by the record that creates it, and then it is there.
            self._absent = id
            return None
        self.hot[id] = known = known_in(value)
        self._keep(id, value)
        self._make_room(2)
        return known

    def change(self, id: str, known: Known | None) -> None:
        """Take in what is known now of an entity."""
        self._absent = None
        self.hot[id] = known
        self._recent.add(id)
        if (size := self._sizes.pop(id, None)) is not None:
            self._bytes -= size

    def _keep(self, id: str, value: bytes | None) -> None:
        """Keep what is in memory of an entity only as long as there is room, and nothing of one that is no more."""
        if value is None:
            self.hot.pop(id, None)
            return
        self._sizes[id] = size = _BYTES + _BYTES_EACH * len(value)
        self._bytes += size

    def _make_room(self, most: int) -> None:
        """Let go of some that can be read again, if they take too much; at most so many."""
        while self._bytes > self._cache_bytes and most > 0:
            id, size = self._sizes.popitem(last=False)
            self.hot.pop(id, None)
            self._bytes -= size
            most -= 1

    def capture(self) -> None:
        """Take note that what has changed is about to be committed."""
        self._flushing |= self._recent
        self._recent = set()

    def committed(self, rows: Mapping[str, bytes | None]) -> Iterator[None]:
        """Take note that what was captured has been committed, as these `rows`; yields after some of it.

        The view is to be of that commit, or a later one.
        """
        flushing, self._flushing, self.anew = self._flushing, set(), False
        for number, id in enumerate(flushing, 1):
            if id not in self._recent:
                self._keep(id, rows.get(id))
            if number % KEPT_AT_ONCE == 0:
                self._make_room(2 * KEPT_AT_ONCE)
                yield
        while self._bytes > self._cache_bytes:
            self._make_room(KEPT_AT_ONCE)
            yield

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept in memory: to be emptied when nobody needs it any more."""
        return self._sizes, self.hot

    def items(self) -> Iterator[tuple[str, Known]]:
        """Yield all that exist, without keeping them in memory; see `ids`."""
        for id in self.ids():
            known = self.hot.get(id)
            if known is None and (view := self.stored.view) is not None and (value := view.get(self.table, id)):
                known = known_in(value)
            if known is not None:
                yield id, known

    def ids(self) -> Iterator[str]:
        """Yield the ids of all that exist, whatever changes meanwhile of others; those that are only in memory last."""
        view = None if self.anew else self.stored.view
        seen_to: str | None = None
        while view is not None:
            page = view.ids(self.table, seen_to, KEPT_AT_ONCE)
            yield from (id for id in page if self.hot.get(id, self) is not None)
            if len(page) < KEPT_AT_ONCE:
                break
            seen_to, view = page[-1], self.stored.view
        changed = [*self._flushing, *self._recent - self._flushing]
        yield from (id for id in changed if self.hot[id] is not None and not self._is_stored(id))

    def _is_stored(self, id: str) -> bool:
        view = None if self.anew else self.stored.view
        return view is not None and view.get(self.table, id) is not None


def known_in(value: bytes) -> Known:
    """Return the row of an entity that was encoded. Raises `CorruptStateError`."""
    try:
        data, provenance, place = orjson.loads(value)
        return data_in(data), provenance_in(provenance), integer_in(place)
    except (ValueError, TypeError) as error:
        raise CorruptStateError("The state holds a row that cannot be read.") from error


class _Column(MutableMapping[str, Any]):
    """A part of all rows, by id. To iterate over it reads all of the store, and so does to count it."""

    __slots__ = ("_find", "_hot", "_rows")

    def __init__(self, rows: ColdRows) -> None:
        self._rows = rows
        self._find = rows.find
        self._hot = rows.hot

    def __contains__(self, id: object) -> bool:
        return self._find(id) is not None  # type: ignore[arg-type] # ids are texts

    def __iter__(self) -> Iterator[str]:
        return self._rows.ids()

    def __len__(self) -> int:
        return sum(1 for _ in self._rows.ids())

    def __bool__(self) -> bool:
        return next(self._rows.ids(), None) is not None


class Alive(_Column):
    """The data of all entities that exist, in the place of a dict."""

    __slots__ = ()

    def get(self, id: str, default: Any = None) -> Any:
        """Return the data of an entity."""
        try:
            known = self._hot[id]  # without a call of `find`: it is asked for several times by each record
        except KeyError:
            known = self._find(id)
        return default if known is None else known[0]

    def __getitem__(self, id: str) -> Data:
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[0]

    def __setitem__(self, id: str, data: Data) -> None:
        rows, known = self._rows, self._find(id)
        provenance, place = rows.provenances.pop(id, None), rows.places.pop(id, None)
        if known is not None:
            provenance = known[1] if provenance is None else provenance
            place = known[2] if place is None else place
        rows.change(id, (data, provenance, place))  # type: ignore[arg-type] # of one that is new, both are set

    def __delitem__(self, id: str) -> None:
        if (known := self._find(id)) is None:
            raise KeyError(id)
        self._rows.provenances.setdefault(id, known[1])
        self._rows.change(id, None)

    def pop(self, id: str, default: Any = None) -> Any:
        """Remove an entity, and return its data; of what records it is made is still known until that is removed."""
        known = self._find(id)
        if known is None:
            return default
        del self[id]
        return known[0]


class Provenances(_Column):
    """Of which records all entities are made that exist, in the place of a dict."""

    __slots__ = ()

    def __getitem__(self, id: str) -> Provenance:
        if (provenance := self._rows.provenances.get(id)) is not None:
            return provenance
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[1]

    def __setitem__(self, id: str, provenance: Provenance) -> None:
        self._rows.provenances[id] = provenance

    def __delitem__(self, id: str) -> None:
        del self._rows.provenances[id]

    def pop(self, id: str, default: Any = None) -> Any:
        """Remove what was left of an entity that is no more."""
        return self._rows.provenances.pop(id, default)


class Places(_Column):
    """The places of all entities in their order, in the place of a dict."""

    __slots__ = ()

    def __getitem__(self, id: str) -> int:
        if (place := self._rows.places.get(id)) is not None:
            return place
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[2]

    def __setitem__(self, id: str, place: int) -> None:
        self._rows.places[id] = place

    def __delitem__(self, id: str) -> None:
        self._rows.places.pop(id, None)


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
        self._places = Places(rows)

    def put(self, id: str, former: Data | None, data: Data) -> None:
        """Note a reservation as it is now; the `former` one, if there is one, has its place."""
        if former is None and (restaurant := data.get("restaurantId")) is not None:
            self.index.put(restaurant, self._member(id, data), belongs=True)

    def remove(self, id: str, former: Data) -> None:
        """Note that a reservation, as it was last, is no more."""
        if (restaurant := former.get("restaurantId")) is not None:
            self.index.put(restaurant, self._member(id, former), belongs=False)

    def _member(self, id: str, data: Data) -> bytes:
        return (day_of(data) or _NO_DAY).encode() + _PLACE.pack(self._places[id]) + id.encode()

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


class DraftSchedule(ColdSchedule):
    """The schedule of a draft: as that was which it is a draft of, whatever is changed."""

    def __init__(self, schedule: ColdSchedule) -> None:
        self.index, self._find, self._places = schedule.index, schedule._find, schedule._places

    def put(self, id: str, former: Data | None, data: Data) -> None:
        """Change nothing."""

    def remove(self, id: str, former: Data) -> None:
        """Change nothing."""


class Children(Mapping[str, Data]):
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


@frozen
class ColdCapture:
    """What is to be committed of a kind: changes of its indexes by name, and what is to be emptied before."""

    rows: ColdRows
    indexes: tuple[MemberIndex, ...]
    members: Mapping[str, Mapping[str, Mapping[bytes, bool]]]
    emptied: tuple[str, ...]

    def committed(self, rows: Mapping[str, bytes | None]) -> Iterator[None]:
        """Take note that it has been committed, with these `rows`; see `ColdRows.committed`."""
        for index in self.indexes:
            index.committed()
        return self.rows.committed(rows)


def capture(rows: ColdRows, indexes: Iterable[MemberIndex]) -> ColdCapture:
    """Return what has changed of a kind, which is to be committed now."""
    rows.capture()
    taken = tuple(indexes)
    emptied = [rows.table] if rows.anew else []
    emptied += [index.name for index in taken if index.anew]
    return ColdCapture(rows, taken, {index.name: index.capture() for index in taken}, tuple(emptied))
