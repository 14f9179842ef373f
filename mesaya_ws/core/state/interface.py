"""The interface of the state store: entities, publications and the place in the log that they belong to.

The store is a cache of the log, and never the only place of anything: lost or damaged, it is built anew. What is
committed together is there together after a crash, or not at all. Values are bytes that the caller has encoded.

There are two implementations, under one contract suite: `memory` for tests, and `mesaya_ws.statestore` on disk.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from attrs import field, frozen

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import Entries, StoredNote, StoredPair, StoredPublication

FORGOTTEN_AT_ONCE = 40_000
"""Entries that a commit forgets at most: twice those after which one is made, so that it forgets more than is added."""


class StateError(Exception):
    """The store cannot be read or written now: the disk is full, read-only or gone. Says why, in a sentence."""


class CorruptStateError(StateError):
    """The store holds what it was not given: it must be set aside, and built anew."""


class StoredPage(NamedTuple):
    """Some publications on a channel, by serial; the last ones of the view if it `is_last`."""

    publications: list[StoredPublication]
    is_last: bool


@frozen
class WindowChanges:
    """What a commit changes of the copy of the window (see `recovery.window_copy`).

    `publications` are appended to it, with serials of their own, which increase; those before `keep_from` need not be
    kept. `notes` are put by their number, None deletes one; what they say is encoded before they are committed. With
    `anew`, all that was there before is forgotten first.
    """

    publications: Entries = field(factory=Entries)
    keep_from: int = 0
    notes: Mapping[int, Any] = field(factory=dict)
    anew: bool = False


@frozen
class Changes:
    """What one transaction commits; all of it is as of one place in the log.

    `head` is of that place. `entities` are new values by table and by id; None deletes one. `members` says by index,
    by parent and by member whether it belongs there. Of both, all that were there before are forgotten first with
    `entities_anew`; otherwise those of the tables and indexes that are `emptied`.

    `entries` are appended, with serials that increase, after all that are
    there. The first entries, as long as they are older than `keep_since` (ms since the epoch), or all take more than
    `max_bytes`, are forgotten, `FORGOTTEN_AT_ONCE` at most. Nothing is promised of partitions before their `floors`.
    With `anew`, all entries that were there before are forgotten first, and the floors. The `window` is kept apart.
    """

    head: bytes
    entities: Mapping[str, Mapping[str, bytes | None]] = field(factory=dict)
    members: Mapping[str, Mapping[str, Mapping[bytes, bool]]] = field(factory=dict)
    entries: Entries = field(factory=Entries)
    floors: Mapping[Partition, int] = field(factory=dict)
    keep_since: int = 0
    max_bytes: int | None = None
    anew: bool = False
    entities_anew: bool = False
    emptied: Collection[str] = ()
    window: WindowChanges = field(factory=WindowChanges)


class Size(NamedTuple):
    """What a store holds: bytes of entries (with their indexes) and of entities, and how many there are of each.

    `oldest` is the time of the oldest entry (ms since the epoch), None without any. `window_bytes` are those of the
    copy of the window.
    """

    entry_bytes: int
    entity_bytes: int
    entries: int
    entities: int
    oldest: int | None
    window_bytes: int = 0


class StateView(Protocol):
    """A store as of one commit; good until its context ends, which should be soon: its pages cannot be used again."""

    @property
    def head(self) -> bytes | None:
        """What the last commit said of its place in the log; None when there was none."""
        ...

    @property
    def floors(self) -> Mapping[Partition, int]:
        """By partition, the offset from which on no publication has been forgotten, or left out."""
        ...

    @property
    def last_serial(self) -> int:
        """The serial of the last entry that was appended, whether it was forgotten or not; 0 without any."""
        ...

    def get(self, table: str, id: str) -> bytes | None:
        """Return the value of an entity; None when there is none."""
        ...

    def tables(self) -> Iterator[str]:
        """Yield the names of all tables that have entities, sorted."""
        ...

    def rows(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Yield all ids of a table and their values, in the order of the ids' bytes; those of hundreds come last."""
        ...

    def ids(self, table: str, after: str | None, count: int) -> list[str]:
        """Return the first ids of a table in the order of `rows`, at most so many: those `after` one of them."""
        ...

    def parents(self, index: str) -> Iterator[str]:
        """Yield the parents that have members, in the order of their bytes."""
        ...

    def members(self, index: str, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members of a parent from `start` on, in the order of their bytes."""
        ...

    def since(self, channel: str, offsets: Mapping[Partition, int], max_bytes: int) -> StoredPage:
        """Return the publications on a channel whose records are at or after `offsets`: the first page of them.

        A partition that is left out counts from 0. They have `max_bytes` together, or there is a single one.
        """
        ...

    def count(self, channel: str, offsets: Mapping[Partition, int]) -> int:
        """Return how many publications there are on a channel at or after `offsets`."""
        ...

    def latest(self, channel: str, count: int) -> list[StoredPublication]:
        """Return the last `count` publications of every partition on a channel, by serial."""
        ...

    def pairs(self, channel: str, offsets: Mapping[Partition, int]) -> Iterator[StoredPair]:
        """Yield by pair of partitions the first pair whose first record is at or after `offsets`.

        Both offsets increase with the serial: so this one has the smallest second offset of all that are.
        """
        ...

    def notes(self, channel: str) -> Iterator[StoredNote]:
        """Yield all notes of a channel, by serial."""
        ...

    def window(self) -> Iterator[Entries]:
        """Yield the publications of the copy of the window by serial, a few of them together; some may be too old."""
        ...

    def window_notes(self) -> Iterator[tuple[int, bytes]]:
        """Yield the notes of the copy of the window, by number."""
        ...

    def size(self) -> Size:
        """Return how much there is."""
        ...


class StateStore(Protocol):
    """Where the state is kept. One thread commits at a time; any thread may look."""

    def commit(self, changes: Changes) -> None:
        """Commit all of `changes`, or nothing.

        Raises `StateError`, after which `reopen` must be called, and `CorruptStateError`.
        """
        ...

    def view(self) -> AbstractContextManager[StateView]:
        """Return what is there now. Entering and using it raises `StateError` and `CorruptStateError`."""
        ...

    def reopen(self) -> None:
        """Open the store again after an error; what is damaged is set aside, and what is gone is created, empty.

        Raises `StateError` when it cannot be used yet.
        """
        ...


def pair_is_kept(pair: StoredPair, offsets: Mapping[Partition, int]) -> bool:
    """Return whether a place holds the second record of a pair only with the first one."""
    return offsets.get(pair.first, 0) > pair.first_offset or offsets.get(pair.second, 0) <= pair.second_offset
