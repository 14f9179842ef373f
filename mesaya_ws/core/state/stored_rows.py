"""The rows of one table that has no place in memory: those of the last commit are read when they are needed.

    get ───▶ recent: changed since the last capture ───▶ flushing: being committed ───▶ the store, as of its last commit

Without a store, all of them stay in memory. Looking one up in the store takes some microseconds.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import orjson

from mesaya_ws.core.state.interface import StateView
from mesaya_ws.core.state.stored import PAGE, Stored
from mesaya_ws.core.state.tracking import Tracked

Value = TypeVar("Value")

TRIED = 50
"""Rows in memory that are looked at for the oldest value."""

LET_GO_AT_ONCE = 1000
"""Rows in memory that are let go of in one go: half a millisecond of work."""


def let_go(known: dict[Any, Any]) -> Iterator[None]:
    """Empty a table in memory, yielding after some of it."""
    while known:
        for _ in range(min(LET_GO_AT_ONCE, len(known))):
            known.popitem()
        yield


class StoredRows(Generic[Value]):
    """Values by id. `read` makes one of its id and row, `row` the row of one, which JSON can hold.

    What changes is noted in `tracked`. `capture` takes what is to be committed, and `committed` follows; if it could
    not be, the next `capture` takes it, too. Rows that are `anew` begin without what the store has of the table. Those
    `under` others know what these do, until they change; `size_of` says
    how many bytes one takes in memory. So many that are in the store are `hot`: in memory, too.
    """

    def __init__(
        self,
        table: str,
        stored: Stored,
        tracked: Tracked,
        read: Callable[[str, Any], Value],
        row: Callable[[Value], Any],
        size_of: Callable[[Value], int] = lambda value: 0,
        *,
        anew: bool = False,
        under: "StoredRows[Value] | None" = None,
        hot: int = 0,
    ) -> None:
        self.table = table
        self.anew = anew
        self._stored = stored
        self._tracked = tracked
        self._read, self._row, self._size_of = read, row, size_of
        self._under = under
        # None of those that are no more. The one that was changed last comes last.
        self.recent: dict[str, Value | None] = {}
        self._flushing: dict[str, Value | None] = {}
        self._recent_bytes = self._flushing_bytes = 0
        # Some that are in the store as they are, the next one to go first.
        self._most_hot = hot
        self._hot: dict[str, Value] = {}

    @property
    def size(self) -> int:
        """About how many bytes of memory are taken by what is not only in the store."""
        return self._recent_bytes + self._flushing_bytes

    @property
    def view(self) -> StateView | None:
        """What the store has, as far as that counts."""
        return None if self.anew else self._stored.view

    def get(self, id: str) -> Value | None:
        """Return a value; None if there is none. Raises `CorruptStateError`."""
        for known in (self.recent, self._flushing):
            if id in known:
                self._stored.hits += 1
                return known[id]
        if self._under is not None:
            return self._under.get(id)
        if id in self._hot:
            self._stored.hits += 1
            return self._hot[id]
        view = self.view
        value = None if view is None else view.get(self.table, id)
        if value is None:
            return None
        decoded = self._decoded(id, value)
        self._heat(id, decoded)
        return decoded

    def _heat(self, id: str, value: Value) -> None:
        """Have a value at hand that the store has, too, in place of another one."""
        if self._most_hot:
            self._hot[id] = value
            if len(self._hot) > self._most_hot:
                del self._hot[next(iter(self._hot))]

    def _decoded(self, id: str, value: bytes) -> Value:
        try:
            return self._read(id, orjson.loads(value))
        except (ValueError, TypeError, LookupError) as error:
            raise self._stored.corrupt(f"The state holds a row of {self.table} that cannot be read.") from error

    def put(self, id: str, value: Value | None) -> None:
        """Have another value from now on; None: it is no more."""
        self._hot.pop(id, None)
        former = self.recent.pop(id, None)
        if former is not None:
            self._recent_bytes -= self._size_of(former)
        if value is not None:
            self._recent_bytes += self._size_of(value)
        if value is not None or self.view is not None or self._flushing or self._under is not None:
            self.recent[id] = value
        if (rows := self._tracked.rows) is not None:
            rows[id] = None if value is None else self._row(value)

    def oldest(self) -> Value | None:
        """Return the value in memory that was changed first; None if that is not found at once, or there is none."""
        for known in (self._flushing, self.recent):
            for id in list(islice(known, TRIED)):
                value = known[id]
                if value is not None and (known is self.recent or id not in self.recent):
                    return value
                known[id] = known.pop(id)  # the next call looks at others
        return None

    def capture(self) -> None:
        """Take note that what has changed is about to be committed."""
        if not self._flushing:
            self._flushing, self._flushing_bytes = self.recent, self._recent_bytes
        else:
            for id in self.recent.keys() & self._flushing.keys():
                if (former := self._flushing.pop(id)) is not None:
                    self._flushing_bytes -= self._size_of(former)
            self._flushing.update(self.recent)
            self._flushing_bytes += self._recent_bytes
        self.recent, self._recent_bytes = {}, 0

    def committed(self) -> Iterator[None]:
        """Take note that what was captured has been committed, and the store's view is of that; yields after some."""
        self.anew = False
        while self._flushing:
            for _ in range(min(LET_GO_AT_ONCE, len(self._flushing))):
                id, value = self._flushing.popitem()
                if value is not None and id not in self.recent:
                    self._heat(id, value)
            yield
        self._flushing, self._flushing_bytes = {}, 0

    def ids(self) -> Iterator[str]:
        """Yield the ids of all values, those that are only in memory last.

        Meanwhile commits may end, and others may change.
        """
        # As of now: what is committed meanwhile may belong on pages that have been read.
        unseen = dict.fromkeys((*self._flushing, *self.recent))
        seen_to: str | None = None
        while (view := self.view) is not None:
            page = view.ids(self.table, seen_to, PAGE)
            for id in page:
                unseen.pop(id, None)
            yield from (id for id in page if self._is_in_memory(id) is not False)
            if len(page) < PAGE:
                break
            seen_to = page[-1]
        yield from (id for id in unseen if self._exists(id))

    def _is_in_memory(self, id: str) -> bool | None:
        """Return whether memory has a value, or knows that there is none; None if only the store can say."""
        for known in (self.recent, self._flushing):
            if id in known:
                return known[id] is not None
        return None

    def _exists(self, id: str) -> bool:
        if (is_in_memory := self._is_in_memory(id)) is not None:
            return is_in_memory
        view = self.view
        return view is not None and view.get(self.table, id) is not None

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the rows of all values, as they are."""
        for id in self.ids():
            if (value := self.get(id)) is not None:
                yield self.table, id, self._row(value)

    def discard(self) -> Iterator[None]:
        """Forget what is in memory, for good, yielding after some of it; what the store has is to be emptied."""
        self._hot = {}
        for known in (self._flushing, self.recent):
            while known:
                for _ in range(min(LET_GO_AT_ONCE, len(known))):
                    id, _ = known.popitem()
                    self._tracked.note(id, None)
                yield
