"""A mapping that can be changed without changing what lies under it: for a draft of what is known."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

Value = TypeVar("Value")


class Overlay(MutableMapping[str, Value]):
    """Shows `beneath`, which must not be changed meanwhile, with its own changes over it.

    Values that are changed in place are passed through `copied` when they are first taken. A key that is removed and
    put again keeps its old place in the order. To make one takes no longer when more lies beneath.
    """

    __slots__ = ("_added", "_beneath", "_changed", "_copied", "_removed")

    def __init__(self, beneath: Mapping[str, Value], copied: Callable[[Value], Value] | None) -> None:
        self._beneath = beneath
        self._copied = copied
        self._changed: dict[str, Value] = {}
        self._removed: set[str] = set()
        self._added = 0

    def __getitem__(self, key: str) -> Value:
        if key in self._changed:
            return self._changed[key]
        if key in self._removed:
            raise KeyError(key)
        value = self._beneath[key]
        if self._copied is None:
            return value
        copy = self._changed[key] = self._copied(value)
        return copy

    def __setitem__(self, key: str, value: Value) -> None:
        if key not in self._changed and key not in self._beneath:
            self._added += 1
        self._removed.discard(key)
        self._changed[key] = value

    def __delitem__(self, key: str) -> None:
        if key in self._removed or (key not in self._changed and key not in self._beneath):
            raise KeyError(key)
        self._changed.pop(key, None)
        if key in self._beneath:
            self._removed.add(key)
        else:
            self._added -= 1

    def __contains__(self, key: object) -> bool:
        return key in self._changed or (key in self._beneath and key not in self._removed)

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self._beneath if key not in self._removed)
        yield from [key for key in self._changed if key not in self._beneath]

    def __len__(self) -> int:
        return len(self._beneath) - len(self._removed) + self._added


def over(beneath: dict[str, Any], copied: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """Return an overlay in the place of a dict: of these, it can all that the projections use."""
    overlay: Any = Overlay(beneath, copied)
    drafted: dict[str, Any] = overlay
    return drafted
