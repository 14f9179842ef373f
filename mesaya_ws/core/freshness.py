"""Up to which time the channels are complete: what clients are told as `asOf`."""

from attrs import define


@define
class Freshness:
    """All times are in milliseconds since the epoch; `as_of` is 0 while nothing is known, and never goes back.

    A look at the whole log says what there is; what single sources bring says nothing about the others. So the channels
    are complete as of a look when all that was known then has been published, and until that as of the time of the last
    record, since records are taken in the order of their times, but for some that wait, for `wait` at most.
    """

    wait: int
    as_of: int = 0
    _looked_at: int = 0
    _answers: bool = True

    def answers(self, does: bool) -> None:
        """Take note of whether the log answers: while it does not, a look does not see all of it."""
        self._answers = does

    def looked(self, now: int) -> None:
        """Take note of a look at the whole log."""
        if self._answers:
            self._looked_at = now

    def published(self, *, all: bool, time: int) -> None:
        """Take note that all that was known is published, or else what there was up to a record of that time."""
        reached = self._looked_at if all else min(time - self.wait, self._looked_at)
        self.as_of = max(self.as_of, reached)
