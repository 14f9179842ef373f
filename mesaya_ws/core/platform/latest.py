"""The latest value of each of many things, whatever the order in which it came."""

from typing import Generic, TypeVar

from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import At

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """By key, the value that the latest record gave, and that record."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[str, tuple[At, Value]] = {}

    def draft(self) -> "Latest[Value]":
        """Return one that knows the same, and can be changed without changing this one; until this one changes."""
        latest = Latest[Value]()
        latest.entries = over(self.entries)
        return latest

    def put(self, key: str, at: At, value: Value) -> bool:
        """Keep the value of a record `at` some place; return whether that is the latest."""
        known = self.entries.get(key)
        if known is not None and at < known[0]:
            return False
        self.entries[key] = at, value
        return True

    def get(self, key: str) -> Value | None:
        """Return the latest value, or None."""
        known = self.entries.get(key)
        return None if known is None else known[1]
