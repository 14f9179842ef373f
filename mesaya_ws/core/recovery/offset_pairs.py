"""Which offsets of one partition depend on which offsets of another one."""

from bisect import bisect_left


class OffsetPairs:
    """Pairs of offsets, in two partitions: who holds the second one must hold the first one.

    Both increase: a pair whose first offset is not larger than an earlier one says nothing new.
    """

    __slots__ = ("firsts", "seconds")

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.seconds: list[int] = []

    def is_news(self, first: int) -> bool:
        """Return whether a pair with that offset says anything new."""
        return not self.firsts or first > self.firsts[-1]

    def add(self, first: int, second: int) -> None:
        """Keep a pair that says something new."""
        self.firsts.append(first)
        self.seconds.append(second)

    def cut(self, first: int | None, second: int | None) -> None:
        """Forget the pairs that are not before such offsets."""
        end = len(self.firsts) if first is None else bisect_left(self.firsts, first)
        if second is not None:
            end = min(end, bisect_left(self.seconds, second))
        del self.firsts[end:], self.seconds[end:]

    def drop_before(self, first: int) -> None:
        """Forget the pairs whose first offset is before `first`."""
        end = bisect_left(self.firsts, first)
        del self.firsts[:end], self.seconds[:end]

    def is_kept(self, first: int, second: int) -> bool:
        """Return whether a place is clean, at the next offsets `first` and `second` of the two partitions."""
        lacking = bisect_left(self.firsts, first)
        return lacking == len(self.firsts) or self.seconds[lacking] >= second
