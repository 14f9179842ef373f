"""A histogram of durations with logarithmic buckets, after HdrHistogram (http://hdrhistogram.org)."""

from collections import Counter
from collections.abc import Iterable

PRECISION = 7
"""Bits of a value that are kept: below 2**8 exactly, above with an error of less than 1/2**7, which is 0.8 %."""

_EXACT = 1 << (PRECISION + 1)


def bucket_of(value: int) -> int:
    """Return the number of the bucket that holds `value` (>= 0)."""
    if value < _EXACT:
        return value
    shift = value.bit_length() - PRECISION - 1
    return (shift << PRECISION) + (value >> shift)


def top_of(bucket: int) -> int:
    """Return the largest value that belongs to `bucket`."""
    if bucket < _EXACT:
        return bucket
    shift = (bucket >> PRECISION) - 1
    return (((bucket & ((1 << PRECISION) - 1)) + (1 << PRECISION) + 1) << shift) - 1


class Histogram:
    """Counts of durations in microseconds; any range, 0.8 % precision, mergeable."""

    def __init__(self, counts: Iterable[tuple[int, int]] = (), maximum: int = 0) -> None:
        self.counts: Counter[int] = Counter(dict(counts))
        self.maximum = maximum

    def record(self, value: int, times: int = 1) -> None:
        """Count `value` so many times; below zero, which clocks that differ can bring about, counts as zero."""
        value = max(0, value)
        bucket = bucket_of(value)
        self.counts[bucket] += times
        self.maximum = max(self.maximum, value)

    def merge(self, other: "Histogram") -> None:
        """Add all that `other` has counted."""
        self.counts.update(other.counts)
        self.maximum = max(self.maximum, other.maximum)

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> int | None:
        """Return the duration that `percent` of those counted do not exceed, or None when there are none."""
        total = self.total
        if not total:
            return None
        wanted, seen = total * percent / 100, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(top_of(bucket), self.maximum)
        return self.maximum
