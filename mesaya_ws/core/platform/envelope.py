"""The envelopes of the log's records: bytes that anybody may have produced, and what they say, or why nothing."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from attrs import define

from mesaya_ws.core.interactions.acknowledgements import AckRecord, read_ack_record
from mesaya_ws.core.interactions.chat_records import ChatRecord, read_chat_record
from mesaya_ws.core.interactions.hold_records import HoldRecord, read_hold_record
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.log.records import Record, TooLarge
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entities import ENTITIES, OF_TOPIC
from mesaya_ws.core.platform.entity import Data, Dropped, Entity
from mesaya_ws.core.platform.fields import DROPPED, MAX_NAMES, has_too_many_names, reference
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from mesaya_ws.core.wire.json_text import MAX_NODES, has_too_many_nodes, read_json


@define  # its fields are read forty times for each record: of a tuple, that takes ten times as long
class Event:
    """A record that is understood: `what` happened to the entity called `id`, a kind of which `entity` is the name.

    `data` is the entity as messages show it, as far as the record says, without secrets; `previous` is the status
    before, if the record names it; `timestamp` is the envelope's. Of `auth`, `data` is only `name` and `roles`.

    `mistyped` are the fields whose value is of a wrong type. `unknown` are those that the record names without giving
    a value that can be kept (null where there must be one is no fault, but no value either): what was known of them is
    true no longer. Ids that routing needs are not among the `unknown`: without them nobody would be concerned.

    `at` is where the record stands among those of its topic.
    """

    entity: str
    what: str
    id: str
    data: Data
    metadata: Mapping[str, Any]
    timestamp: str
    at: At
    previous: str | None = None
    mistyped: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class Interaction(NamedTuple):
    """A record of what clients bring in (see `core.interactions`); `timestamp` and `at` are as of an `Event`."""

    said: ChatRecord | AckRecord | HoldRecord
    timestamp: str
    at: At


class Rejected(NamedTuple):
    """A record that says nothing to us; without a `detail` (a sentence for the log) this is nobody's fault."""

    reason: Disposition
    detail: str = ""


Decoded = Event | Interaction | Rejected
"""What a record says, or why it says nothing."""

AUTH = "auth"
OWNER_REASSIGNED = "owner_reassigned"
_AUTH_TOPIC = topic_of("auth")
_PAYMENTS_TOPIC = topic_of("payments")
_ANNOUNCEMENTS_TOPIC = topic_of("announcements")
FOUND = "found-in-api"  # no announcement can have this word
_WHATS = frozenset({"created", "updated", "deleted", "status_changed"})
_WORD = re.compile(r"[a-z_]{1,64}")
_BAD_ID = "The id is missing, or is not 1-128 of A-Z a-z 0-9 . _ ~ -."
_NOTHING: Mapping[str, Any] = {}
_RESTAURANT = ENTITIES["restaurant"]
_ALONE = {
    topic: entities[0]
    for topic, entities in OF_TOPIC.items()
    if len(entities) == 1 and topic not in (_PAYMENTS_TOPIC, _ANNOUNCEMENTS_TOPIC)
}
"""By topic, the entity that its records are about where that needs no question: so do nearly all."""
_FEW_NAMES_BYTES = 5 * MAX_NAMES  # no member takes less, so nearly all records need not be searched

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(record: Record, max_nodes: int = MAX_NODES) -> Decoded:
    """Return what a record says, or why it says nothing. Takes any bytes; raises nothing.

    There are two envelopes, `{timestamp, event_type, entity_id, entity_subtype?, data, metadata?}` and the older
    `{timestamp, action: "<entity>.<what>", entityId?, entity}`; and those of `auth`.
    """
    topic, partition, offset, time, _, value = record
    if value is None:
        return Rejected(Disposition.TOMBSTONE)
    if isinstance(value, TooLarge):
        return Rejected(Disposition.TOO_LARGE, f"It has {value.size} bytes, unpacked: more than MAX_RECORD_BYTES.")
    if len(value) * 2 > max_nodes and has_too_many_nodes(value, max_nodes):  # nearly all are spared the call
        return Rejected(Disposition.TOO_LARGE, f"It has more than {max_nodes} members, in {len(value)} bytes.")
    try:
        envelope = read_json(value)
    except orjson.JSONDecodeError as error:
        return Rejected(Disposition.NOT_JSON, f"The value is not JSON: {error}.")
    if type(envelope) is not dict:
        return Rejected(Disposition.NOT_OBJECT, "The value is JSON, but not an object.")
    if len(value) > _FEW_NAMES_BYTES and value.count(b":") > MAX_NAMES and has_too_many_names(envelope):
        return Rejected(Disposition.TOO_LARGE, f"Its fields have more than {MAX_NAMES} different names.")
    timestamp = envelope.get("timestamp")
    if type(timestamp) is not str:
        timestamp = platform_time(time)
    if topic == _AUTH_TOPIC:
        return _understand_auth(record, envelope, timestamp)
    entity, data, what = _ALONE.get(topic), envelope.get("data"), envelope.get("event_type")
    if entity is None or type(data) is not dict or type(what) is not str or what not in _WHATS:
        subject_of_it = _subject(record, envelope)
        if isinstance(subject_of_it, Rejected | Interaction):
            return subject_of_it
        entity, data, what = subject_of_it

    subject = envelope.get("entity_id", envelope.get("entityId"))
    subject = entity.id_in(data) if subject is None else reference(subject)
    if subject is DROPPED:
        return Rejected(Disposition.BAD_ID, _BAD_ID)
    metadata = envelope.get("metadata")
    if type(metadata) is not dict:
        metadata = _NOTHING
    dropped: Dropped = {}
    cleaned = entity.clean(subject, data, dropped)
    if entity is _RESTAURANT and metadata.get("action") == OWNER_REASSIGNED and "ownerId" not in cleaned:
        # In this record alone, `user_id` is not who acted but the new owner.
        owner = reference(metadata.get("user_id"))
        if owner is not DROPPED:
            cleaned["ownerId"] = owner
    previous = data.get("previousStatus")
    previous = previous.lower() if type(previous) is str else None
    at = time, partition, offset
    if not dropped:
        return Event(entity.name, what, subject, cleaned, metadata, timestamp, at, previous)
    mistyped = tuple([name for name, is_fault in dropped.items() if is_fault])
    unknown = tuple(dropped.keys() - entity.references)
    return Event(entity.name, what, subject, cleaned, metadata, timestamp, at, previous, mistyped, unknown)


