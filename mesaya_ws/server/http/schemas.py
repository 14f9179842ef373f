"""JSON Schemas (2020-12) of all messages in both directions, made of the classes and tables that the code uses.

What clients send is described by the classes of `core.wire.messages`, events by the entities of `core.platform` and
the kinds of channels. Of what the service says itself there is a table here; end-to-end tests validate every message
that they receive, so whatever is not in it is noticed.
"""

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields

from mesaya_ws.core.access.channels import KINDS
from mesaya_ws.core.interactions.chat_records import SIDES
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Entity
from mesaya_ws.core.platform.fields import (
    IDENTIFIER,
    OPTIONAL,
    FieldType,
    flag,
    listing,
    mapping,
    moment,
    never,
    number,
    reference,
    text,
    word,
)
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.wire.codes import ERROR_CODES
from mesaya_ws.core.wire.messages import LONGEST_ID, TYPES, ClientMessage, Id
from mesaya_ws.core.wire.structuring import wire_name
from mesaya_ws.server.http.chat_schemas import CHAT_EVENTS
from mesaya_ws.server.http.hold_schemas import END, HOLD_EVENTS, RELEASED, SELECTED

Schema = dict[str, Any]

EVENTS: Mapping[str, tuple[str, ...]] = {
    "reservations": ("reservation", "payment", "restaurant", "hold.created", "hold.ended"),
    "tables": ("table", "section", "section_object", "restaurant", "table.selecting", "table.released"),
    "menu": ("menu", "dish", "restaurant"),
    "reviews": ("review", "restaurant"),
    "info": ("restaurant", "image", "section", "table", "menu", "dish"),
    "notifications": ("reservation", "payment", "owner_upgrade", "subscription", "restaurant"),
    "chat": ("chat.message", "chat.edited", "chat.deleted", "chat.read", "chat.blocked"),
    "chats": ("chat.conversation",),
    "restaurants": ("restaurant",),
    "announcements": ("announcement",),
}
"""By the kind of a channel, what its events are about; or the type of one that is described by itself."""

_WHATS = ("created", "updated", "deleted", "status_changed")
_MORE_WHATS: Mapping[str, tuple[str, ...]] = {
    "restaurant": (*_WHATS, "owner_changed"),
    "reservation": (*_WHATS, "acknowledged", "reminder"),
}

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_OBJECT: Schema = {"type": "object"}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_ROLES: Schema = {"type": "array", "items": _TEXT}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ID: Schema = {"description": "The id of the client's message that this answers."}
_CHANNEL: Schema = {"type": "string", "description": "The channel's name."}
_POSITION: Schema = {"type": "string", "description": "A place on the channel, to resume from; opaque."}
_FRESH: Mapping[str, Schema] = {
    "live": {"type": "boolean", "description": "Whether all that the log held at the start has been read."},
    "asOf": {"type": "integer", "description": "What happened before (ms since 1970) has been published."},
    "lag": {"type": "integer", "minimum": 0, "description": "Records in the log that have not been read."},
}
_LOSS: Mapping[str, Schema] = {
    "recovered": _FLAG,
    "reason": {"enum": [str(reason) for reason in Unrecoverable]},
}
_WHO: Mapping[str, Schema] = {"user": _TEXT, "roles": _ROLES, "expiresIn": _COUNT}

