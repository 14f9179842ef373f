"""One conversation, of a guest with a restaurant, as its records make it.

| record | while | what follows |
|---|---|---|
| `message` | its id is not known | the message is the last one |
| `message` | its id is known | nothing: the first one counts; its sender is answered by what that one says |
| `edited` | by the side that sent it, and it is not deleted | the message has that text |
| `deleted` | by the side that sent it, by the restaurant or by an administrator, and it is not deleted | its text is gone |
| `read` | it is after the mark | the mark moves (see `read_marks`) |
| `blocked` | it says something else than before | the guest is blocked, or no longer |
| any of these | otherwise | nothing |

An id is known while its message is among the last `REMEMBERED`, or not older than `AT_LEAST`, and never longer than
`KEPT`; all by the append times of this conversation's records. So a replica that has read only what retention left
decides as one that has read everything: retention must not be shorter than `KEPT`, which is Kafka's for this topic.
"""  # noqa: E501 - a table

from collections.abc import Iterator
from itertools import islice

from attrs import define, field

from mesaya_ws.core.interactions.chat_records import (
    ADMIN,
    GUEST,
    RESTAURANT,
    Blocked,
    ConversationKey,
    Deleted,
    Edited,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.read_marks import ReadMarks

REMEMBERED = 1000
"""Messages of a conversation that are remembered, however old."""

AT_LEAST = 24 * 60 * 60 * 1000
"""Milliseconds for which a message is remembered, however many follow."""

KEPT = 30 * 24 * 60 * 60 * 1000
"""Milliseconds after which a message is forgotten."""

OVERHEAD = 500
"""Bytes that a message takes beside its text."""


@define(eq=False)
class ChatMessage:
    """A message as it stands: what it says, or nothing once it is deleted. Times are append times, in ms."""

    id: str
    offset: int
    side: str
    author: str
    text: str | None
    attachments: tuple[str, ...]
    reply_to: str | None
    sent_at: int
    digest: bytes
    edited_at: int | None = None
    deleted_by: str | None = None

    def clear(self, by: str) -> None:
        """Forget what it says."""
        self.text, self.attachments, self.deleted_by = None, (), by

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return OVERHEAD + 2 * len(self.text or "") + sum(map(len, self.attachments))


@define(eq=False)
class Conversation:
    """What is known of a conversation. `partition` is where its records are; `last_at` is the last one's append time.

    `answered` says whether the restaurant has ever written, and `asked` how many messages the guest had sent before.
    `forgot` says whether older messages were here. `place` is the conversation's among all, by their last records.
    """

    key: ConversationKey
    partition: int
    messages: dict[str, ChatMessage] = field(factory=dict)
    marks: ReadMarks = field(factory=ReadMarks)
    blocked: bool = False
    answered: bool = False
    asked: int = 0
    forgot: bool = False
    last_at: int = 0
    bytes: int = OVERHEAD
    place: int = 0

    def say(self, said: Said, offset: int, at: int) -> ChatMessage | None:
        """Apply a `message` that was appended `at` some time; return it if it is the first of its id.

        What is too old by then is to be forgotten before (`forget`).
        """
        if said.id in self.messages:
            return None
        message = ChatMessage(
            said.id, offset, said.side, said.author, said.text, said.attachments, said.reply_to, at, said.digest()
        )
        self.messages[said.id] = message
        self.bytes += message.bytes
        if said.side == RESTAURANT:
            self.answered = True
        elif not self.answered:
            self.asked += 1
        return message

    def edit(self, edited: Edited, at: int) -> ChatMessage | None:
        """Apply an `edited`; return the message if it has changed."""
        message = self.messages.get(edited.id)
        if message is None or message.deleted_by is not None or message.side != edited.side:
            return None
        self.bytes -= message.bytes
        message.text, message.edited_at = edited.text, at
        self.bytes += message.bytes
        return message

    def delete(self, deleted: Deleted) -> ChatMessage | None:
        """Apply a `deleted`; return the message if it has lost its text by this."""
        message = self.messages.get(deleted.id)
        if message is None or message.deleted_by is not None or not may_delete(deleted.by, message):
            return None
        self.bytes -= message.bytes
        message.clear(deleted.by)
        self.bytes += message.bytes
        return message

    def read(self, read: ReadUpTo, offset: int) -> bool:
        """Apply a `read`; return whether the mark has moved."""
        return self.marks.move(read.by, read.up_to, offset)

    def block(self, blocked: Blocked) -> bool:
        """Apply a `blocked`; return whether that is new."""
        changed = self.blocked != blocked.blocked
        self.blocked = blocked.blocked
        return changed

    def clear(self, author: str) -> list[ChatMessage]:
        """Forget what a user has said; return the messages that say nothing any more."""
        cleared = []
        for message in self.messages.values():
            if message.author == author and message.deleted_by is None:
                self.bytes -= message.bytes
                message.clear(message.side)
                self.bytes += message.bytes
                cleared.append(message)
        return cleared

    @property
    def last(self) -> ChatMessage | None:
        """The latest message; None where all that is known has been forgotten."""
        return next(reversed(self.messages.values()), None)

    def unread(self, side: str) -> int:
        """Return how many messages of the other side a side has not read, without the deleted ones."""
        mark, count = self.marks.of(side), 0
        for message in reversed(self.messages.values()):
            if message.offset <= mark:
                break
            count += message.side != side and message.deleted_by is None
        return count

    def before(self, offset: int | None, count: int) -> list[ChatMessage]:
        """Return up to `count` messages before an offset (None: the latest), the oldest first."""
        latest: Iterator[ChatMessage] = reversed(self.messages.values())
        if offset is not None:
            latest = (message for message in latest if message.offset < offset)
        found = list(islice(latest, count))
        found.reverse()
        return found

    def has_before(self, offset: int) -> bool:
        """Return whether a message before an offset is known."""
        first = next(iter(self.messages.values()), None)
        return first is not None and first.offset < offset

    def forget(self, at: int) -> list[ChatMessage]:
        """Forget what is too old at some time, which is that of a `message`; return those messages."""
        forgotten = []
        while self.messages:
            oldest = next(iter(self.messages.values()))
            is_one_too_many = len(self.messages) >= REMEMBERED and oldest.sent_at < at - AT_LEAST
            if not is_one_too_many and oldest.sent_at >= at - KEPT:
                break
            del self.messages[oldest.id]
            self.bytes -= oldest.bytes
            self.forgot = True
            forgotten.append(oldest)
        return forgotten


def may_delete(by: str, message: ChatMessage) -> bool:
    """Return whether a side, or an administrator, may delete a message."""
    return by in (ADMIN, RESTAURANT) or (by == GUEST and message.side == GUEST)
