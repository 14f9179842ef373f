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

What was said is known for `KEPT`, and then nothing of it is: messages with their ids, and that the guest is blocked. It
is the append times of chat's records that say how much later it is. So a replica that has read only what retention left
decides as one that has read everything: retention must not be shorter than `KEPT`, which is Kafka's for this topic.

Here is what is looked up with every record. The messages have a row each, and numbers: those from `first` to `next` are
known, and lie in the order of their offsets.
"""  # noqa: E501 - a table

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from attrs import define, evolve, field

from mesaya_ws.core.interactions.chat_message import ChatMessage
from mesaya_ws.core.interactions.chat_messages import ChatMessages
from mesaya_ws.core.interactions.chat_records import (
    RESTAURANT,
    Blocked,
    ConversationKey,
    Deleted,
    Edited,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.read_marks import ReadMarks, other

KEPT = 30 * 24 * 60 * 60 * 1000
"""Milliseconds after which what was said is forgotten."""

OVERHEAD = 1000
"""Bytes that a conversation takes in memory beside its messages."""

CLEARED_AT_ONCE = 100
"""Messages that are looked at in one step when a user is erased."""


@define(eq=False)
class Conversation:
    """What is known of a conversation. `partition` is where its records are; `last_at` is the latest append time.

    `answered` says whether the restaurant has ever written, and `asked` how many messages the guest had sent before.
    `forgot` says whether older messages were here: from number `swept` on, their rows may still be. `place` is the
    conversation's among all, by their last records; `oldest_at` says from when on its first message is kept. `number`
    says it apart from all that there ever were.
    """

    key: ConversationKey
    number: int
    partition: int
    messages: ChatMessages = field(repr=False)
    marks: ReadMarks = field(factory=ReadMarks)
    blocked_at: int | None = None
    answered: bool = False
    asked: int = 0
    forgot: bool = False
    last_at: int = 0
    oldest_at: int = 0
    swept: int = 0
    first: int = 0
    next: int = 0
    place: int = 0

    @property
    def blocked(self) -> bool:
        """Whether the restaurant takes nothing from the guest."""
        return self.blocked_at is not None

    def copy(self, messages: ChatMessages) -> "Conversation":
        """Return the same with other messages, to be changed without changing this one."""
        return evolve(self, messages=messages, marks=evolve(self.marks))

    # What records change

    def say(self, said: Said, offset: int, at: int) -> ChatMessage | None:
        """Apply a `message` that was appended `at` some time; return it if it is the first of its id."""
        if self.find(said.id) is not None:
            return None
        later = self.last_at if self.last_at > at else None
        content = said.author, said.text, said.attachments, said.reply_to
        message = ChatMessage(said.id, offset, said.side, *content, sent_at=at, later=later)
        if self.next == self.first:
            self.oldest_at = message.kept_from
        self.messages.add(self.number, self.next, message, self.first)
        self.next += 1
        if offset > self.marks.of(other(said.side)):
            self.marks.add_unread(other(said.side), 1)
        if said.side == RESTAURANT:
            self.answered = True
        elif not self.answered:
            self.asked += 1
        return message

    def edit(self, edited: Edited, at: int) -> ChatMessage | None:
        """Apply an `edited`; return the message if it has changed."""
        known = self._find(edited.id)
        if known is None or known[1].deleted_by is not None or known[1].side != edited.side:
            return None
        message = known[1].edited(edited.text, at)
        self.messages.put(self.number, known[0], message)
        return message

    def delete(self, deleted: Deleted) -> ChatMessage | None:
        """Apply a `deleted`; return the message if it has lost its text by this."""
        known = self._find(deleted.id)
        if known is None or known[1].deleted_by is not None or not known[1].may_delete(deleted.by):
            return None
        return self._clear(*known, deleted.by)

    def _clear(self, number: int, message: ChatMessage, by: str) -> ChatMessage:
        if self._is_unread(message):
            self.marks.add_unread(other(message.side), -1)
        cleared = message.cleared(by)
        self.messages.put(self.number, number, cleared)
        self.messages.counts.deleted(self.number, number, message.side, self.next)
        return cleared

    def read(self, read: ReadUpTo, offset: int) -> bool:
        """Apply a `read`; return whether the mark has moved."""
        if not self.marks.move(read.by, read.up_to, offset):
            return False
        if unread := self.marks.unread(read.by):
            start = self._number_at(self.marks.of(read.by) + 1)
            self.marks.add_unread(read.by, self._count_of(other(read.by), start, self.next) - unread)
        return True

    def block(self, blocked: Blocked, at: int) -> bool:
        """Apply a `blocked`; return whether that is new."""
        if self.blocked == blocked.blocked:
            return False
        self.blocked_at = at if blocked.blocked else None
        return True

    def clear(self, author: str) -> Iterator[None]:
        """Forget what a user has said, yielding after some of it."""
        for number in range(self.first, self.next):
            message = self.messages.get(self.number, number)
            if message.author == author and message.deleted_by is None:
                self._clear(number, message, message.side)
            if (number - self.first) % CLEARED_AT_ONCE == CLEARED_AT_ONCE - 1:
                yield

    # What time changes

    def forget(self, since: int) -> None:
        """Know nothing any more that was said before some time (ms): their rows are to be swept up."""
        if self.blocked_at is not None and self.blocked_at < since:
            self.blocked_at = None
        if self.oldest_at >= since or self.first == self.next:
            return
        messages, number = self.messages, self.number
        self.forget_first(
            bisect_left(range(self.first, self.next), since, key=lambda at: messages.get(number, at).kept_from)
        )

    def forget_first(self, count: int) -> None:
        """Know nothing any more of so many messages, the oldest ones."""
        before, self.first = self.first, self.first + count
        for side in ("guest", "restaurant"):
            if self.marks.unread(side):
                after_mark = min(max(before, self._number_at(self.marks.of(side) + 1, before)), self.first)
                self.marks.add_unread(side, -self._count_of(other(side), after_mark, self.first))
        if self.first < self.next:
            self.oldest_at = self.messages.get(self.number, self.first).kept_from
        self.forgot = self.forgot or count > 0

    def truncate(self, next_offset: int, most: int) -> int | None:
        """Forget messages whose records the log has lost, from an offset on, the latest ones and at most so many.

        Return how many those are; None if there is nothing to be forgotten.
        """
        for count in range(most):
            message = self.last
            if message is None or message.offset < next_offset:
                return count if self.marks.move_back(next_offset) or count else None
            if self._is_unread(message):
                self.marks.add_unread(other(message.side), -1)
            self.next -= 1
            self.messages.remove(self.number, self.next)
        return most

    # What is asked

    def find(self, id: str) -> ChatMessage | None:
        """Return the message with an id, if it is known."""
        known = self._find(id)
        return None if known is None else known[1]

    def _find(self, id: str) -> tuple[int, ChatMessage] | None:
        return self.messages.find(self.number, id, range(self.first, self.next))

    @property
    def last(self) -> ChatMessage | None:
        """The latest message; None where all that is known has been forgotten."""
        return self.messages.get(self.number, self.next - 1) if self.next > self.first else None

    def latest(self) -> Iterator[ChatMessage]:
        """Iterate over all messages, the latest one first."""
        return (self.messages.get(self.number, each) for each in reversed(range(self.first, self.next)))

    def unread(self, side: str) -> int:
        """Return how many messages of the other side a side has not read, without the deleted ones."""
        return self.marks.unread(side)

    def before(self, offset: int | None, count: int) -> list[ChatMessage]:
        """Return up to `count` messages before an offset (None: the latest), the oldest first."""
        end = self.next if offset is None else self._number_at(offset)
        return [self.messages.get(self.number, each) for each in range(max(self.first, end - count), end)]

    def has_before(self, offset: int) -> bool:
        """Return whether a message before an offset is known."""
        return self.first < self.next and self.messages.get(self.number, self.first).offset < offset

    def _number_at(self, offset: int, first: int | None = None) -> int:
        """Return the number of the first message at or after an offset."""
        start = self.first if first is None else first
        messages, number = self.messages, self.number
        return start + bisect_left(range(start, self.next), offset, key=lambda at: messages.get(number, at).offset)

    def _count_of(self, side: str, start: int, end: int) -> int:
        """Return how many messages of a side have some numbers, without the deleted ones."""
        return self.messages.counts.count(self.number, start, end).of(side)

    def _is_unread(self, message: ChatMessage) -> bool:
        return message.deleted_by is None and message.offset > self.marks.of(other(message.side))

    # How it is kept

    def row(self) -> tuple[Any, ...]:
        """Return it as a row."""
        marks = self.marks.guest, self.marks.restaurant, self.marks.guest_unread, self.marks.restaurant_unread
        said = self.blocked_at, self.answered, self.asked, self.forgot
        return (
            self.number,
            self.partition,
            marks,
            said,
            self.last_at,
            self.oldest_at,
            self.swept,
            self.first,
            self.next,
            self.place,
        )


def conversation_in(key: ConversationKey, row: Any, messages: ChatMessages) -> Conversation:
    """Return the conversation of a row. Raises `ValueError` or `TypeError` if it is none."""
    number, partition, marks, said, last_at, oldest_at, swept, first, next_, place = row
    blocked_at, answered, asked, forgot = said
    counted = swept, first, next_, place
    return Conversation(
        key,
        number,
        partition,
        messages,
        ReadMarks(*marks),
        blocked_at,
        answered,
        asked,
        forgot,
        last_at,
        oldest_at,
        *counted,
    )
