"""Up to which time the channels are complete: what clients know as `asOf`."""

from collections.abc import Mapping
from typing import TypedDict

from attrs import Factory, define

from mesaya_ws.core.log.records import Partition

NOTHING: Mapping[Partition, tuple[int, int]] = {}

STEP = 50
"""Milliseconds by which a clock must have been set back to be noticed; two clocks that are read one after the other,
and rounded, differ by less."""


class Fresh(TypedDict):
    """How fresh the channels are, for clients (see `Published.freshness`)."""

    live: bool
    asOf: int | None
    lag: int


@define
class Watermark:
    """Up to when the channels are complete: `as_of`, in milliseconds since the epoch; 0 while nothing is known.

    A refresh of what the whole log holds says what there is; what single sources bring says nothing about the others.
    So the channels are complete as of a refresh when all that was known then has been published, and until then as of
    the time of the last record, since records are taken in the order of their times, but for some that wait, for `wait`
    at most. A record that claims to be later than the refresh is no evidence: its producer's clock may be ahead. What
    could not be read when its turn was comes later than others: until there is none of that left, only the refreshes
    count.

    `as_of` goes back only together with the clock, so that it never lies in the future after that has been set right.
    """

    wait: int
    as_of: int = 0
    _refreshed_at: int = 0
    _answers: bool = True
    # Whether the last refresh saw less than there is; and whether what it did not see may still be to come.
    _is_hindered: bool = False
    _is_disordered: bool = False
    # The first refresh that saw records which could not be read yet, and up to where each partition must be readable
    # for all of them to be.
    _blocked_at: int = 0
    _blocked: dict[Partition, int] = Factory(dict)
    _offset: int | None = None

    def set_time(self, now: int, steady: int) -> None:
        """Take note of the time `now`, which is `steady` (ms) by a clock that nobody sets."""
        offset = now - steady
        if self._offset is None:
            self._offset = offset
        set_back = self._offset - offset
        if set_back > STEP:
            self.as_of, self._refreshed_at, self._blocked_at = (
                max(0, time - set_back) for time in (self.as_of, self._refreshed_at, self._blocked_at)
            )
        if abs(set_back) > STEP:
            self._offset = offset

    def log_answers(self, does: bool) -> None:
        """Take note of whether the log answers: while it does not, a refresh does not see all of it."""
        self._answers = does

    def refreshed(
        self, at: int, *, blocked: Mapping[Partition, tuple[int, int]] = NOTHING, hidden: bool = False
    ) -> None:
        """Take note of a refresh, `at` some time, from which something may have been `hidden`.

        Nothing can be known that lies after it. Of the partitions that are `blocked`, it says up to where records
        can be read, and where they end.
        """
        self.as_of = min(self.as_of, at)
        self._is_hindered = hidden or bool(blocked)
        self._is_disordered |= self._is_hindered
        if not self._answers or hidden:
            return
        if not blocked:
            self._refreshed_at, self._blocked = at, {}
            return
        if self._blocked and all(
            partition not in blocked or blocked[partition][0] >= end for partition, end in self._blocked.items()
        ):
            self._refreshed_at, self._blocked = self._blocked_at, {}
        if not self._blocked:
            self._blocked_at, self._blocked = at, {partition: end for partition, (_, end) in blocked.items()}

    def published(self, *, all: bool, time: int) -> None:
        """Take note that all that was known is published, or else what there was up to a record of that time."""
        if all:
            self.as_of = max(self.as_of, self._refreshed_at)
            self._is_disordered = self._is_hindered
        elif not self._is_disordered and (reached := time - self.wait) <= self._refreshed_at:
            self.as_of = max(self.as_of, reached)
