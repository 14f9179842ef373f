"""The envelopes of the log's records: bytes that anybody may have produced, and what they say, or why they say nothing."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from mesaya_ws.core.entities import DROPPED, OF_TOPIC, Data, Entity, reference
from mesaya_ws.core.event_log import Record, topic_of


class Reason(StrEnum):
    """What became of a record: a label of the metrics, so the list is short and closed."""

    SENT = "sent"
    ORPHAN = "orphan"
    """Folded; nothing is known that says whom it concerns."""
    UNPLACED = "unplaced"
    """An image or a piece of furniture that belongs to nothing known."""
    PLAN = "plan"
    AUTH = "auth"
    STRIPE = "stripe"
    TOMBSTONE = "tombstone"
    UNKNOWN_TOPIC = "unknown_topic"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    UNKNOWN_ENTITY = "unknown_entity"
    BAD_ID = "bad_id"


class Event(NamedTuple):
    """A record that is understood: `what` happened to the entity called `id`, a kind of which `entity` is the name.

    `data` is the entity as messages show it, as far as the record tells, and never holds a secret; `previous` is the status
    before, if the record names it; `timestamp` is the envelope's. Of `auth`, `data` is only `name` and `roles` of the user.
    """

    entity: str
    what: str
    id: str
    data: Data
    metadata: Mapping[str, Any]
    timestamp: str
    previous: str | None = None


class Unreadable(NamedTuple):
    """A record that says nothing to us; without a `detail` (a sentence for the log) this is nobody's fault."""

    reason: Reason
    detail: str = ""


AUTH = "auth"
OWNER_REASSIGNED = "owner_reassigned"
_AUTH_TOPIC = topic_of("auth")
_PAYMENTS_TOPIC = topic_of("payments")
_ANNOUNCEMENTS_TOPIC = topic_of("announcements")
_WHATS = frozenset({"created", "updated", "deleted", "status_changed"})
_ANY_WHAT = re.compile(r"[a-z_]{1,64}")
_NO_METADATA: Mapping[str, Any] = {}
_NOTHING: Mapping[str, Any] = {}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def understand(record: Record) -> Event | Unreadable:
    """Return what a record says, or why it says nothing. Takes any bytes; raises nothing.

    There are two envelopes, `{timestamp, event_type, entity_id, entity_subtype?, data, metadata?}` and the older
    `{timestamp, action: "<entity>.<what>", entityId?, entity}`; and those of `auth`.
    """
    if record.value is None:
        return Unreadable(Reason.TOMBSTONE)
    topic = record.topic
    try:
        envelope = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        return Unreadable(Reason.NOT_JSON, f"The value is not JSON: {error}.")
    if type(envelope) is not dict:
        return Unreadable(Reason.NOT_OBJECT, "The value is JSON, but not an object.")
    timestamp = envelope.get("timestamp")
    if type(timestamp) is not str:
        timestamp = _iso(record.timestamp)
    if topic == _AUTH_TOPIC:
        return _understand_auth(envelope, timestamp)
    entities = OF_TOPIC.get(topic)
    if entities is None:
        return Unreadable(Reason.UNKNOWN_TOPIC, "No rule says what this topic's records mean.")

    data = envelope.get("data", envelope.get("entity"))
    if data is None:
        data = _NOTHING
    elif type(data) is not dict:
        return Unreadable(Reason.NOT_OBJECT, "The envelope's data is not an object.")
    what = envelope.get("event_type")
    subtype = envelope.get("entity_subtype")
    if what is None and type(action := envelope.get("action")) is str:
        subtype, _, what = action.rpartition(".")
        subtype = subtype.replace("-", "_")
        if subtype not in [entity.name for entity in entities]:
            return Unreadable(Reason.UNKNOWN_ENTITY, f"The action {action[:64]!r} does not belong to this topic.")
    if what not in _WHATS if topic != _ANNOUNCEMENTS_TOPIC else not _is_word(what):
        if topic == _PAYMENTS_TOPIC and _is_stripe(record, envelope):
            return Unreadable(Reason.STRIPE)
        return Unreadable(Reason.UNKNOWN_EVENT_TYPE, f"No rule knows the event type {str(what)[:64]!r}.")
    entity = entities[0] if len(entities) == 1 else _which(entities, subtype, data)
    if entity is None:
        return Unreadable(Reason.UNKNOWN_ENTITY, f"The entity_subtype {str(subtype)[:64]!r} is none of this topic's.")

    id = envelope.get("entity_id", envelope.get("entityId"))
    id = entity.id_in(data) if id is None else reference(id)
    if id is DROPPED:
        return Unreadable(Reason.BAD_ID, "The entity's id is missing, or is not 1-128 of A-Z a-z 0-9 . _ ~ -.")
    metadata = envelope.get("metadata")
    if type(metadata) is not dict:
        metadata = _NO_METADATA
    previous = data.get("previousStatus")
    cleaned = entity.clean(id, data)
    if metadata.get("action") == OWNER_REASSIGNED and "ownerId" not in cleaned:
        # In this record alone, `user_id` is not who acted but the new owner.
        owner = reference(metadata.get("user_id"))
        if owner is not DROPPED and "ownerId" in entity.fields:
            cleaned["ownerId"] = owner
    return Event(
        entity.name,
        what,
        id,
        cleaned,
        metadata,
        timestamp,
        previous.lower() if type(previous) is str else None,
    )


def _which(entities: tuple[Entity, ...], subtype: object, data: Mapping[str, Any]) -> Entity | None:
    """Tell what a record of a topic with several entities is about; a missing subtype is seen by the id that is there."""
    for entity in entities:
        if subtype == entity.name:
            return entity
    if subtype is not None:
        return None
    # A dish names its menu, so the more particular one is looked for first.
    for entity in sorted(entities, key=lambda entity: entity.name):
        if entity.id_field in data:
            return entity
    return None


def _is_word(what: object) -> bool:
    return type(what) is str and _ANY_WHAT.fullmatch(what) is not None


def _is_stripe(record: Record, envelope: Mapping[str, Any]) -> bool:
    """Tell the webhook that the backend passes on as it came: the one kind of record with a key, and without an entity."""
    return "payment_intent_id" in envelope or (record.key is not None and "entity_id" not in envelope)


def _understand_auth(envelope: Mapping[str, Any], timestamp: str) -> Event | Unreadable:
    what = envelope.get("type", envelope.get("event_type", envelope.get("action")))
    if type(what) is not str:
        return Unreadable(Reason.UNKNOWN_EVENT_TYPE, "The record has no type.")
    user = envelope.get("payload", envelope.get("data", envelope.get("entity")))
    if type(user) is not dict:
        return Unreadable(Reason.NOT_OBJECT, "The envelope holds no user.")
    id = reference(user.get("userId", user.get("id", envelope.get("entity_id", envelope.get("entityId")))))
    if id is DROPPED:
        return Unreadable(Reason.BAD_ID, "The user's id is missing, or is not 1-128 of A-Z a-z 0-9 . _ ~ -.")
    data: Data = {}
    names = [name.strip() for key in ("firstName", "lastName") if type(name := user.get(key)) is str]
    if any(names):
        data["name"] = " ".join(filter(None, names))
    roles = user.get("roles")
    if type(roles) is list:
        data["roles"] = tuple(role for role in roles if type(role) is str)
    return Event(AUTH, what, id, data, _NO_METADATA, timestamp)


def _iso(milliseconds: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        moment = _EPOCH
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
