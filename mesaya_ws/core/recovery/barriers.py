"""Places that no client can have passed in one partition while it was before them in another one.

Which records depended on which is forgotten after a while (`dependencies`): from then on it is taken for granted that
everybody has the first one. A position may only be checked by what is still known if that is true of it. So of every
stretch of time it is remembered up to where the first records were forgotten in it (the floors), and where it began
(the cursor): whoever holds anything after the cursor must hold all before the floors.

    here:    floors ── far after them, the cursor, at which the stretch begins
    a place: before the floor in one partition, after the cursor in another one: this instance was never there
"""

from collections.abc import Iterable, Iterator, Mapping

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets

REMEMBERED = 10_000
"""Barriers that are remembered: with two an interval of the window, those of more than a fortnight."""

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
    """All barriers in their order: their floors, and their cursors, never decrease."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._barriers: list[Barrier] = []

    def __iter__(self) -> Iterator[Barrier]:
        return iter(self._barriers)

    def add(self, barrier: Barrier) -> Barrier | None:
        """Add the next barrier; return the one that is forgotten for it, before whose cursor nothing can be checked.

        Whoever is after its cursor is after those of all before it, and must hold what these ask for, too.
        """
        if self._barriers:
            floors = dict(self._barriers[-1].floors)
            for partition, floor in barrier.floors.items():
                floors[partition] = max(floor, floors.get(partition, 0))
            barrier = Barrier(floors, barrier.cursor)
        self._barriers.append(barrier)
        return self._barriers.pop(0) if len(self._barriers) > self._remembered else None

    def clear(self) -> None:
        """Forget all."""
        self._barriers.clear()

    def let_through(self, vector: Offsets, topics: Iterable[str]) -> bool:
        """Return whether a place on a channel that these topics feed is on the right side of every barrier."""
        # The last one that is passed asks the most.
        first, end = 0, len(self._barriers)
        while first < end:
            middle = (first + end) // 2
            if self._barriers[middle].is_passed(vector):
                first = middle + 1
            else:
                end = middle
        return first == 0 or self._barriers[first - 1].lets_through(vector, topics)
