"""Presence: how many users are on which channel, and which side is in which conversation. Levels, never edges.

| record | what follows |
|---|---|
| a process's table | it replaces that process's former table |
| a tombstone | the process is gone |
| none for `DROPPED_AFTER` since the last one was read | the process is gone |

What clients are told of a channel is the sum over all processes, rounded (`shown`), and told seldom (`Teller`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from attrs import define

from mesaya_ws.core.interactions.chat_records import SIDES
from mesaya_ws.core.interactions.strict import PoisonError, read_object, whole
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.records import NewRecord, Record

DROPPED_AFTER = 15_000
"""Milliseconds after which a process that says nothing counts no more."""

EXACT = 20
"""Viewers up to which the number is exact; above, it has two digits."""

MANY = 500
"""Viewers above which changes are told seldom."""

OFTEN, SELDOM, FALL = 2_000, 10_000, 10_000
"""Milliseconds between two messages about a channel, up to `MANY` viewers and above; and until a fall is told."""

MAX_CHANNELS = 2_000
"""Channels of one process's table; those with most viewers are kept."""

MAX_PROCESSES = 1_000
"""Processes that are known at a time; the tables of further ones are ignored."""

Table = Mapping[str, int | tuple[str, ...]]
"""By channel: how many users view it; of a conversation, which sides are there."""


def presence_record(process: str, table: Table | None) -> NewRecord:
    """Return the record of a process's whole table; None: the process ends."""
    value = None if table is None else orjson.dumps({"channels": table})
    return NewRecord(PRESENCE, value, process.encode())


def read_presence_record(record: Record) -> tuple[str, Table | None]:
    """Return whose table a record holds, and the table; None if the process has ended. Raises `PoisonError`."""
    try:
        process = (record.key or b"").decode("ascii")
    except UnicodeDecodeError:
        process = ""
    if not 1 <= len(process) <= 128:
        raise PoisonError("its key is no process")
    if record.value is None:
        return process, None
    channels = read_object(record).get("channels")
    if type(channels) is not dict or len(channels) > MAX_CHANNELS:
        raise PoisonError(f"channels are no object of at most {MAX_CHANNELS}")
    return process, {name: _level(channels, name) for name in channels}


def _level(channels: dict[str, Any], name: str) -> int | tuple[str, ...]:
    level = channels[name]
    if type(level) is list:
        if any(side not in SIDES for side in level):
            raise PoisonError("the sides of a conversation are guest and restaurant")
        return tuple(sorted(set(level)))
    return whole(channels, name, 0, 1_000_000)


class PresenceTable:
    """The tables of all processes. Times are ms of the reader's clock that never steps."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[int, Table]] = {}
        self._viewers: dict[str, int] = {}

    def apply(self, process: str, table: Table | None, now: int) -> set[str]:
        """Replace a process's table that was read `now`; return the channels of which something may have changed."""
        _, former = self._tables.pop(process, (0, {}))
        if table is not None and len(self._tables) < MAX_PROCESSES:
            self._tables[process] = now, table
        else:
            table = {}
        return self._recount(name for name in former.keys() | table.keys() if former.get(name) != table.get(name))

    def drop(self, now: int) -> set[str]:
        """Let go of processes that have said nothing for too long; return the channels concerned."""
        concerned: set[str] = set()
        for process, (read_at, table) in list(self._tables.items()):
            if read_at + DROPPED_AFTER > now:
                break  # the one that was read last comes last
            del self._tables[process]
            concerned |= table.keys()
        return self._recount(concerned)

    def viewers(self, channel: str) -> int:
        """Return how many users are on a channel."""
        return self._viewers.get(channel, 0)

    def sides(self, channel: str) -> frozenset[str]:
        """Return which sides are in a conversation."""
        present: set[str] = set()
        for _, table in self._tables.values():
            level = table.get(channel)
            if isinstance(level, tuple):
                present.update(level)
        return frozenset(present)

    def _recount(self, names: Iterable[str]) -> set[str]:
        concerned = set(names)
        for name in concerned:
            levels = [table.get(name) for _, table in self._tables.values()]
            count = sum(level for level in levels if isinstance(level, int))
            if count:
                self._viewers[name] = count
            else:
                self._viewers.pop(name, None)
        return concerned


def shown(viewers: int) -> int:
    """Return the number that is told: exact up to `EXACT`, and above that its first two digits."""
    if viewers <= EXACT:
        return viewers
    unit: int = 10 ** (len(str(viewers)) - 2)
    return viewers // unit * unit


@define
class Teller:
    """When those on one channel are told its number: `told` is the last one, at the time `told_at` (ms)."""

    told: int
    told_at: int
    fell_at: int | None = None

    def next(self, viewers: int, now: int) -> int | None:
        """Return the number to tell now, if one is to be; to be asked again while `is_due_at` says so."""
        number = shown(viewers)
        if number == self.told:
            self.fell_at = None
            return None
        if number > self.told:
            self.fell_at = None
        elif self.fell_at is None:
            self.fell_at = now
        if now < self.due_at(viewers):
            return None
        self.told, self.told_at, self.fell_at = number, now, None
        return number

    def due_at(self, viewers: int) -> int:
        """Return from when on a change to so many viewers may be told."""
        rest = self.told_at + (SELDOM if max(viewers, self.told) > MANY else OFTEN)
        return rest if self.fell_at is None else max(rest, self.fell_at + FALL)
