"""JSON Schemas of all messages but events, made of the classes and tables that the code uses.

What clients send is described by the classes of `core.wire.messages`. Of what the service says itself there is a table
here; end-to-end tests validate every message that they receive, so whatever is not in it is noticed.
"""

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields

from mesaya_ws.core.interactions.chat_records import SIDES
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.wire.codes import ERROR_CODES
from mesaya_ws.core.wire.messages import LONGEST_ID, TYPES, ClientMessage, Id
from mesaya_ws.core.wire.structuring import wire_name
from mesaya_ws.server.http.hold_schemas import END, RELEASED, SELECTED
from mesaya_ws.server.http.schemas import CHANNEL, COUNT, FLAG, OBJECT, POSITION, SECONDS, TEXT, Schema, shape

_ID: Schema = {"description": "The id of the client's message that this answers."}
_FRESH: Mapping[str, Schema] = {
    "live": {"type": "boolean", "description": "Whether all that the log held at the start has been read."},
    "asOf": {"type": "integer", "description": "What happened before (ms since 1970) has been published."},
    "lag": {"type": "integer", "minimum": 0, "description": "Records in the log that have not been read."},
}
_LOSS: Mapping[str, Schema] = {
    "recovered": FLAG,
    "reason": {"enum": [str(reason) for reason in Unrecoverable]},
}
_WHO: Mapping[str, Schema] = {"user": TEXT, "roles": {"type": "array", "items": TEXT}, "expiresIn": COUNT}


def _said(
    kind: str, summary: str, properties: Mapping[str, Schema], required: Iterable[str], *, more: bool = False
) -> Schema:
    return {
        "title": kind,
        "description": summary,
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *required],
        "additionalProperties": more,
    }


SERVICE: Mapping[str, Schema] = {
    schema["title"]: schema
    for schema in (
        _said("welcome", "The first message.", {"connection": TEXT, **_FRESH, **_WHO}, ("connection", "live")),
        _said(
            "subscribed",
            "The channel is open; with a position that was resumed from, whether nothing is missing.",
            {"channel": CHANNEL, "id": _ID, "position": POSITION, **_LOSS, "replayed": COUNT},
            ("channel", "position"),
        ),
        _said("pending", "The subscription waits.", {"channel": CHANNEL, "id": _ID, **_FRESH}, ("channel", "live")),
        _said(
            "unsubscribed",
            "The subscription has ended; with a reason, the service ended it.",
            {"channel": CHANNEL, "id": _ID, "reason": TEXT, "position": POSITION},
            ("channel",),
        ),
        _said(
            "snapshot",
            "The state of a channel as of a position.",
            {"channel": CHANNEL, "position": POSITION, **_LOSS, "complete": FLAG, "data": OBJECT},
            ("channel", "position", "complete", "data"),
        ),
        _said(
            "pong",
            "The answer to a ping.",
            {"id": _ID, **_FRESH, "positions": {"type": "object", "additionalProperties": TEXT}},
            ("live", "positions"),
        ),
        _said("authenticated", "Who the client is from now on.", {"id": _ID, **_WHO}, ("roles",)),
        _said("token_expiring", "The token ends; renew it.", {"expiresIn": COUNT}, ("expiresIn",)),
        _said("going_away", "This instance closes the connection soon.", {"closeIn": SECONDS}, ("closeIn",)),
        _said(
            "published",
            "What the client wrote is in the log.",
            {"id": _ID, "channel": CHANNEL, "messageId": TEXT, "position": POSITION},
            ("channel", "position"),
        ),
        _said(
            "acknowledged",
            "The restaurant has taken note of a reservation; by whom, and when first.",
            {"id": _ID, "reservationId": TEXT, "by": TEXT, "at": TEXT},
            ("reservationId", "by", "at"),
        ),
        _said("selected", "Tables are held for the client.", {"id": _ID, **SELECTED}, SELECTED),
        _said("released", "A hold of the client's user has ended, and why.", {"id": _ID, **RELEASED}, RELEASED),
        _said(
            "history",
            "Messages of a conversation, and the position before them; null: there are none.",
            {
                "id": _ID,
                "channel": CHANNEL,
                "messages": {"type": "array", "items": OBJECT},
                "before": {"type": ["string", "null"]},
            },
            ("channel", "messages", "before"),
            more=True,
        ),
        _said(
            "presence",
            "Who is on a channel: how many, or in a conversation which sides; without a position, and never stored.",
            {"channel": CHANNEL, "viewers": COUNT, "guest": FLAG, "restaurant": FLAG},
            ("channel",),
        ),
        _said(
            "chat.typing",
            "A side of a conversation is typing, or not any more; without a position, and never stored.",
            {
                "channel": CHANNEL,
                "data": shape({"by": {"enum": list(SIDES)}, "typing": FLAG}),
            },
            ("channel", "data"),
        ),
        _said(
            "error",
            "A message was refused.",
            {
                "code": {"enum": list(ERROR_CODES)},
                "message": TEXT,
                "id": _ID,
                "channel": CHANNEL,
                "retryIn": SECONDS,
                "until": TEXT,
                "expiresIn": END["expiresIn"],
            },
            ("code", "message"),
        ),
    )
}
"""What the service says itself, by type: no other fields, and no other types beside the events."""


def client_schemas() -> dict[str, Schema]:
    """Return the schemas of what clients send, by type."""
    return {kind: _of_class(kind, message) for kind, message in TYPES.items()}


def _of_class(kind: str, message: type[ClientMessage]) -> Schema:
    hints = get_type_hints(message)
    properties = {wire_name(each.name): _of_hint(hints[each.name]) for each in fields(message)}
    required = [each.name for each in fields(message) if each.default is NOTHING]
    return _said(kind, (message.__doc__ or "").strip(), properties, required, more=True)


_PYTHON: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    NoneType: "null",
}


def _of_hint(hint: Any) -> Schema:
    if hint == Id:
        return {"type": ["string", "number", "null"], "maxLength": LONGEST_ID}
    if isinstance(hint, UnionType):
        return {"type": [_PYTHON[each] for each in get_args(hint)]}
    return {"type": _PYTHON[get_origin(hint) or hint]}
