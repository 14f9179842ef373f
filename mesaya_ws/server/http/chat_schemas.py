"""JSON Schemas of what happens in conversations, and of what inboxes show of them."""

from collections.abc import Mapping

from mesaya_ws.core.interactions.chat_records import ADMIN, SIDES
from mesaya_ws.core.views.chats import PREVIEW
from mesaya_ws.server.http.schemas import FLAG, TEXT, TEXT_OR_NULL, Schema, shape

_SIDE: Schema = {"enum": list(SIDES)}
_TIME: Schema = {**TEXT, "description": "The log's time."}
_PARTIES: Mapping[str, Schema] = {
    "restaurantId": TEXT,
    "userId": {**TEXT, "description": "The guest, whose conversation it is."},
}


_LAST = shape(
    {
        "messageId": TEXT,
        "from": _SIDE,
        "preview": {**TEXT_OR_NULL, "maxLength": PREVIEW, "description": "How it begins; null: it was deleted."},
        "sentAt": _TIME,
    }
)

CHAT_EVENTS: Mapping[str, tuple[str, Schema]] = {
    "chat.message": (
        "Somebody has written.",
        shape(
            {
                "messageId": TEXT,
                **_PARTIES,
                "from": _SIDE,
                "authorId": TEXT,
                "authorName": TEXT_OR_NULL,
                "text": {**TEXT_OR_NULL, "description": "Text, and never HTML; null: it was deleted since."},
                "attachments": {"type": "array", "items": TEXT, "description": "Addresses of files."},
                "replyTo": {**TEXT_OR_NULL, "description": "The message that it answers."},
                "sentAt": _TIME,
            }
        ),
    ),
    "chat.edited": (
        "A message has another text.",
        shape({"messageId": TEXT, "text": TEXT_OR_NULL, "editedAt": _TIME}),
    ),
    "chat.deleted": (
        "A message has no text any more.",
        shape({"messageId": TEXT, "by": {"enum": [*SIDES, ADMIN]}}),
    ),
    "chat.read": (
        "A side has read on.",
        shape({"by": _SIDE, "upTo": {**TEXT_OR_NULL, "description": "A position."}}),
    ),
    "chat.blocked": ("The guest may not write any more, or may again.", shape({"blocked": FLAG})),
    "chat.conversation": (
        "A conversation as it stands now, on an inbox.",
        shape(
            {
                **_PARTIES,
                "restaurantName": TEXT_OR_NULL,
                "guestName": TEXT_OR_NULL,
                "last": {**_LAST, "type": ["object", "null"]},
                "unread": {"type": "integer", "minimum": 0, "description": "Messages that this side has not read."},
                "blocked": FLAG,
            }
        ),
    ),
}
"""By the type of an event: what it says, and its data."""
