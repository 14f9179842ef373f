"""Publications on one channel, of the records of one partition, found by offset or by serial."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain
from operator import attrgetter
from typing import NamedTuple

from mesaya_ws.core.log.records import Partition


class Publication(NamedTuple):
    """A frame on a channel, and the record that it was made of; `serial` counts all publications of this instance.

    It was `made_at` some time (ms) by a clock that never steps. `state_of` is the id of the entity whose whole state
    it is, so that earlier ones of that are superseded by it. `timestamp` is the record's (ms since the epoch).
    """

    serial: int
    partition: Partition
    offset: int
    made_at: int
    frame: bytes
    state_of: str | None = None
    timestamp: int = 0


make_publication = partial(tuple.__new__, Publication)
"""Makes one of all of its values, in half of the time that naming them takes."""

_GONE = Publication(0, Partition("", 0), 0, 0, b"")
serial_of, _offset = attrgetter("serial"), attrgetter("offset")


class PartitionBuffer:
    """The publications on one channel of one partition's records, in their order; those before `start` have gone.

    Serials and offsets both increase, so any place is found by bisection: thousands of clients may come back at once.
    `removed` is how many have been removed from the list. Where there are states, `stands` has a byte for each entry: 0
    when another one has superseded it, for a search of bytes passes over thousands of them in a microsecond.
    """

    __slots__ = ("entries", "removed", "stands", "start")

    def __init__(self) -> None:
        self.entries: list[Publication] = []
        self.start = 0
        self.removed = 0
        self.stands: bytearray | None = None

    def drop_first(self) -> None:
        """Drop the first publication that is here."""
        self.entries[self.start] = _GONE
        self.start += 1
        if self.start * 2 > len(self.entries):
            del self.entries[: self.start]
            if self.stands is not None:
                del self.stands[: self.start]
            self.removed += self.start
            self.start = 0

    def truncate(self, offset: int) -> bool:
        """Drop the publications of records from `offset` on; return whether there are others."""
        end = bisect_left(self.entries, offset, self.start, key=_offset)
        del self.entries[end:]
        if self.stands is not None:
            del self.stands[end:]
        return len(self.entries) > self.start

    def between(self, first: int, end: int | None) -> tuple[int, int]:
        """Return where the publications of the records `first <= offset < end` lie among the entries."""
        start = bisect_left(self.entries, first, self.start, key=_offset)
        return start, len(self.entries) if end is None else bisect_left(self.entries, end, start, key=_offset)

    def run(self, serial: int, start: int, stop: int) -> Iterator[Publication]:
        """Iterate over those from `start` to `stop` (see `between`) after the one called `serial`."""
        start = bisect_right(self.entries, serial, start, stop, key=serial_of)
        return map(self.entries.__getitem__, range(start, stop))

    def standing(self, serial: int) -> Iterator[Publication]:
        """Iterate over those after the one called `serial` that no other one has superseded."""
        at = bisect_right(self.entries, serial, self.start, key=serial_of)
        if self.stands is None:
            yield from map(self.entries.__getitem__, range(at, len(self.entries)))
            return
        while (at := self.stands.find(1, at)) >= 0:
            yield self.entries[at]
            at += 1


def in_order(ends: Mapping[Partition, Sequence[Publication]], *, have_one_order: bool) -> list[Publication]:
    """Return publications of some partitions, of each in the order of their offsets, in the order of the log.

    That is the order of (timestamp, topic, partition, offset) of their records, unless these `have_one_order`; in a
    partition no time goes back.
    """
    if have_one_order:
        return sorted(chain.from_iterable(ends.values()), key=serial_of)
    placed = []
    for entries in ends.values():
        times = accumulate((each.timestamp for each in entries), max)
        placed += [((time, each.partition, each.offset), each) for time, each in zip(times, entries, strict=True)]
    return [each for _, each in sorted(placed)]
