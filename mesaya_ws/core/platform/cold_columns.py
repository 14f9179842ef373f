"""The columns of `ColdRows`, as `EntityTable` uses its dicts: data, provenance and place of each entity, by id."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from mesaya_ws.core.platform.cold import ColdRows
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.provenance import Provenance


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
