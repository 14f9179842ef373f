"""Letting go of large tables, a millisecond of work at a time."""

from collections.abc import Iterator
from typing import Any

DISCARDED_AT_ONCE = 2000
"""How many entries are let go of in one go: a millisecond of work, at most."""


def empty(*tables: dict[Any, Any]) -> Iterator[None]:
    """Empty tables, yielding after some of it: to free what is known of an entity takes 0.4 µs."""
    for table in tables:
        while table:
            for _ in range(min(DISCARDED_AT_ONCE, len(table))):
                table.popitem()
            yield
        table.clear()  # an emptied table still has its places
