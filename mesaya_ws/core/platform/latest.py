"""What was said last of each of many things, whatever the order in which it came."""

from typing import Generic, TypeVar

from mesaya_ws.core.platform.provenance import At

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """By key, the value that the latest record gave, and that record."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: dict[str, tuple[At, Value]] = {}

    def put(self, key: str, at: At, value: Value) -> bool:
        """Keep the value of a record `at` some place; return whether that is the latest."""
        known = self.told.get(key)
        if known is not None and at < known[0]:
            return False
        self.told[key] = at, value
        return True

    def get(self, key: str) -> Value | None:
        """Return the latest value, or None."""
        known = self.told.get(key)
        return None if known is None else known[1]
