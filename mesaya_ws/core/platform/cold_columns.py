"""The columns of `ColdRows`, as `EntityTable` reads its dicts: data, provenance and place of each entity, by id."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesaya_ws.core.platform.cold import UNREAD, ColdRows
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.provenance import Provenance


class _Column(Mapping[str, Any]):
    """A part of all rows, by id. To iterate over it reads all of the store, and so does to count it."""

    __slots__ = ("_find", "_rows")

    def __init__(self, rows: ColdRows) -> None:
        self._rows = rows
        self._find = rows.find

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

    __slots__ = ("_hot_get", "_read", "_stored")

    def __init__(self, rows: ColdRows) -> None:
        super().__init__(rows)
        self._stored = rows.stored
        self._hot_get, self._read = rows.hot.get, rows.read

    def get(self, id: str, default: Any = None) -> Any:
        """Return the data of an entity."""
        known = self._hot_get(id, UNREAD)  # without a call of `find`: it is asked for several times by each record
        if known is UNREAD:
            known = self._read(id)
        else:
            self._stored.hits += 1
        return default if known is None else known[0]

    def __getitem__(self, id: str) -> Data:
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[0]


class Provenances(_Column):
    """Of which records all entities are made that exist, in the place of a dict."""

    __slots__ = ()

    def __getitem__(self, id: str) -> Provenance:
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[1]


class Places(_Column):
    """The places of all entities in their order, in the place of a dict."""

    __slots__ = ()

    def __getitem__(self, id: str) -> int:
        if (known := self._find(id)) is None:
            raise KeyError(id)
        return known[2]