def _subject(
    record: Record, envelope: Mapping[str, Any]
) -> tuple[Entity, Mapping[str, Any], str] | Interaction | Rejected:
    """Return the kind of entity that a record is about, its data, and what happened to it: in either envelope."""
    topic = record.topic
    entities = OF_TOPIC.get(topic)
    if topic in _READERS:
        return _interaction(record)
    if entities is None:
        return Rejected(Disposition.UNKNOWN_TOPIC, "No rule says what this topic's records mean.")
    if topic == _PAYMENTS_TOPIC and _is_stripe(record, envelope):
        return Rejected(Disposition.STRIPE)
    data = envelope.get("data", envelope.get("entity"))
    if data is None:
        data = _NOTHING
    elif type(data) is not dict:
        return Rejected(Disposition.NOT_OBJECT, "The envelope's data is not an object.")
    what = envelope.get("event_type")
    subtype = envelope.get("entity_subtype") if len(entities) > 1 else None
    if what is None and type(action := envelope.get("action")) is str:
        subtype, _, what = action.rpartition(".")
        subtype = subtype.replace("-", "_")
    if type(what) is not str or not _is_known(what, topic):
        detail = "There is no event_type." if what is None else f"No rule knows the event type {_shown(what)}."
        return Rejected(Disposition.UNKNOWN_EVENT_TYPE, detail)
    entity = entities[0] if subtype is None and len(entities) == 1 else _which(entities, subtype, data)
    if entity is None:
        return Rejected(Disposition.UNKNOWN_ENTITY, f"This topic does not speak of {_shown(subtype)}.")
    return entity, data, what


_READERS: Mapping[str, Callable[[Record], ChatRecord | AckRecord | HoldRecord]] = {
    CHAT: read_chat_record,
    ACKS: read_ack_record,
    HOLDS: read_hold_record,
}


def _interaction(record: Record) -> Interaction | Rejected:
    try:
        said = _READERS[record.topic](record)
    except BadFieldError as error:
        return Rejected(Disposition.BAD_FIELD, f"It is skipped: {error}.")
    at = record.timestamp, record.partition, record.offset
    return Interaction(said, platform_time(record.timestamp), at)


def mistyped_id(event: Event) -> str | None:
    """Return the name of an id that routing needs and that is of a wrong type; None if there is none."""
    references = ENTITIES[event.entity].references if event.mistyped else ()
    return next((name for name in event.mistyped if name in references), None)


def _is_known(what: str, topic: str) -> bool:
    if topic == PARENTS_TOPIC:
        return what == FOUND
    return what in _WHATS or (topic == _ANNOUNCEMENTS_TOPIC and _WORD.fullmatch(what) is not None)


def _which(entities: tuple[Entity, ...], subtype: object, data: Mapping[str, Any]) -> Entity | None:
    """Return what a record is about: of a topic with several entities it says so, or else the id that is there does."""
    if subtype is None:
        return next((kind for kind in entities if kind.id_field in data), None)
    return next((kind for kind in entities if kind.name == subtype), None)


def _shown(word: object) -> str:
    return repr(word[:64]) if isinstance(word, str) else "nothing" if word is None else "that is no text"


def _is_stripe(record: Record, envelope: Mapping[str, Any]) -> bool:
    """Return whether a record is passed on from Stripe: with a key, and an event type like `charge.refunded`."""
    what = envelope.get("event_type")
    return "payment_intent_id" in envelope or (record.key is not None and type(what) is str and "." in what)


def _understand_auth(record: Record, envelope: Mapping[str, Any], timestamp: str) -> Event | Rejected:
    what = envelope.get("type", envelope.get("event_type", envelope.get("action")))
    if type(what) is not str:
        return Rejected(Disposition.UNKNOWN_EVENT_TYPE, "The record has no type.")
    user = envelope.get("payload", envelope.get("data", envelope.get("entity")))
    if type(user) is not dict:
        return Rejected(Disposition.NOT_OBJECT, "The envelope holds no user.")
    named = (user.get("userId"), user.get("id"), envelope.get("entity_id"), envelope.get("entityId"))
    subject = next((value for value in named if reference(value) is not DROPPED), None)
    if subject is None:
        return Rejected(Disposition.BAD_ID, _BAD_ID)
    data: Data = {}
    names = [name.strip() for key in ("firstName", "lastName") if type(name := user.get(key)) is str]
    if any(names):
        data["name"] = " ".join(filter(None, names))
    roles = user.get("roles")
    if type(roles) is list:
        data["roles"] = tuple(role for role in roles if type(role) is str)
    return Event(AUTH, what, subject, data, _NOTHING, timestamp, (record.timestamp, record.partition, record.offset))


def platform_time(milliseconds: int) -> str:
    """Return a time (ms since the epoch) as the platform writes it: UTC, milliseconds, `Z`."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        moment = _EPOCH
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
