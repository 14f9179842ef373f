"""What keeps parts of the log from being read, and since when: kept from one look at the log to the next."""

from collections.abc import Callable, Iterable
from time import time
from typing import NamedTuple

from mesaya_ws.core.event_log import Hindrance, Trouble
from mesaya_ws.eventlog.kafka.survey import Finding


class Observed(NamedTuple):
    """What one look has seen of a part of the log that cannot be read, with so many records `withheld`.

    Trouble that differs in its `mark` is not the same: it began when it was seen first.
    """

    finding: Finding
    withheld: int = 0
    mark: int = 0


class Ledger:
    """Tells since when each trouble has lasted, by the time of `clock` (seconds since the epoch)."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._since: dict[tuple[str, int | None, Hindrance, int], float] = {}

    def enter(self, seen: Iterable[Observed]) -> list[Trouble]:
        """Return what a look has seen as troubles; those that it has not seen are over."""
        now, since, troubles = self._clock(), dict[tuple[str, int | None, Hindrance, int], float](), list[Trouble]()
        for (topic, number, kind, reason), withheld, mark in seen:
            key = topic, number, kind, mark
            since[key] = self._since.get(key, now)
            troubles.append(Trouble(topic, number, kind, since[key], reason, withheld))
        self._since = since
        return troubles