_FIELD_TYPES: Mapping[FieldType, Schema] = {
    text: _TEXT,
    moment: _TEXT,
    number: _NUMBER,
    flag: _FLAG,
    word: {"type": "string", "description": "A status word, in lower case."},
    reference: {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"},
    mapping: _OBJECT,
    listing: {"type": "array"},
}


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
        _said("welcome", "The first message.", {"connection": _TEXT, **_FRESH, **_WHO}, ("connection", "live")),
        _said(
            "subscribed",
            "The channel is open; with a position that was resumed from, whether nothing is missing.",
            {"channel": _CHANNEL, "id": _ID, "position": _POSITION, **_LOSS, "replayed": _COUNT},
            ("channel", "position"),
        ),
        _said("pending", "The subscription waits.", {"channel": _CHANNEL, "id": _ID, **_FRESH}, ("channel", "live")),
        _said(
            "unsubscribed",
            "The subscription has ended; with a reason, the service ended it.",
            {"channel": _CHANNEL, "id": _ID, "reason": _TEXT, "position": _POSITION},
            ("channel",),
        ),
        _said(
            "snapshot",
            "The state of a channel as of a position.",
            {"channel": _CHANNEL, "position": _POSITION, **_LOSS, "complete": _FLAG, "data": _OBJECT},
            ("channel", "position", "complete", "data"),
        ),
        _said(
            "pong",
            "The answer to a ping.",
            {"id": _ID, **_FRESH, "positions": {"type": "object", "additionalProperties": _TEXT}},
            ("live", "positions"),
        ),
        _said("authenticated", "Who the client is from now on.", {"id": _ID, **_WHO}, ("roles",)),
        _said("token_expiring", "The token ends; renew it.", {"expiresIn": _COUNT}, ("expiresIn",)),
        _said("going_away", "This instance closes the connection soon.", {"closeIn": _SECONDS}, ("closeIn",)),
        _said(
            "published",
            "What the client wrote is in the log.",
            {"id": _ID, "channel": _CHANNEL, "messageId": _TEXT, "position": _POSITION},
            ("channel", "position"),
        ),
        _said(
            "acknowledged",
            "The restaurant has taken note of a reservation; by whom, and when first.",
            {"id": _ID, "reservationId": _TEXT, "by": _TEXT, "at": _TEXT},
            ("reservationId", "by", "at"),
        ),
        _said("selected", "Tables are held for the client.", {"id": _ID, **SELECTED}, SELECTED),
        _said("released", "A hold of the client's user has ended, and why.", {"id": _ID, **RELEASED}, RELEASED),
        _said(
            "history",
            "Messages of a conversation, and the position before them; null: there are none.",
            {
                "id": _ID,
                "channel": _CHANNEL,
                "messages": {"type": "array", "items": _OBJECT},
                "before": {"type": ["string", "null"]},
            },
            ("channel", "messages", "before"),
            more=True,
        ),
        _said(
            "presence",
            "Who is on a channel: how many, or in a conversation which sides; without a position, and never stored.",
            {"channel": _CHANNEL, "viewers": _COUNT, "guest": _FLAG, "restaurant": _FLAG},
            ("channel",),
        ),
        _said(
            "chat.typing",
            "A side of a conversation is typing, or not any more; without a position, and never stored.",
            {
                "channel": _CHANNEL,
                "data": {
                    "type": "object",
                    "properties": {"by": {"enum": list(SIDES)}, "typing": _FLAG},
                    "required": ["by", "typing"],
                    "additionalProperties": False,
                },
            },
            ("channel", "data"),
        ),
        _said(
            "error",
            "A message was refused.",
            {
                "code": {"enum": list(ERROR_CODES)},
                "message": _TEXT,
                "id": _ID,
                "channel": _CHANNEL,
                "retryIn": _SECONDS,
                "until": _TEXT,
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


_BY_TYPE: Mapping[str, tuple[str, Schema]] = {**HOLD_EVENTS, **CHAT_EVENTS}
"""Events that are described type by type, and not by what they are about."""


def event_schemas() -> dict[str, Schema]:
    """Return the schemas of events, by what they are about."""
    about = dict.fromkeys(name for names in EVENTS.values() for name in names)
    return {name: _event(name) for name in about}


def _event(about: str) -> Schema:
    kinds: Schema = {"enum": [f"{about}.{what}" for what in _MORE_WHATS.get(about, _WHATS)]}
    if about == "announcement":
        kinds = {"type": "string", "pattern": r"^announcement\.[a-z_]{1,64}$"}
    entity = ENTITIES.get(about)
    data = _OBJECT if entity is None else _data(entity)
    title, description = (
        f"{about}.*",
        f"What happened to a {about.replace('_', ' ')}; null or missing: it is not known.",
    )
    if about in _BY_TYPE:
        kinds, title = {"const": about}, about
        description, data = _BY_TYPE[about]
    return {
        "title": title,
        "description": description,
        "type": "object",
        "properties": {
            "type": kinds,
            "channel": _CHANNEL,
            "position": _POSITION,
            "timestamp": {"type": "string", "description": "When it happened, as the record says."},
            "data": data,
        },
        "required": ["type", "channel", "position", "timestamp", "data"],
        "additionalProperties": False,
    }


_WITH_ALL_FIELDS = frozenset({"reservation", "payment"})
"""Entities that are shown with all of their fields: null is what is not known."""


def _data(entity: Entity) -> Schema:
    """Return the schema of an entity's fields: of these types where they are there; the platform may add others."""
    properties = {
        name: _of_field(kind, is_optional=entity.name in _WITH_ALL_FIELDS)
        for name, kind in entity.fields.items()
        if kind is not never
    }
    properties |= {name: {"type": "array"} for name in entity.lists}
    if entity.name == "reservation":
        properties |= {"clientName": {"type": ["string", "null"]}, "date": {"type": ["string", "null"]}}
    if entity.status is not None:
        properties |= {"newStatus": _TEXT, "previousStatus": {"type": ["string", "null"]}}
    own = {entity.id_field: {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}}
    return {"type": "object", "properties": {**own, **properties}, "required": [entity.id_field]}


def _of_field(kind: FieldType, *, is_optional: bool) -> Schema:
    if kind in OPTIONAL:
        kind, is_optional = OPTIONAL[kind], True
    schema = _FIELD_TYPES[kind]
    return {**schema, "type": [schema["type"], "null"]} if is_optional else schema


assert EVENTS.keys() == KINDS.keys()  # noqa: S101 - a new kind of channel is to be described, too
