"""JSON Schemas of events, made of the entities of `core.platform` and the kinds of channels."""

from collections.abc import Mapping

from mesaya_ws.core.access.channels import KINDS
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
from mesaya_ws.server.http.chat_schemas import CHAT_EVENTS
from mesaya_ws.server.http.hold_schemas import HOLD_EVENTS
from mesaya_ws.server.http.schemas import CHANNEL, FLAG, NUMBER, OBJECT, POSITION, TEXT, TEXT_OR_NULL, Schema

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

_FIELD_TYPES: Mapping[FieldType, Schema] = {
    text: TEXT,
    moment: TEXT,
    number: NUMBER,
    flag: FLAG,
    word: {"type": "string", "description": "A status word, in lower case."},
    reference: {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"},
    mapping: OBJECT,
    listing: {"type": "array"},
}

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
    data = OBJECT if entity is None else _data(entity)
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
            "channel": CHANNEL,
            "position": POSITION,
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
        properties |= {"clientName": TEXT_OR_NULL, "date": TEXT_OR_NULL}
    if entity.status is not None:
        properties |= {"newStatus": TEXT, "previousStatus": TEXT_OR_NULL}
    own = {entity.id_field: {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}}
    return {"type": "object", "properties": {**own, **properties}, "required": [entity.id_field]}


def _of_field(kind: FieldType, *, is_optional: bool) -> Schema:
    if kind in OPTIONAL:
        kind, is_optional = OPTIONAL[kind], True
    schema = _FIELD_TYPES[kind]
    return {**schema, "type": [schema["type"], "null"]} if is_optional else schema


assert EVENTS.keys() == KINDS.keys()  # noqa: S101 - a new kind of channel is to be described, too
