"""The epochs of a partition: which of its offsets were given out in which life of its log.

A log can lose its end: a broker becomes leader that did not have it, or a file is put back from a backup. Then the same
offsets are given out a second time, and only the epoch in which a record was written shows which of two it is. The
epoch of a place in a partition is that of the record before it. So a place is a place in this log if its epoch is the
one that the log has there; whoever comes from a longer log, which lost its end since, is noticed.

Kafka counts its leaders (KIP-101, KIP-320); the embedded log draws a random number each time that it is opened.
"""

from bisect import bisect_left
from collections.abc import Iterator

REMEMBERED = 100
"""Epochs of a partition that are remembered; of places before the first of them it is not known any more."""

TAGS = 127
"""How many different tags there are, but for the one that says that the epoch is not known."""


class Epochs:
    """Which epoch begins at which offset of one partition, as far as it is known."""

    __slots__ = ("_begins", "_numbers")

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._numbers: list[int | None] = []

    def begin(self, offset: int, number: int | None) -> bool:
        """Note that the records from `offset` on are of the epoch `number`, or of one that is not known (None).

        Return whether that is news.
        """
        if self._numbers and self._numbers[-1] == number and self._begins[-1] <= offset:
            return False
        self.cut(offset)
        self._begins.append(offset)
        self._numbers.append(number)
        if len(self._begins) > REMEMBERED:
            del self._begins[0], self._numbers[0]
        return True

    def cut(self, offset: int) -> None:
        """Forget what begins at `offset` or after it: the log ends there."""
        end = bisect_left(self._begins, offset)
        del self._begins[end:], self._numbers[end:]

    def begun(self) -> Iterator[tuple[int, int | None]]:
        """Yield from which offset on records are of which epoch, in their order."""
        yield from zip(self._begins, self._numbers, strict=True)

    def has_passed(self, offset: int) -> bool:
        """Return whether the place `offset` lies in the last epoch that is known, or none is."""
        return not self._begins or self._begins[-1] < offset

    def at(self, offset: int) -> int | None:
        """Return the epoch of the place `offset`, which is that of the record before it; None if it is not known."""
        index = bisect_left(self._begins, offset) - 1
        return self._numbers[index] if index >= 0 else None

    def agreed(self, other: "Epochs", offset: int) -> int:
        """Return up to which place, `offset` at most, both hold the same records; what is not known is no objection.

        Numbers are never drawn twice: two logs that share one are the same up to where it ends in either.
        """
        here, there = self.at(offset), other.at(offset)
        if here is None or there is None or here == there:
            return offset
        ends = dict(zip(self._numbers, [*self._begins[1:], offset], strict=True))
        for number, end in zip(reversed(other._numbers), reversed([*other._begins[1:], offset]), strict=True):
            if number in ends:
                return min(ends[number], end, offset)
        return other._begins[0]

    def first_above(self, number: int) -> int | None:
        """Return where the first epoch begins that has a higher number, if one does."""
        later = (begin for begin, known in zip(self._begins, self._numbers, strict=True) if (known or 0) > number)
        return next(later, None)

    def is_over(self, tag: int, offset: int) -> bool:
        """Return whether an epoch with this `tag` is known to have ended before the place `offset`."""
        tags = [tag_of(number) for number in self._numbers]
        return tag in tags[:-1] and tag != tags[-1] and self._begins[tags.index(tag) + 1] < offset


def tag_of(number: int | None) -> int:
    """Return what a position says of an epoch: 1 to 127, as none of the 126 after it; 0 if it is not known."""
    return 0 if number is None else number % TAGS + 1


def life_of(number: int | None) -> int:
    """Return what its topic's check covers of an epoch: all above 31 bits, which Kafka's numbers never reach."""
    return 0 if number is None else number >> 31
