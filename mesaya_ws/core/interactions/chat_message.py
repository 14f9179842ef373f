"""One message of a conversation as it stands, and its row."""

from typing import Any

from attrs import evolve, frozen

from mesaya_ws.core.interactions.chat_records import ADMIN, GUEST, RESTAURANT, digest_of

OVERHEAD = 800
"""Bytes that a message takes in memory beside its text, with all by which it is found there."""

_SIDES = {"g": GUEST, "r": RESTAURANT}


@frozen
class ChatMessage:
    """What a message says, or nothing once it is deleted. Times are append times, in ms."""

    id: str
    offset: int
    side: str
    author: str
    text: str | None
    attachments: tuple[str, ...]
    reply_to: str | None
    sent_at: int
    edited_at: int | None = None
    deleted_by: str | None = None
    said: bytes | None = None
    """The digest of what it said first, if that is not what it says now."""
    later: int | None = None
    """The time of its conversation, if that was later than `sent_at`: the log's clock had gone back."""

    @property
    def kept_from(self) -> int:
        """From when on it is kept for a time: no earlier than the message before it.

        That is long after `sent_at` where the log's clock was far ahead before.
        """
        return self.sent_at if self.later is None else self.later

    @property
    def digest(self) -> bytes:
        """What two messages have in common only if their senders have said the same."""
        if self.said is not None:
            return self.said
        return digest_of(self.side, self.author, self.text, self.attachments, self.reply_to)

    def edited(self, text: str, at: int) -> "ChatMessage":
        """Return the message with another text."""
        return evolve(self, text=text, edited_at=at, said=self.digest)

    def cleared(self, by: str) -> "ChatMessage":
        """Return the message without what it says."""
        return evolve(self, text=None, attachments=(), deleted_by=by, said=self.digest)

    def may_delete(self, by: str) -> bool:
        """Return whether a side, or an administrator, may delete it."""
        return by in (ADMIN, RESTAURANT) or (by == GUEST and self.side == GUEST)

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return OVERHEAD + 2 * len(self.text or "") + sum(map(len, self.attachments))


def message_row(message: ChatMessage) -> tuple[Any, ...]:
    """Return a message as its row: the fewest values, as most messages are what they were and have a text alone."""
    row = message.id, message.offset, message.side[0], message.author, message.text, message.sent_at
    if message.said is None and not message.attachments and message.reply_to is None and message.later is None:
        return row
    said = None if message.said is None else message.said.hex()
    return (*row, message.attachments, message.reply_to, message.edited_at, message.deleted_by, said, message.later)


def message_in(row: Any) -> ChatMessage:
    """Return the message of a row. Raises `ValueError`, `TypeError` or `LookupError` if it is none."""
    id, offset, side, author, text, sent_at, *rest = row
    if not rest:
        return ChatMessage(id, offset, _SIDES[side], author, text, (), None, sent_at)
    attachments, reply_to, edited_at, deleted_by, said, *later = rest
    first = None if said is None else bytes.fromhex(said)
    changed = edited_at, deleted_by, first, *later
    return ChatMessage(id, offset, _SIDES[side], author, text, tuple(attachments), reply_to, sent_at, *changed)
