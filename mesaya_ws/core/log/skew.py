"""Whether the times of records fit this machine's clock; with no I/O, and no clock of its own."""

from math import inf
from typing import NamedTuple

MAX_AHEAD = 5.0
"""Seconds that a record's time may be ahead of our clock: what machines with a time service never are."""

MAX_LATE = 60.0
"""Seconds that a record's time may be before our clock's when it arrives, and nothing was waiting for us."""

AGAIN_AFTER, ALIKE = 10.0, 5.0
"""A record may have been held up. So a late one counts when it happens again so many seconds later, and the two
differ by no more than so many."""


REPORT_EVERY = 60.0
"""Seconds between two times that the same topic's clock is called wrong."""


class _Late(NamedTuple):
    """A record that was late by so many `seconds`, at some time of a clock that is never set."""

    seconds: float
    at: float


class Skews:
    """By how many seconds the last record of each topic was ahead of our clock when it arrived, in `seconds`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._late: dict[str, _Late] = {}
        self._reported_at: dict[str, float] = {}

    def arrived(self, topic: str, timestamp: int, now: int, steady: float, *, waited: bool) -> float | None:
        """Take note of a record, with its time and ours (ms since the epoch), at `steady` seconds of a clock never set.

        Return by how many seconds its clock is ahead of ours, less than 0 if slow, when one of them must be wrong,
        and that was not returned of the topic lately; else None. A record that `waited` for us, as in a history, may be
        of any age.
        """
        ahead = self._check(topic, (timestamp - now) / 1000, steady, waited)
        if ahead is None or steady - self._reported_at.get(topic, -inf) < REPORT_EVERY:
            return None
        self._reported_at[topic] = steady
        return ahead

    def _check(self, topic: str, ahead: float, steady: float, waited: bool) -> float | None:
        self.seconds[topic] = ahead
        if ahead > MAX_AHEAD:
            return ahead
        if waited or ahead >= -MAX_LATE:
            self._late.pop(topic, None)
            return None
        before = self._late.get(topic)
        if before is None or abs(before.seconds - ahead) > ALIKE:
            self._late[topic] = _Late(ahead, steady)
            return None
        return ahead if steady - before.at >= AGAIN_AFTER else None
