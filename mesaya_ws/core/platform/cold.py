"""Entities that are too many for memory: in it are those that have changed, and some of the others; on disk are all.

    find ───▶ hot: changed since the last commit, or lately in use ───▶ the store, as of that commit
    change ─▶ hot, and recent ──capture──▶ flushing ──committed──▶ hot alone, until others need the room

Whether an entity is in memory or not, nothing else is different: `EntityTable` uses the mappings here as it uses dicts.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from attrs import frozen

from mesaya_ws.core.platform.rows import Known, known_in
from mesaya_ws.core.state.stored import MemberIndex, Stored

CACHE_BYTES = 32 << 20
"""Memory for entities of one kind that are in the store as they are in memory."""

KEPT_AT_ONCE = 500
"""Committed entities that are taken care of in one go: half a millisecond of work."""

_BYTES, _BYTES_EACH = 500, 3
"""What an entity takes in memory: so many, and so many for each byte of its row; some 1.5 kB of one of 350 bytes."""

UNREAD: Any = object()
"""Stands for an entity of which memory says nothing; cheaper than a `KeyError`, which each new entity would raise."""

_UNREADABLE = "The state holds a row that cannot be read."


@frozen
class OnDisk:
    """Where entities are that are not in memory, of which some may be, of each kind, that take so many bytes.

    Those that are `anew` begin without what the store has.
    """

    stored: Stored
    cache_bytes: int
    anew: bool = False


class ColdRows:
    """The rows of one table of those alive, by id, of which the store has those of the last commit."""

    def __init__(self, table: str, on_disk: OnDisk) -> None:
        self.table = table
        self.on_disk = on_disk
        self.stored = on_disk.stored
        self.anew = on_disk.anew
        # The rows that are in memory, which count before those of the store; None: there is no such row.
        self.hot: dict[str, Known | None] = {}
        # The bytes of those of them that can be read again; the next one to be evicted comes first.
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        # The last id that was looked for in vain, which stays in memory until another one is.
        self._absent: str | None = None
        self._cache_bytes = on_disk.cache_bytes
        self._recent: set[str] = set()
        self._flushing: set[str] = set()

    @property
    def cached_bytes(self) -> int:
        """The bytes that rows take which can be read again, about."""
        return self._bytes

    def find(self, id: str) -> Known | None:
        """Return what is known of an entity; None if it does not exist. Raises `CorruptStateError`."""
        known: Known | None = self.hot.get(id, UNREAD)
        if known is UNREAD:
            return self.read(id)
        self.stored.hits += 1
        return known

    def read(self, id: str) -> Known | None:
        """Return what the store has of an entity of which memory says nothing; see `find`."""
        view = None if self.anew else self.stored.view
        value = None if view is None else view.get(self.table, id)
        if value is None:
            # It is asked for again and again by the record that creates it, and then it is there.
            if self._absent is not None:
                del self.hot[self._absent]
            self._absent, self.hot[id] = id, None
            return None
        self.hot[id] = known = self._decoded(value)
        self._sizes[id] = size = _BYTES + _BYTES_EACH * len(value)
        self._bytes += size
        self._make_room(2)
        return known

    def change(self, id: str, known: Known | None) -> None:
        """Take in what is known now of an entity; None: that it does not exist."""
        if id == self._absent:
            self._absent = None
        self.hot[id] = known
        self._recent.add(id)
        if (size := self._sizes.pop(id, None)) is not None:
            self._bytes -= size

    def _make_room(self, most: int) -> None:
        """Evict some that can be read again, if they take too much; at most so many."""
        while self._bytes > self._cache_bytes and most > 0:
            id, size = self._sizes.popitem(last=False)
            self.hot.pop(id, None)
            self._bytes -= size
            most -= 1

    def capture(self) -> None:
        """Take note that what has changed is about to be committed."""
        self._flushing |= self._recent
        self._recent = set()

    def committed(self, rows: Mapping[str, bytes | None]) -> Iterator[None]:
        """Take note that what was captured has been committed, as these `rows`; yields after some of it.

        The view is to be of that commit, or a later one.
        """
        flushing, self._flushing, self.anew = iter(self._flushing), set(), False
        sizes, recent = self._sizes, self._recent  # nothing is captured meanwhile
        while some := list(islice(flushing, KEPT_AT_ONCE)):
            added = 0
            for id in some:
                if id in recent:
                    continue
                if (value := rows.get(id)) is None:
                    self.hot.pop(id, None)
                    continue
                sizes[id] = size = _BYTES + _BYTES_EACH * len(value)
                added += size
            self._bytes += added
            self._make_room(2 * KEPT_AT_ONCE)
            yield
        while self._bytes > self._cache_bytes:
            self._make_room(KEPT_AT_ONCE)
            yield

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return all that is kept in memory: to be emptied when nobody needs it any more."""
        return self._sizes, self.hot

    def items(self) -> Iterator[tuple[str, Known]]:
        """Yield all that exist, without keeping them in memory; see `ids`."""
        for id in self.ids():
            known = self.hot.get(id)
            if known is None and (view := self.stored.view) is not None and (value := view.get(self.table, id)):
                known = self._decoded(value)
            if known is not None:
                yield id, known

    def ids(self) -> Iterator[str]:
        """Yield the ids of all that exist, those that are only in memory last.

        Meanwhile commits may end, and others may change.
        """
        view = None if self.anew else self.stored.view
        # As of now: what is committed meanwhile may belong on pages that have been read.
        unseen = self._flushing | self._recent
        seen_to: str | None = None
        while view is not None:
            page = view.ids(self.table, seen_to, KEPT_AT_ONCE)
            unseen.difference_update(page)
            yield from (id for id in page if self.hot.get(id, self) is not None)
            if len(page) < KEPT_AT_ONCE:
                break
            seen_to, view = page[-1], self.stored.view
        yield from (id for id in unseen if self._exists(id))

    def _decoded(self, value: bytes) -> Known:
        try:
            return known_in(value)
        except (ValueError, TypeError) as error:
            raise self.stored.corrupt(_UNREADABLE) from error

    def _exists(self, id: str) -> bool:
        if id in self.hot:
            return self.hot[id] is not None
        view = None if self.anew else self.stored.view
        return view is not None and view.get(self.table, id) is not None


@frozen
class ColdCapture:
    """What is to be committed of a kind: changes of its indexes by name, and what is to be emptied before."""

    rows: ColdRows
    indexes: tuple[MemberIndex, ...]
    members: Mapping[str, Mapping[str, Mapping[bytes, bool]]]
    emptied: tuple[str, ...]

    def committed(self, rows: Mapping[str, Mapping[str, bytes | None]]) -> Iterator[None]:
        """Take note that it has been committed, with these `rows` by table; see `ColdRows.committed`."""
        for index in self.indexes:
            index.committed()
        return self.rows.committed(rows.get(self.rows.table, {}))


def capture(rows: ColdRows, indexes: Iterable[MemberIndex]) -> ColdCapture:
    """Return what has changed of a kind, which is to be committed now."""
    rows.capture()
    taken = tuple(indexes)
    emptied = [rows.table] if rows.anew else []
    emptied += [index.name for index in taken if index.anew]
    return ColdCapture(rows, taken, {index.name: index.capture() for index in taken}, tuple(emptied))
