"""The records of `mesa-ya.chat.events`: the platform's envelope, with one `event_type` for each thing that can happen.

| `event_type` | `entity_id` | `data` |
|---|---|---|
| `message` | the message's id | `restaurantId`, `userId`, `from`, `authorId`, `text`, `attachments`?, `replyTo`? |
| `edited` | the message's id | `restaurantId`, `userId`, `from`, `text` |
| `deleted` | the message's id | `restaurantId`, `userId`, `by` |
| `read` | – | `restaurantId`, `userId`, `by`, `upTo`: the offset of the last record that was read |
| `blocked` | – | `restaurantId`, `userId`, `blocked` |
| `erased` | – | `userId` |

`from` and `by` are `guest` or `restaurant`; `by` of a deletion may also be `admin`. `userId` is always the guest, whose
conversation with the restaurant it is.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from mesaya_ws.core.interactions.strict import (
    BadFieldError,
    chat_text,
    flag,
    identifier,
    optional_identifier,
    read_object,
    reader_of,
    whole,
    word,
)
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import NewRecord, Record

GUEST, RESTAURANT, ADMIN = "guest", "restaurant", "admin"
SIDES = (GUEST, RESTAURANT)

MAX_ATTACHMENTS = 5
MAX_URL = 2048
"""Characters of the address of an attachment."""


class ConversationKey(NamedTuple):
    """A conversation: that of one guest with one restaurant."""

    restaurant: str
    guest: str


class Said(NamedTuple):
    """A message: its first record counts, and any other one with its id says nothing."""

    conversation: ConversationKey
    id: str
    side: str
    author: str
    text: str
    attachments: tuple[str, ...] = ()
    reply_to: str | None = None

    def digest(self) -> bytes:
        """Return what two messages have in common only if they are the same in all that the client says."""
        return digest_of(self.side, self.author, self.text, self.attachments, self.reply_to)


def digest_of(side: str, author: str, text: str | None, attachments: tuple[str, ...], reply_to: str | None) -> bytes:
    """Return the digest of all that a client says with a message."""
    said = (side, author, text, attachments, reply_to)
    return blake2b(orjson.dumps(said), digest_size=16).digest()


class Edited(NamedTuple):
    """A message has another text."""

    conversation: ConversationKey
    id: str
    side: str
    text: str


class Deleted(NamedTuple):
    """A message has no text any more."""

    conversation: ConversationKey
    id: str
    by: str


class ReadUpTo(NamedTuple):
    """A side has read all up to an offset."""

    conversation: ConversationKey
    by: str
    up_to: int


class Blocked(NamedTuple):
    """The restaurant blocks the guest, or no longer."""

    conversation: ConversationKey
    blocked: bool


class Erased(NamedTuple):
    """All texts and the name of a user are to be forgotten."""

    user: str


ChatRecord = Said | Edited | Deleted | ReadUpTo | Blocked | Erased


def read_chat_record(record: Record) -> ChatRecord:
    """Return what a record of the topic says. Raises `BadFieldError`, and nothing else, whatever it holds."""
    envelope = read_object(record)
    read, data = reader_of(envelope, "event_type", _READERS), envelope.get("data")
    if type(data) is not dict:
        raise BadFieldError("data is no object")
    return read(envelope, data)


def chat_record(said: ChatRecord, timestamp: str) -> NewRecord:
    """Return the record that says so; `timestamp` is when, as the platform writes times."""
    match said:
        case Said(conversation, id, side, author, text, attachments, reply_to):
            data = {"from": side, "authorId": author, "text": text, "attachments": attachments, "replyTo": reply_to}
            return _record("message", conversation, id, data, timestamp)
        case Edited(conversation, id, side, text):
            return _record("edited", conversation, id, {"from": side, "text": text}, timestamp)
        case Deleted(conversation, id, by):
            return _record("deleted", conversation, id, {"by": by}, timestamp)
        case ReadUpTo(conversation, by, up_to):
            return _record("read", conversation, None, {"by": by, "upTo": up_to}, timestamp)
        case Blocked(conversation, blocked):
            return _record("blocked", conversation, None, {"blocked": blocked}, timestamp)
        case Erased(user):
            value = {"timestamp": timestamp, "event_type": "erased", "data": {"userId": user}}
            return NewRecord(CHAT, orjson.dumps(value), user.encode())


def _record(
    what: str, conversation: ConversationKey, id: str | None, data: Mapping[str, Any], timestamp: str
) -> NewRecord:
    restaurant, guest = conversation
    value: dict[str, Any] = {"timestamp": timestamp, "event_type": what}
    if id is not None:
        value["entity_id"] = id
    value["data"] = {"restaurantId": restaurant, "userId": guest, **data}
    return NewRecord(CHAT, orjson.dumps(value), restaurant.encode())


def _conversation(data: dict[str, Any]) -> ConversationKey:
    return ConversationKey(identifier(data, "restaurantId"), identifier(data, "userId"))


def attachments_in(data: dict[str, Any]) -> tuple[str, ...]:
    """Return the addresses that a message brings along; where they may point to, admission decides."""
    value = data.get("attachments")
    if value is None:
        return ()
    if type(value) is not list or len(value) > MAX_ATTACHMENTS:
        raise BadFieldError(f"attachments are no list of at most {MAX_ATTACHMENTS} addresses")
    for url in value:
        if type(url) is not str or not url.startswith("https://") or len(url) > MAX_URL or not url.isprintable():
            raise BadFieldError(f"an attachment is no https address of at most {MAX_URL} characters")
    return tuple(value)


def _said(envelope: dict[str, Any], data: dict[str, Any]) -> Said:
    return Said(
        _conversation(data),
        identifier(envelope, "entity_id"),
        word(data, "from", SIDES),
        identifier(data, "authorId"),
        chat_text(data),
        attachments_in(data),
        optional_identifier(data, "replyTo"),
    )


_READERS: Mapping[str, Callable[[dict[str, Any], dict[str, Any]], ChatRecord]] = {
    "message": _said,
    "edited": lambda envelope, data: Edited(
        _conversation(data), identifier(envelope, "entity_id"), word(data, "from", SIDES), chat_text(data)
    ),
    "deleted": lambda envelope, data: Deleted(
        _conversation(data), identifier(envelope, "entity_id"), word(data, "by", (*SIDES, ADMIN))
    ),
    "read": lambda _, data: ReadUpTo(_conversation(data), word(data, "by", SIDES), whole(data, "upTo")),
    "blocked": lambda _, data: Blocked(_conversation(data), flag(data, "blocked")),
    "erased": lambda _, data: Erased(identifier(data, "userId")),
}
