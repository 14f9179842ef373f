"""What cannot be read of the log at present: which parts, and what of it is reported."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from mesaya_ws.core.log.records import Partition


class Hindrance(StrEnum):
    """What keeps a part of the log from being read."""

    ABSENT = "absent"
    """The topic does not exist: the only one of these that is the same as being empty."""
    UNKNOWN = "unknown"
    """It exists, but what it holds is not known now: a partition without a leader, or one that cannot be asked."""
    REFUSED = "refused"
    """The log does not let us read it, and will not until somebody changes that; nobody waits for it."""
    BLOCKED = "blocked"
    """Records wait after an open transaction, until it ends."""


class Trouble(NamedTuple):
    """A part of the log that cannot be read at present, and why; all of the topic when `number` is None.

    `since` is in seconds since the epoch, and `seconds` is how long that is ago, by a clock that nobody sets; `reason`
    is a sentence that names the part, and what to do about it. `withheld` is how many records are known to be there
    that cannot be had.
    """

    topic: str
    number: int | None
    kind: Hindrance
    since: float
    reason: str
    withheld: int = 0
    seconds: float = 0.0


REPORTED_AFTER = 5.0
"""Seconds of trouble after which it is reported, unless it lasts until somebody does something. Less is every change of
leaders, and every transaction."""

NAMED = 20
"""Parts of the log that are reported by name, one by one; of the others, how many they are."""


class Parts:
    """The parts of a log that are in trouble: single partitions, and topics as a whole."""

    def __init__(self, troubles: Iterable[Trouble] = ()) -> None:
        self._parts = {(trouble.topic, trouble.number) for trouble in troubles}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __contains__(self, partition: Partition) -> bool:
        return bool(self._parts) and (partition in self._parts or (partition.topic, None) in self._parts)


def of_kind(troubles: Iterable[Trouble], *kinds: Hindrance) -> list[Trouble]:
    """Return the troubles of such kinds."""
    return [trouble for trouble in troubles if trouble.kind in kinds]


def lasting(troubles: Iterable[Trouble], *, starting: bool) -> list[Trouble]:
    """Return the troubles that are worth reporting.

    Who is `starting` waits for what is not known, and says so at once.
    """
    settled = {Hindrance.ABSENT, Hindrance.REFUSED} | ({Hindrance.UNKNOWN} if starting else set())
    return [trouble for trouble in troubles if trouble.kind in settled or trouble.seconds >= REPORTED_AFTER]


def sentences(troubles: Sequence[Trouble]) -> list[str]:
    """Return what is wrong, part by part and since when, as sentences; a few of them, and how many more there are."""
    lines = [f"{trouble.reason} (Since {instant(trouble.since)}.)" for trouble in troubles[:NAMED]]
    if len(troubles) > NAMED:
        lines.append(f"{len(troubles) - NAMED} more parts of the event log cannot be read: see /metrics.")
    return lines


def instant(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "seconds")
