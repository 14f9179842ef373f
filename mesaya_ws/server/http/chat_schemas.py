"""JSON Schemas of what happens in conversations, and of what inboxes show of them."""

from collections.abc import Mapping
from typing import Any

from mesaya_ws.core.interactions.chat_records import ADMIN, SIDES
from mesaya_ws.core.views.chats import PREVIEW

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": "boolean"}
_SIDE: Schema = {"enum": list(SIDES)}
_TIME: Schema = {**_TEXT, "description": "The log's time."}
_PARTIES: Mapping[str, Schema] = {
    "restaurantId": _TEXT,
    "userId": {**_TEXT, "description": "The guest, whose conversation it is."},
}


def _shape(properties: Mapping[str, Schema]) -> Schema:
    required = list(properties)
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


_LAST = _shape(
    {
        "messageId": _TEXT,
        "from": _SIDE,
        "preview": {**_TEXT_OR_NULL, "maxLength": PREVIEW, "description": "How it begins; null: it was deleted."},
        "sentAt": _TIME,
    }
)

CHAT_EVENTS: Mapping[str, tuple[str, Schema]] = {
    "chat.message": (
        "Somebody has written.",
        _shape(
            {
                "messageId": _TEXT,
                **_PARTIES,
                "from": _SIDE,
                "authorId": _TEXT,
                "authorName": _TEXT_OR_NULL,
                "text": {**_TEXT_OR_NULL, "description": "Text, and never HTML; null: it was deleted since."},
                "attachments": {"type": "array", "items": _TEXT, "description": "Addresses of files."},
                "replyTo": {**_TEXT_OR_NULL, "description": "The message that it answers."},
                "sentAt": _TIME,
            }
        ),
    ),
    "chat.edited": (
        "A message has another text.",
        _shape({"messageId": _TEXT, "text": _TEXT_OR_NULL, "editedAt": _TIME}),
    ),
    "chat.deleted": (
        "A message has no text any more.",
        _shape({"messageId": _TEXT, "by": {"enum": [*SIDES, ADMIN]}}),
    ),
    "chat.read": (
        "A side has read on.",
        _shape({"by": _SIDE, "upTo": {**_TEXT_OR_NULL, "description": "A position."}}),
    ),
    "chat.blocked": ("The guest may not write any more, or may again.", _shape({"blocked": _FLAG})),
    "chat.conversation": (
        "A conversation as it stands now, on an inbox.",
        _shape(
            {
                **_PARTIES,
                "restaurantName": _TEXT_OR_NULL,
                "guestName": _TEXT_OR_NULL,
                "last": {**_LAST, "type": ["object", "null"]},
                "unread": {"type": "integer", "minimum": 0, "description": "Messages that this side has not read."},
                "blocked": _FLAG,
            }
        ),
    ),
}
"""By the type of an event: what it says, and its data."""
