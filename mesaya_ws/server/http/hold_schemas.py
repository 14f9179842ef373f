"""JSON Schemas of what the service says of table holds: events on two channels, and what snapshots list."""

from collections.abc import Mapping

from mesaya_ws.server.http.schemas import TEXT, TEXT_OR_NULL, Schema, shape

_TABLES: Schema = {"type": "array", "items": TEXT, "minItems": 1, "description": "The tables that are held."}
_REASON: Schema = {"enum": ["released", "expired", "disconnected", "reserved", "abandoned"]}

SLOT: Mapping[str, Schema] = {
    "tableIds": _TABLES,
    "from": {**TEXT_OR_NULL, "description": "The slot's begin; null: the tables are held as such."},
    "to": {**TEXT_OR_NULL, "description": "The first moment after the slot."},
}
"""What is held."""

END: Mapping[str, Schema] = {
    "expiresAt": {**TEXT, "description": "When the hold ends, by the clock of the event log."},
    "expiresIn": {"type": "number", "minimum": 0, "description": "Seconds until then, as of the message's time."},
}
"""When it ends."""

_HOLDER: Mapping[str, Schema] = {"holdId": TEXT, "userId": TEXT, "clientName": TEXT_OR_NULL}
_TOKEN: Mapping[str, Schema] = {
    "token": {"type": "integer", "minimum": 0, "description": "Grows with every hold: who writes checks it."}
}


def _list_of(shape: Schema, description: str) -> Schema:
    return {"type": "array", "items": shape, "description": description}


_RELEASED = shape({**SLOT, "reason": _REASON})
_ENDED = shape({**_HOLDER, **SLOT, "reason": _REASON, "reservationId": TEXT}, ("reservationId",))
_OTHERS = "Holds that came to their end with the same record."

HOLD_EVENTS: Mapping[str, tuple[str, Schema]] = {
    "table.selecting": (
        "Somebody holds tables from now on.",
        shape({**SLOT, **END, "released": _list_of(_RELEASED, _OTHERS)}, ("released",)),
    ),
    "table.released": (
        "Tables are held no longer.",
        shape({**SLOT, "reason": _REASON, "released": _list_of(_RELEASED, _OTHERS)}, ("released",)),
    ),
    "hold.created": (
        "Who holds tables from now on.",
        shape({**_HOLDER, **_TOKEN, **SLOT, **END, "ended": _list_of(_ENDED, _OTHERS)}, ("ended",)),
    ),
    "hold.ended": (
        "A hold has ended, and why.",
        shape(
            {**_HOLDER, **SLOT, "reason": _REASON, "reservationId": TEXT, "ended": _list_of(_ENDED, _OTHERS)},
            ("reservationId", "ended"),
        ),
    ),
}
"""By the type of an event: what it says, and its data."""

SELECTED: Mapping[str, Schema] = {"holdId": TEXT, **SLOT, **_TOKEN, **END}
"""The fields of `selected`."""

RELEASED: Mapping[str, Schema] = {"holdId": TEXT, **SLOT, "reason": _REASON}
"""The fields of `released`."""
