"""The latest value of each of many things, whatever the order in which it came."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.core.state.tracking import Tracked

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """By key, the value that the latest record gave, and that record: `entries`, whose changes are `tracked`."""

    __slots__ = ("_tracked", "entries")

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self.entries: dict[str, tuple[At, Value]] = {}

    def draft(self) -> "Latest[Value]":
        """Return one that knows the same, and can be changed without changing this one; until this one changes."""
        latest = Latest[Value](Tracked())
        latest.entries = over(self.entries)
        return latest

    def put(self, key: str, at: At, value: Value) -> bool:
        """Keep the value of a record `at` some place; return whether that is the latest."""
        known = self.entries.get(key)
        if known is not None and at < known[0]:
            return False
        self.entries[key] = entry = at, value
        self._tracked.note(key, entry)
        return True

    def remove(self, key: str) -> None:
        """Remove a value, if there is one."""
        if self.entries.pop(key, None) is not None:
            self._tracked.note(key, None)

    def discard(self) -> Iterator[None]:
        """Note that all values are no more, yielding after some of them; another one is to take the place of this."""
        return self._tracked.emptied(self.entries)

    def get(self, key: str) -> Value | None:
        """Return the latest value, or None."""
        known = self.entries.get(key)
        return None if known is None else known[1]
