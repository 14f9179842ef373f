"""Places that no client can have passed in one partition while it was before them in another one.

Which records depended on which is forgotten after a while (`dependencies`): from then on it is taken for granted that
everybody has the first one. A position may only be checked by what is still known if that is true of it. So of every
stretch of time it is remembered up to where the first records were forgotten in it (the floors), and where it began
(the cursor): whoever holds anything after the cursor must hold all before the floors.

    here:    floors ── far after them, the cursor, at which the stretch begins
    a place: before the floor in one partition, after the cursor in another one: this instance was never there
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import chain, repeat

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets

REMEMBERED = 10_000
"""Barriers that are remembered: with two an interval of the window, those of more than a fortnight.

Each takes 16 bytes for each partition, and 0.2 kB: all of them, 30 MB with 170 partitions.
"""

Row = tuple[str, int, int, int]
"""A partition, its floor, and the cursor there."""


class Barrier:
    """The floors and the cursor of one stretch of time."""

    __slots__ = ("cursor", "floors")

    def __init__(self, floors: Mapping[Partition, int], cursor: Mapping[Partition, int]) -> None:
        self.floors = floors
        self.cursor = cursor

    def is_passed(self, vector: Offsets) -> bool:
        """Return whether a place holds anything after the cursor."""
        cursor = self.cursor
        return any(offset > cursor.get(partition, 0) for partition, offset in vector.items())

    def lets_through(self, vector: Offsets, topics: Iterable[str]) -> bool:
        """Return whether a place on a channel that these topics feed holds all before the floors."""
        return all(
            vector.get(partition, 0) >= floor for partition, floor in self.floors.items() if partition.topic in topics
        )

    def rows(self) -> list[Row]:
        """Return what `barrier_in` reads."""
        return [
            (*partition, self.floors.get(partition, 0), offset) for partition, offset in sorted(self.cursor.items())
        ]


def barrier_in(rows: Iterable[Row]) -> Barrier:
    """Return the barrier that was written as `rows`. Raises `ValueError` or `TypeError`."""
    floors, cursor = {}, {}
    for topic, number, floor, offset in rows:
        partition = Partition(topic, number)
        floors[partition], cursor[partition] = int(floor), int(offset)
    return Barrier(floors, cursor)


class Barriers:
    """All barriers in their order: their floors, and their cursors, never decrease.

    They are kept as rows of numbers, by the place of their partition: as mappings they would take seven times as much.
    """

    def __init__(self, barriers: Iterable[Barrier] = (), *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        # In the order in which they came first; a barrier from before one came has no number of it.
        self._places: dict[Partition, int] = {}
        self._floors: list[array[int]] = []
        self._cursors: list[array[int]] = []
        for barrier in barriers:
            self.add(barrier)

    def __len__(self) -> int:
        return len(self._cursors)

    def add(self, barrier: Barrier) -> Barrier | None:
        """Add the next barrier; return the one that is forgotten for it, before whose cursor nothing can be checked.

        Whoever is after its cursor is after those of all before it, and must hold what these ask for, too.
        """
        places = self._places
        for offsets in (barrier.cursor, barrier.floors):
            if not offsets.keys() <= places.keys():
                for partition in offsets:
                    places.setdefault(partition, len(places))
        former = self._floors[-1] if self._floors else ()
        floors = map(max, map(barrier.floors.get, places, repeat(0)), chain(former, repeat(0)))
        self._floors.append(array("q", list(floors)))  # of a list, it takes no more room than it needs
        self._cursors.append(array("q", [barrier.cursor.get(partition, 0) for partition in places]))
        if len(self) <= self._remembered:
            return None
        return Barrier(
            dict(zip(places, self._floors.pop(0), strict=False)), dict(zip(places, self._cursors.pop(0), strict=False))
        )

    def clear(self) -> None:
        """Forget all."""
        self._places, self._floors, self._cursors = {}, [], []

    def let_through(self, vector: Offsets, topics: Iterable[str]) -> bool:
        """Return whether a place on a channel that these topics feed is on the right side of every barrier."""
        places = [(self._places.get(partition, len(self._places)), offset) for partition, offset in vector.items()]

        def is_not_passed(cursor: "array[int]") -> bool:
            known = len(cursor)
            return not any(offset > (cursor[place] if place < known else 0) for place, offset in places)

        # The last one that is passed asks the most.
        passed = bisect_left(self._cursors, True, key=is_not_passed)
        return passed == 0 or all(
            vector.get(partition, 0) >= floor
            for partition, floor in zip(self._places, self._floors[passed - 1], strict=False)
            if partition.topic in topics
        )
