"""What is known, piece by piece: rows as checkpoints hold them, and how their values are read back.

Each reader raises `ValueError` or `TypeError` for what is no such value.
"""

from typing import Any

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.provenance import NEVER, At, Mixed, Provenance, mixed

Row = tuple[str, str, Any]
"""Table, id, and a value of JSON. The order of a table's rows is part of it."""


def provenance_row(provenance: Provenance) -> Any:
    """Return a provenance as a value of JSON, which stays as it is when the entity changes."""
    if not isinstance(provenance, Mixed):
        return provenance
    return [provenance.base, provenance.fields(), provenance.newest, list(provenance.times().items())]


def provenance_in(value: Any) -> Provenance:
    """Return the provenance that a row has."""
    if len(value) == len(NEVER):
        return at_in(value)
    base, fields, latest, times = value
    return mixed(
        at_in(base),
        {name: at_in(at) for name, at in data_in(fields).items()},
        at_in(latest),
        {integer_in(partition): integer_in(time) for partition, time in times},
    )


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
