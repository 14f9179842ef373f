"""What cannot be read of the log at present: which parts, and what of it people are told."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mesaya_ws.core.event_log import Hindrance, Partition, Trouble

TOLD_AFTER = 5.0
"""Seconds of trouble after which it is told, unless it lasts until somebody does something. Less is every change of
leaders, and every transaction."""

TOLD = 20
"""Parts of the log that are told of by name, one by one; of the others, how many they are."""


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


def lasting(troubles: Iterable[Trouble], *, starting: bool = False) -> list[Trouble]:
    """Return the troubles that are worth telling of.

    Who is `starting` waits for what is not known, and says so at once.
    """
    settled = {Hindrance.ABSENT, Hindrance.REFUSED} | ({Hindrance.UNKNOWN} if starting else set())
    return [trouble for trouble in troubles if trouble.kind in settled or trouble.seconds >= TOLD_AFTER]


def sentences(troubles: Sequence[Trouble]) -> list[str]:
    """Return what is wrong, part by part and since when, as sentences; a few of them, and how many more there are."""
    told = [f"{trouble.reason} (Since {instant(trouble.since)}.)" for trouble in troubles[:TOLD]]
    if len(troubles) > TOLD:
        told.append(f"{len(troubles) - TOLD} more parts of the event log cannot be read: see /metrics.")
    return told


def instant(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "seconds")
