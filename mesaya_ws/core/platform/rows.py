"""What is known, piece by piece: rows as checkpoints and the state store hold them, and how they are read back.

Each reader raises `ValueError` or `TypeError` for what is no such value.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.provenance import NEVER, At, Mixed, Names, Provenance, mixed, shared

Row = tuple[str, str, Any]
"""Table, id, and a value of JSON. The order of a table's rows is part of it; where it matters, the value ends with the
place of the row, a number."""

Known = tuple[Data, Provenance, int]
"""An entity, of which records it is made, and its place in the order of its table: a row of those alive."""

_PLACED = frozenset({"alive", "gone", "chat", "ack", "hold"})


def encoded(value: Any) -> bytes:
    """Return the value of a row as bytes: one that `Projections.rows` yields, or that a follower has taken."""
    return orjson.dumps(value, default=provenance_row)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return decoded rows that were kept by table and id in the order in which they can be loaded.

    It takes a microsecond for each.
    """
    return sorted(rows, key=_order)


def is_where_it_was(row: Row, other: Row) -> bool:
    """Return whether one of two decoded rows with the same name can be loaded in the other's place."""
    return _order(row) == _order(other)


def _order(row: Row) -> tuple[str, bool, int]:
    table, id, value = row
    kind = table.partition("/")[0]
    try:
        # What was said in conversations comes after all of these.
        place = value[-1] if kind in _PLACED else value if kind == "expired_parents" else None
        place = place if type(place) is int else 0
        return table, kind == "chat" and id.count(":") > 1, place
    except (TypeError, IndexError, KeyError):
        return table, False, 0


def known_row(known: Known) -> bytes:
    """Return an entity as a row of the store.

    Where all its fields are of one record, which is not whole, the row ends in 0 and does not name them: so are many
    that have just been created.
    """
    data, provenance, place = known
    if not isinstance(provenance, Mixed):
        return orjson.dumps(known)
    base, earlier, others = provenance.base, provenance.earlier, provenance.others
    if base == NEVER and not earlier and not others and provenance.names == data.keys():
        return orjson.dumps((data, provenance.newest, place, 0))
    return orjson.dumps((data, provenance_row(provenance), place))


def known_in(value: bytes) -> Known:
    """Return the entity that has such a row of the store."""
    match orjson.loads(value):
        case [data, provenance, place]:
            return data_in(data), provenance_in(provenance), integer_in(place)
        case [data, at, place, 0]:
            names = shared(frozenset(data_in(data)))
            return data, Mixed(NEVER, at_in(at), names), integer_in(place)
    raise ValueError("an entity's row has three parts, or four")


def provenance_row(provenance: Provenance) -> Any:
    """Return a provenance as a value of JSON, which stays as it is when the entity changes."""
    if not isinstance(provenance, Mixed):
        return provenance
    # By record and not by field: most have two records at most, and a place is longer than the name of a field.
    earlier = [(at, list(names)) for at, names in provenance.earlier]
    return provenance.base, [list(provenance.names), *earlier], provenance.newest, provenance.others


def provenance_in(value: Any) -> Provenance:
    """Return the provenance that a row has."""
    if len(value) == len(NEVER):
        return at_in(value)
    base, fields, latest, times = value
    known = {integer_in(partition): integer_in(time) for partition, time in times}
    if type(fields) is dict:  # of former releases: the record of each field
        return mixed(at_in(base), {name: at_in(at) for name, at in fields.items()}, at_in(latest), known)
    names, *earlier = fields
    return Mixed(
        at_in(base),
        at_in(latest),
        _names_in(names),
        tuple((at_in(at), _names_in(of)) for at, of in earlier),
        tuple(known.items()),
    )


def _names_in(value: Any) -> Names:
    if type(value) is not list:
        raise TypeError("names are a list")
    return shared(frozenset(map(text_in, value)))


def at_in(value: Any) -> At:
    """Return the place in the log that a row has."""
    timestamp, partition, offset = value
    return integer_in(timestamp), integer_in(partition), integer_in(offset)


def integer_in(value: Any) -> int:
    """Return the whole number that a row has."""
    if type(value) is not int:
        raise TypeError("a place in the log is of whole numbers")
    return value


def text_in(value: Any) -> str:
    """Return the text that a row has."""
    if type(value) is not str:
        raise TypeError("a name is a text")
    return value


def data_in(value: Any) -> Data:
    """Return the fields that a row has."""
    if type(value) is not dict:
        raise TypeError("an entity has fields")
    found: Data = value
    return found
