"""The rows that several batches of the changelog make together: of each, what the last batch says that names it."""

from collections.abc import Iterable, Iterator

from mesaya_ws.core.feed.checkpoint import in_pieces, unpack
from mesaya_ws.core.platform.rows import Row, in_order, is_where_it_was

Changed = dict[tuple[str, str], Row]
"""Rows by table and id: the last ones of several batches."""


def overlay(changed: Changed, parts: Iterable[bytes]) -> Iterator[None]:
    """Put the rows of another batch over what has `changed` before, yielding often. Raises `CorruptCheckpointError`."""
    for piece in unpack(parts):
        changed.update(((row[0], row[1]), row) for row in piece)
        yield


def rows_of(batches: Iterable[Iterable[bytes]]) -> Iterator[list[Row]]:
    """Yield the rows that batches make together, some at a time, those of each table in their order.

    Each batch is given as its parts; the first has all that was known. The rows of the others are held meanwhile.
    Raises `CorruptCheckpointError`.
    """
    first, *others = batches
    changed: Changed = {}
    for parts in others:
        for _ in overlay(changed, parts):
            yield []
    if not changed:
        yield from unpack(first)
        return
    for piece in unpack(first):
        yield [now for row in piece if (now := _now(row, changed)) is not None]
    yield from _rest(changed)


def _now(row: Row, changed: Changed) -> Row | None:
    """Return what a row has become, if it is where it was, and take that out of what has `changed`."""
    now = changed.get((row[0], row[1]))
    if now is None:
        return row
    if now[2] is not None and not is_where_it_was(row, now):
        return None  # it comes after all that was there before
    del changed[row[0], row[1]]
    return None if now[2] is None else now


def _rest(changed: Changed) -> Iterator[list[Row]]:
    """Yield what was not there before, table by table: the places of these rows are after those of all others."""
    tables: dict[str, list[Row]] = {}
    for row in changed.values():
        if row[2] is not None:
            tables.setdefault(row[0], []).append(row)
    for rows in tables.values():
        yield []
        yield from in_pieces(iter(in_order(rows)))
