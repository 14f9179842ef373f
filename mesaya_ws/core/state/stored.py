"""What has been committed to the state store, for rules that look something up: as of one commit, without waiting.

Looking up takes microseconds: pages of the store that are in use lie in the memory of the machine.
"""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import islice

from mesaya_ws.core.state.interface import CorruptStateError, StateView

PAGE = 500
"""Members that are read in one go."""

_NONE: Mapping[bytes, bool] = {}


class Stored:
    """The rows of the last commit: whoever commits sets the `view`; None while there is nothing.

    `on_damage` is called with a sentence when rows turn out not to belong together. `hits` are lookups of rows that
    were in memory: those that were not, the view counts.
    """

    __slots__ = ("hits", "on_damage", "view")

    def __init__(self) -> None:
        self.view: StateView | None = None
        self.hits = 0
        self.on_damage: Callable[[str], None] = lambda reason: None

    def corrupt(self, reason: str) -> CorruptStateError:
        """Return the error to be raised, for a `reason` that has been reported."""
        self.on_damage(reason)
        return CorruptStateError(reason)


class MemberIndex:
    """The members of parents, sorted by their bytes: those in the store, and what has changed since.

    `capture` takes what is to be committed, and `committed` or `give_back` follows. One that is `anew` begins without
    what the store has of it, which is to be emptied with what is captured next.
    """

    __slots__ = ("_flushing", "_recent", "anew", "name", "stored")

    def __init__(self, name: str, stored: Stored, *, anew: bool = False) -> None:
        self.name = name
        self.stored = stored
        self.anew = anew
        # By parent and member, whether it belongs there.
        self._recent: dict[str, dict[bytes, bool]] = {}
        self._flushing: dict[str, dict[bytes, bool]] = {}

    def put(self, parent: str, member: bytes, *, belongs: bool) -> None:
        """Add a member, or remove it."""
        self._recent.setdefault(parent, {})[member] = belongs

    def page(self, parent: str, start: bytes = b"", count: int = PAGE) -> list[bytes]:
        """Return the first members from `start` on, at most so many."""
        changed = self._flushing.get(parent, _NONE)
        if (recent := self._recent.get(parent)) is not None:
            changed = {**changed, **recent} if changed else recent
        view = None if self.anew else self.stored.view
        known: Iterator[bytes] = iter(()) if view is None else view.members(self.name, parent, start)
        if not changed:
            return list(islice(known, count))
        added = sorted(member for member, belongs in changed.items() if belongs and member >= start)
        return list(islice(merge((member for member in known if member not in changed), added), count))

    def members(self, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members from `start` on, in pages: what changes meanwhile may be seen or not."""
        while page := self.page(parent, start):
            yield from page
            start = page[-1] + b"\0"

    def count(self, parent: str, start: bytes, most: int) -> int:
        """Return how many members there are from `start` on, or `most` if there are more."""
        return len(self.page(parent, start, most))

    def parents(self) -> set[str]:
        """Return all that may have members; some may have none any more."""
        view = None if self.anew else self.stored.view
        return {*self._recent, *self._flushing, *(() if view is None else view.parents(self.name))}

    def capture(self) -> Mapping[str, Mapping[bytes, bool]]:
        """Return what is to be committed, by parent."""
        if self._flushing:
            for parent, members in self._recent.items():
                self._flushing.setdefault(parent, {}).update(members)
        else:
            self._flushing = self._recent
        self._recent = {}
        return self._flushing

    def committed(self) -> None:
        """Take note that what was captured has been committed, and that the view is of that commit, or a later one."""
        self._flushing = {}
        self.anew = False


class MemberIds:
    """The ids of a parent's members one after the other, read in pages: a list of which only the end can be taken.

    A member ends with its id, after so many bytes. Those that were taken are removed if `removes` says so.
    """

    __slots__ = ("_index", "_page", "_parent", "_prefix", "_removes", "_start")

    def __init__(self, index: MemberIndex, parent: str, prefix: int = 0, *, removes: bool = False) -> None:
        self._index = index
        self._parent = parent
        self._prefix = prefix
        self._removes = removes
        self._start = b""
        self._page: list[bytes] = []

    def __bool__(self) -> bool:
        """Return whether there are more."""
        if not self._page:
            self._page = self._index.page(self._parent, self._start)[::-1]
            if self._page:
                self._start = self._page[0] + b"\0"
        return bool(self._page)

    def pop(self) -> str:
        """Return the next id. Raises `IndexError` when there is none."""
        if not self:
            raise IndexError("there are no more")
        member = self._page.pop()
        if self._removes:
            self._index.put(self._parent, member, belongs=False)
        return member[self._prefix :].decode()


Ids = list[str] | MemberIds
"""Ids that are taken one after the other: of a list, the first comes last."""
