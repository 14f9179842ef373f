"""What a deletion or an erasure takes out of what chat has published, which the window and the store still have.

A message loses its text, its preview and its attachments; a user who was erased, the name, too.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

import orjson

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.interactions.chat_records import GUEST, ConversationKey
from mesaya_ws.core.platform.outcome import Redaction
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.wire.frames import payload_of, text_frame

DELETED_USER = "deleted user"
"""What a user is called who was erased."""

AUTHORS = 1000
"""Messages whose authors are remembered while an erasure goes through the window: each may be there thrice."""


def deletion(channels: Iterable[str], id: str) -> tuple[Redaction, ...]:
    """Return what takes a deleted message out of what its conversation and both inboxes have published."""
    return tuple(Redaction(channel, id.encode(), partial(_without_message, id)) for channel in channels)


def _without_message(id: str, frame: bytes) -> bytes:
    """Return a frame without what a message says, if it shows that."""
    message = orjson.loads(payload_of(frame))
    data = message["data"]
    shown = data if data.get("messageId") == id else data.get("last")
    return _without_text(frame, message, shown) if shown is not None and shown.get("messageId") == id else frame


def erasure(user: str, projections: Projections) -> tuple[Redaction, ...]:
    """Return what takes an erased user, and what it has said, out of what all of chat has published."""
    # Who wrote for a restaurant may have done so anywhere.
    author_of = lru_cache(AUTHORS)(partial(_author, projections))
    return (Redaction(_is_of_chat, b"{", partial(_without_user, user, author_of)),)


def _is_of_chat(channel: str) -> bool:
    return ":chat" in channel


def _author(projections: Projections, key: ConversationKey, id: str) -> str | None:
    """Return who wrote a message, if that is known."""
    conversation = projections.chats.get(key)
    message = None if conversation is None else conversation.find(id)
    return None if message is None else message.author


def _without_user(user: str, author_of: Callable[[ConversationKey, str], str | None], frame: bytes) -> bytes:
    """Return a frame without what a user has said, and without the name."""
    names_user = user.encode() in frame
    if not names_user and (b'"chat.edited"' not in frame and b'"from":"restaurant"' not in frame):
        return frame
    message = orjson.loads(payload_of(frame))
    kind, data = message["type"], message["data"]
    if kind == "chat.message":
        if data["authorId"] != user:
            return frame
        data["authorName"] = DELETED_USER
        return _without_text(frame, message, data)
    if kind == "chat.edited":
        # Whose text it is, the frame does not say.
        channel = parse_channel(message["channel"])
        key = ConversationKey(channel.subject or "", channel.guest or "") if channel else ConversationKey("", "")
        author = author_of(key, data["messageId"])
        is_erased = author == user or (author is None and key.guest == user)
        return _without_text(frame, message, data) if is_erased else frame
    if kind != "chat.conversation":
        return frame
    if data["userId"] == user:
        data["guestName"] = DELETED_USER
    last = data["last"] or {}
    key = ConversationKey(data["restaurantId"], data["userId"])
    is_own = data["userId"] == user and last.get("from") == GUEST
    if last and (is_own or author_of(key, last["messageId"]) == user):
        return _without_text(frame, message, last)
    return _without_text(frame, message, {}) if data["userId"] == user else frame


def _without_text(frame: bytes, message: dict[str, Any], shown: dict[str, Any]) -> bytes:
    for name, empty in (("text", None), ("preview", None), ("attachments", [])):
        if name in shown:
            shown[name] = empty
    return text_frame(orjson.dumps(message))
