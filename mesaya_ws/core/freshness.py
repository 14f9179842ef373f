"""Up to which time the channels are complete: what clients are told as `asOf`."""

from attrs import define

STEP = 50
"""Milliseconds by which a clock must have been set back to be noticed; two clocks that are read one after the other,
and rounded, differ by less."""


@define
class Freshness:
    """All times are in milliseconds since the epoch. `as_of` is 0 while nothing is known.

    A look at the whole log says what there is; what single sources bring says nothing about the others. So the channels
    are complete as of a look when all that was known then has been published, and until that as of the time of the last
    record, since records are taken in the order of their times, but for some that wait, for `wait` at most. A record
    that says to be later than the look is no witness: its producer's clock may be ahead.

    `as_of` goes back only together with the clock, so that it never lies in the future after that has been set right.
    """

    wait: int
    as_of: int = 0
    _looked_at: int = 0
    _answers: bool = True
    _offset: int | None = None

    def tell_time(self, now: int, steady: int) -> None:
        """Take note of the time `now`, which is `steady` (ms) by a clock that nobody sets."""
        offset = now - steady
        if self._offset is None:
            self._offset = offset
        set_back = self._offset - offset
        if set_back > STEP:
            self.as_of, self._looked_at = max(0, self.as_of - set_back), max(0, self._looked_at - set_back)
        if abs(set_back) > STEP:
            self._offset = offset

    def answers(self, does: bool) -> None:
        """Take note of whether the log answers: while it does not, a look does not see all of it."""
        self._answers = does

    def looked(self, at: int) -> None:
        """Take note of a look at the whole log; nothing can be known that lies after it."""
        self.as_of = min(self.as_of, at)
        if self._answers:
            self._looked_at = at

    def published(self, *, all: bool, time: int) -> None:
        """Take note that all that was known is published, or else what there was up to a record of that time."""
        reached = self._looked_at if all else time - self.wait
        if reached <= self._looked_at:
            self.as_of = max(self.as_of, reached)
