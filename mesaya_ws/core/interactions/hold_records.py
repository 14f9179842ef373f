"""The records of `mesaya-ws.holds`.

| `type` | fields |
|---|---|
| `claim` | `holdId`, `restaurantId`, `tables`, `from`, `to`, `user`, `lease_ms`, `replica`, `n` |
| `release` | `holdId`, `by`, `reason`; one that is abandoned also `replica`, `n` |
| `attach` | `holdId`, `user`, `replica`, `n` |
| `detach` | `holdId`, `replica`, `n` |
| `expire` | `holdId` |
| `convert` | `holdId`, `reservationId` |

`from` and `to` are ms since 1970, or both null: the table as such. `replica` is a process in one of its lives, and `n`
a number that it counts up. `by` is the user who releases, or null for the restaurant's staff and for the service. With
`replica` and `n`, a release takes back the claim, or the attachment, of that number, and nothing that came after it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from mesaya_ws.core.interactions.strict import (
    BadFieldError,
    identifier,
    optional_identifier,
    read_object,
    reader_of,
    whole,
    word,
)
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.records import NewRecord, Record

MAX_TABLES = 4
RELEASED, ABANDONED = "released", "abandoned"


class Slot(NamedTuple):
    """From when to when a table is wanted, in ms since 1970; `end` is the first moment after it."""

    start: int
    end: int


class Claim(NamedTuple):
    """A user wants tables, for a slot or (None) as such."""

    id: str
    restaurant: str
    tables: tuple[str, ...]
    slot: Slot | None
    user: str
    lease_ms: int
    replica: str
    n: int


class Release(NamedTuple):
    """The hold is to end; `by` is its user, or None for those who may end any.

    With a `replica`, only if its user is attached through nothing but that replica's number `n`.
    """

    id: str
    by: str | None
    reason: str
    replica: str | None = None
    n: int = 0


class Attach(NamedTuple):
    """The user is connected to a replica."""

    id: str
    user: str
    replica: str
    n: int


class Detach(NamedTuple):
    """The user is not connected to a replica any more, unless it has come back since `n`."""

    id: str
    replica: str
    n: int


class Expire(NamedTuple):
    """The hold may have come to its end."""

    id: str


class Convert(NamedTuple):
    """The user has reserved."""

    id: str
    reservation: str


HoldRecord = Claim | Release | Attach | Detach | Expire | Convert


def read_hold_record(record: Record) -> HoldRecord:
    """Return what a record of the topic says. Raises `BadFieldError`, and nothing else, whatever it holds."""
    fields = read_object(record)
    return reader_of(fields, "type", _READERS)(fields)


def hold_record(said: HoldRecord) -> NewRecord:
    """Return the record that says so."""
    fields: dict[str, Any] = {"type": type(said).__name__.lower(), "holdId": said.id}
    match said:
        case Claim():
            start, end = said.slot or (None, None)
            fields |= {"restaurantId": said.restaurant, "tables": said.tables, "from": start, "to": end}
            fields |= {"user": said.user, "lease_ms": said.lease_ms, "replica": said.replica, "n": said.n}
        case Release():
            fields |= {"by": said.by, "reason": said.reason}
            if said.replica is not None:
                fields |= {"replica": said.replica, "n": said.n}
        case Attach():
            fields |= {"user": said.user, "replica": said.replica, "n": said.n}
        case Detach():
            fields |= {"replica": said.replica, "n": said.n}
        case Convert():
            fields |= {"reservationId": said.reservation}
    return NewRecord(HOLDS, orjson.dumps(fields), said.id.encode())


def _claim(fields: dict[str, Any]) -> Claim:
    tables = fields.get("tables")
    if type(tables) is not list or not 1 <= len(tables) <= MAX_TABLES:
        raise BadFieldError(f"tables are no list of 1 to {MAX_TABLES} ids")
    ids = tuple(sorted({identifier({"tables": table}, "tables") for table in tables}))
    slot = None
    if fields.get("from") is not None or fields.get("to") is not None:
        slot = Slot(whole(fields, "from"), whole(fields, "to"))
        if slot.start >= slot.end:
            raise BadFieldError("to is not after from")
    return Claim(
        identifier(fields, "holdId"),
        identifier(fields, "restaurantId"),
        ids,
        slot,
        identifier(fields, "user"),
        whole(fields, "lease_ms", 1),
        identifier(fields, "replica"),
        whole(fields, "n"),
    )


def _release(fields: dict[str, Any]) -> Release:
    replica = optional_identifier(fields, "replica")
    return Release(
        identifier(fields, "holdId"),
        optional_identifier(fields, "by"),
        word(fields, "reason", (RELEASED, ABANDONED)),
        replica,
        0 if replica is None else whole(fields, "n"),
    )


_READERS: Mapping[str, Callable[[dict[str, Any]], HoldRecord]] = {
    "claim": _claim,
    "release": _release,
    "attach": lambda fields: Attach(
        identifier(fields, "holdId"), identifier(fields, "user"), identifier(fields, "replica"), whole(fields, "n")
    ),
    "detach": lambda fields: Detach(identifier(fields, "holdId"), identifier(fields, "replica"), whole(fields, "n")),
    "expire": lambda fields: Expire(identifier(fields, "holdId")),
    "convert": lambda fields: Convert(identifier(fields, "holdId"), identifier(fields, "reservationId")),
}
