"""What stays known of deleted entities of one kind: as much as the routing of late records needs."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.core.platform.rows import at_in, data_in, integer_in
from mesaya_ws.core.state.tracking import Tracked

REMEMBERED = 10_000
"""Deleted entities of each kind that are remembered, the last ones: some 300 bytes each."""

_PLACED = 4
"""Columns of a row that says its place, which those of former checkpoints do not."""

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


class Tombstones:
    """Those `gone`, by id, the one that was deleted first coming first; of each, the `kept` fields.

    What changes is noted in `tracked`.
    """

    __slots__ = ("_kept", "_tracked", "gone")

    def __init__(self, kept: tuple[str, ...], tracked: Tracked) -> None:
        self._kept = kept
        self._tracked = tracked
        # To find the first key of a dict takes as long as how many were deleted before it.
        self.gone: dict[str, Gone] = OrderedDict()

    def draft(self) -> "Tombstones":
        """Return tombstones that say the same, and can be changed without changing these."""
        tombstones = Tombstones(self._kept, Tracked())
        tombstones.gone = over(self.gone)
        return tombstones

    def put(self, id: str, at: At, ended: int, data: Data, place: int) -> None:
        """Remember an entity as it was, in a `place` after all others: it is the last that is forgotten."""
        former = self.gone.pop(id, None)
        kept = {name: data[name] for name in self._kept if name in data} or _NOTHING
        if former is not None:
            at, ended, kept = max(at, former.at), max(ended, former.ended), former.data | kept
        self.gone[id] = Gone(at, ended, kept, place)
        self._tracked.note(id, (at, ended, kept, place))

    def forget(self, id: str) -> None:
        """Forget an entity, if it is remembered."""
        if self.gone.pop(id, None) is not None:
            self._tracked.note(id, None)

    def forget_oldest(self, remembered: int) -> str | None:
        """Forget the entity that was deleted first, if more are remembered than so many; return its id."""
        if len(self.gone) <= remembered:
            return None
        id = next(iter(self.gone))
        self.forget(id)
        return id

    def discard(self) -> Iterator[None]:
        """Note that none is remembered any more, yielding after some of them."""
        return self._tracked.emptied(self.gone)

    def rows(self) -> Iterator[tuple[str, Any]]:
        """Yield all, as values of JSON."""
        for id, (at, ended, data, place) in self.gone.items():
            yield id, [at, ended, data, place]

    def load(self, id: str, value: Any, place: int) -> int:
        """Take in one of the `rows`, with that `place` if it has none; return its place.

        Raises `ValueError` or `TypeError` when it is none.
        """
        at, ended, data, place = value if len(value) == _PLACED else (*value, place)
        self.gone[id] = Gone(at_in(at), integer_in(ended), data_in(data) or _NOTHING, integer_in(place))
        return place
