"""The last records by name, for as long as somebody may lack them."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from mesaya_ws.core.log.records import Partition

AT_ONCE = 2000
"""Records that are checked in one go when some must be forgotten: a millisecond or two."""


class Floors(Protocol):
    """Says which records nobody lacks, so that it matters no more what depended on them."""

    def is_before_floor(self, partition: Partition, offset: int) -> bool:
        """Return whether nobody lacks that record."""
        ...


class RecentRecords:
    """The last records by name, each in its partition, as long as they are not before their `floors`."""

    def __init__(self, floors: Floors, remembered: int) -> None:
        self._floors = floors
        self._remembered = remembered
        # To find the first key of a dict takes as long as how many were deleted before it: up to 0.1 ms.
        self._places: OrderedDict[str, dict[Partition, int]] = OrderedDict()

    def put(self, name: str, places: dict[Partition, int]) -> dict[Partition, int] | None:
        """Remember records; return those that had to be forgotten for it although they matter."""
        kept = self._places
        known = kept.get(name)
        if known is None:
            kept[name] = places
        else:
            # What waits brings earlier records of its own: they may be before those that are remembered.
            merged = kept[name] = dict(known)
            add_places(merged, places)
            kept.move_to_end(name)
        for _ in range(2):
            first = next(iter(kept))
            if self._matters(kept[first]):
                return None if len(kept) <= self._remembered else self._matter(kept.pop(first))
            if first == name:
                return None
            del kept[first]
        return None

    def __len__(self) -> int:
        return len(self._places)

    def get(self, name: str) -> dict[Partition, int] | None:
        """Return the last records of that name."""
        return self._places.get(name)

    def keep(self, is_kept: Callable[[Partition, int], bool]) -> Iterator[None]:
        """Forget the records for which `is_kept` is false, yielding after some; nothing may come meanwhile."""
        for number, (name, places) in enumerate(list(self._places.items()), 1):
            if number % AT_ONCE == 0:
                yield
            left = {partition: offset for partition, offset in places.items() if is_kept(partition, offset)}
            if left:
                self._places[name] = left
            else:
                del self._places[name]

    def _matters(self, places: dict[Partition, int]) -> bool:
        for partition, offset in places.items():  # noqa: SIM110 - `any` takes four times as long, for every record
            if not self._floors.is_before_floor(partition, offset):
                return True
        return False

    def _matter(self, places: dict[Partition, int]) -> dict[Partition, int]:
        return {at: offset for at, offset in places.items() if not self._floors.is_before_floor(at, offset)}


def add_places(places: dict[Partition, int], more: dict[Partition, int]) -> None:
    """Add to `places`, of each partition, the later of the two."""
    for partition, offset in more.items():
        if offset > places.get(partition, -1):
            places[partition] = offset
