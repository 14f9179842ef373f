"""What has changed of what is known, for each who follows it: rows of tables, by table and id.

    tables ──note──▶ Tracked ──take──▶ what this follower has not taken
                             └────────▶ what that follower has not taken

A row is noted when it changes, as it is then: so what was taken is as of one place, however late it is encoded. While
nobody follows, a change costs a comparison.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

NOTED_AT_ONCE = 2000
"""Rows of an emptied table that are noted in one go: half a millisecond of work."""

Changed = Mapping[str, Mapping[str, Any]]
"""By table and by id, the last value of a row; None where there is no such row any more."""


class Tracked:
    """The rows of one table that have changed since they were last distributed, in `rows`; None: nobody follows."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[str, Any] | None = None

    def note(self, id: str, value: Any) -> None:
        """Note that a row has another value now, which must never be changed again; None: it is no more."""
        if (rows := self.rows) is not None:
            rows[id] = value

    def emptied(self, ids: Iterable[str]) -> Iterator[None]:
        """Note that all of these are no more, yielding after some of them."""
        if self.rows is None:
            return
        for number, id in enumerate(ids, 1):
            self.note(id, None)
            if number % NOTED_AT_ONCE == 0:
                yield


class TrackedKeys(OrderedDict[str, Any]):
    """Keys in their order, as rows of a table: the value of each is its place, a number, whatever it is set to."""

    def __init__(self, tracked: Tracked) -> None:
        super().__init__()
        self._tracked = tracked
        self._next_place = 0

    def __setitem__(self, key: str, _: Any) -> None:
        """Put a key in the last place, unless it is there."""
        if key in self:
            return
        super().__setitem__(key, self._next_place)
        self._tracked.note(key, self._next_place)
        self._next_place += 1

    def __delitem__(self, key: str) -> None:
        """Remove a key."""
        super().__delitem__(key)
        self._tracked.note(key, None)

    def load(self, key: str, place: int | None) -> None:
        """Take in a key with its place, in the order of these; without one, it is the last."""
        self._next_place = self._next_place if place is None else place
        self[key] = None


class Follower:
    """One who follows the changes, from when it was made (see `Tracking.follow`)."""

    def __init__(self, tracking: "Tracking", without: Collection[str] = ()) -> None:
        self._tracking = tracking
        self.without = without
        self._pending: dict[str, dict[str, Any]] = {}

    def take(self) -> Changed:
        """Return what has changed since the last call, whatever other followers have taken.

        It is the caller's, unless it is given back.
        """
        self._tracking.distribute()
        taken, self._pending = self._pending, {}
        return taken

    @property
    def pending(self) -> int:
        """How many rows `take` would return."""
        self._tracking.distribute()
        return sum(map(len, self._pending.values()))

    def give_back(self, taken: Changed) -> None:
        """Have returned once more what was taken last; but where a row has changed since, as it is now."""
        pending, self._pending = self._pending, cast("dict[str, dict[str, Any]]", taken)
        for table, rows in pending.items():
            self.add(table, rows)

    def stop(self) -> None:
        """Follow no longer."""
        self._tracking.leave(self)

    def add(self, table: str, rows: Mapping[str, Any]) -> None:
        """Add rows that have changed; for `Tracking`."""
        known = self._pending.get(table)
        if known is None:
            self._pending[table] = dict(rows)
        else:
            known.update(rows)


class Tracking:
    """The changes of all tables, and who follows them."""

    def __init__(self) -> None:
        self._tables: dict[str, Tracked] = {}
        self._followers: list[Follower] = []
        self._is_paused = False

    def table(self, name: str) -> Tracked:
        """Return where the changes of a table are to be noted."""
        tracked = self._tables.get(name)
        if tracked is None:
            tracked = self._tables[name] = Tracked()
            tracked.rows = {} if self._is_noted else None
        return tracked

    def follow(self, without: Collection[str] = ()) -> Follower:
        """Return another follower, who can take what changes from now on, but for some tables."""
        self.distribute()
        follower = Follower(self, without)
        self._followers.append(follower)
        self._set()
        return follower

    def leave(self, follower: Follower) -> None:
        """Let a follower go."""
        self.distribute()
        self._followers.remove(follower)
        self._set()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Note no changes meanwhile: what is taken in is no news to those who follow."""
        self.distribute()
        self._is_paused = True
        self._set()
        try:
            yield
        finally:
            self._is_paused = False
            self._set()

    @property
    def _is_noted(self) -> bool:
        return bool(self._followers) and not self._is_paused

    def _set(self) -> None:
        for tracked in self._tables.values():
            tracked.rows = {} if self._is_noted else None

    def distribute(self) -> None:
        """Give what has changed to all followers."""
        for name, tracked in self._tables.items():
            if rows := tracked.rows:
                tracked.rows = {}
                for follower in self._followers:
                    if name not in follower.without:
                        follower.add(name, rows)
