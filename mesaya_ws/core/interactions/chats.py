"""All conversations, as the records of their topic make them.

| record | what follows |
|---|---|
| of a conversation | see `conversation`; if it changes something, the conversation is the latest of its inboxes |
| `erased` | all that the user has said until then is forgotten, and the name is not shown beside it |
| any, at a time | conversations whose last record was appended more than `KEPT` before it are forgotten |

Past `max_bytes`, the conversations that were quiet for longest are forgotten, too: their ids are of no use to a retry
any more, and what is shown of them is incomplete.
"""

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

from mesaya_ws.core.interactions.chat_records import (
    Blocked,
    ChatRecord,
    ConversationKey,
    Deleted,
    Edited,
    Erased,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.conversation import KEPT, ChatMessage, Conversation
from mesaya_ws.core.interactions.inbox import Inboxes
from mesaya_ws.core.interactions.read_marks import ReadMarks

MAX_BYTES = 256 * 1024 * 1024
"""Memory for all conversations, as estimated by `ChatMessage.bytes`."""

MAX_ERASED = 100_000
"""Users of whom it is remembered that they were erased; the oldest give way, whose records retention has removed."""

FORGOTTEN_AT_ONCE = 20
"""Conversations that are forgotten with one record, so that no record takes long."""


MESSAGES_IN_ROW = 10
"""Messages in one row of a checkpoint: rows are taken by the hundred, and a conversation can have thousands."""


class Change(NamedTuple):
    """What a record has changed: the conversation, and the message if it was about one."""

    conversation: Conversation
    message: ChatMessage | None = None


class Chats:
    """All conversations that are known. Everything follows from the records and their append times."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.by_restaurant = Inboxes()
        self.by_guest = Inboxes()
        self.bytes = 0
        self.forgot = False
        """Whether conversations were forgotten to stay within `max_bytes`."""
        self._max_bytes = max_bytes
        # The one with the latest record comes last.
        self._conversations: dict[ConversationKey, Conversation] = {}
        # By user, where it was erased last: partition, offset and append time.
        self._erased: dict[str, tuple[int, int, int]] = {}
        self._original: Chats | None = None

    def __len__(self) -> int:
        return len(self._conversations)

    def draft(self) -> "Chats":
        """Return chats that know the same of every conversation, for one record that is not to change these.

        Inboxes of the draft hold what that record changes, and nothing else.
        """
        draft = Chats(self._max_bytes)
        draft._original, draft._erased, draft.forgot = self, dict(self._erased), self.forgot
        return draft

    def get(self, key: ConversationKey) -> Conversation | None:
        """Return what is known of a conversation."""
        known = self._conversations.get(key)
        if known is None and self._original is not None and (original := self._original.get(key)) is not None:
            known = self._conversations[key] = deepcopy(original)
            self.bytes += known.bytes
        return known

    def apply(self, said: ChatRecord, partition: int, offset: int, at: int) -> Change | None:
        """Apply a record that was appended `at` some time (ms); return what it has changed, None if nothing.

        An erasure changes many conversations: those that are its user's are to be asked for (`of_user`).
        """
        if isinstance(said, Erased):
            self._erase(said.user, partition, offset, at)
            return None
        key = said.conversation
        conversation = self.get(key)
        if conversation is None:
            if not isinstance(said, Said | Blocked):
                return None
            conversation = Conversation(key, partition)
        before = conversation.bytes if key in self._conversations else 0
        change = self._change(conversation, said, offset, at)
        if change is None:
            self.bytes += conversation.bytes - before if key in self._conversations else 0
            return None
        conversation.last_at, conversation.partition = at, partition
        self._conversations.pop(key, None)
        self._conversations[key] = conversation
        self.bytes += conversation.bytes - before
        self.by_restaurant.touch(key.restaurant, key)
        self.by_guest.touch(key.guest, key)
        self._forget_quiet(at)
        return change

    def _change(self, conversation: Conversation, said: ChatRecord, offset: int, at: int) -> Change | None:
        match said:
            case Said():
                message = conversation.say(said, offset, at)
            case Edited():
                message = conversation.edit(said, at)
            case Deleted():
                message = conversation.delete(said)
            case ReadUpTo():
                return Change(conversation) if conversation.read(said, offset) else None
            case _:
                return Change(conversation) if isinstance(said, Blocked) and conversation.block(said) else None
        return None if message is None else Change(conversation, message)

    def of_user(self, user: str) -> Iterator[Conversation]:
        """Iterate over the conversations of a guest."""
        for key in self.by_guest.latest(user):
            yield self._conversations[key]

    def is_erased(self, user: str, partition: int, offset: int, at: int) -> bool:
        """Return whether a user was erased after the record at an offset, which was appended `at` some time."""
        place = self._erased.get(user)
        if place is None:
            return False
        return offset < place[1] if place[0] == partition else at <= place[2]

    def clear_of(self, user: str, conversation: Conversation) -> None:
        """Forget what an erased user has said in a conversation."""
        before = conversation.bytes
        conversation.clear(user)
        self.bytes += conversation.bytes - before

    def _erase(self, user: str, partition: int, offset: int, at: int) -> None:
        self._erased.pop(user, None)
        self._erased[user] = partition, offset, at
        if len(self._erased) > MAX_ERASED:
            del self._erased[next(iter(self._erased))]
        for conversation in self.of_user(user):
            self.clear_of(user, conversation)

    def _forget_quiet(self, at: int) -> None:
        """Forget conversations that are quiet for too long, or too much, a few at a time."""
        for _ in range(FORGOTTEN_AT_ONCE):
            key, conversation = next(iter(self._conversations.items()))
            is_too_much = self.bytes > self._max_bytes and len(self._conversations) > 1
            if conversation.last_at >= at - KEPT and not is_too_much:
                return
            self.forgot = self.forgot or is_too_much
            self._forget(key)

    def _forget(self, key: ConversationKey) -> None:
        self.bytes -= self._conversations.pop(key).bytes
        self.by_restaurant.forget(key.restaurant, key)
        self.by_guest.forget(key.guest, key)

    def truncate(self, partition: int, next_offset: int) -> None:
        """Forget the messages whose records the log has lost: others have those offsets now, and retries must count."""
        for conversation in self._conversations.values():
            if conversation.partition == partition:
                for message in [each for each in conversation.messages.values() if each.offset >= next_offset]:
                    del conversation.messages[message.id]
                    conversation.bytes -= message.bytes
                    self.bytes -= message.bytes

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        while self._conversations:
            for _ in range(FORGOTTEN_AT_ONCE):
                if self._conversations:
                    self._forget(next(iter(self._conversations)))
            yield
        self._erased.clear()
        self.forgot = False

    # What a checkpoint keeps

    def rows(self) -> Iterator[tuple[str, Any]]:
        """Yield what is known, in rows: their ids, and values that JSON can hold."""
        for user, place in self._erased.items():
            yield f"erased:{user}", place
        for (restaurant, guest), known in self._conversations.items():
            marks = known.marks.guest, known.marks.restaurant
            flags = known.blocked, known.answered, known.forgot
            yield f"{restaurant}:{guest}", (known.partition, known.last_at, known.asked, marks, flags)
            messages = iter(known.messages.values())
            while some := list(map(_row, islice(messages, MESSAGES_IN_ROW))):
                yield f"{restaurant}:{guest}:messages", some

    def load(self, id: str, value: Any) -> None:
        """Take in a row. Raises `ValueError` if it is none."""
        try:
            first, second, *of_messages = id.split(":")
            if first == "erased":
                self._erased[second] = int(value[0]), int(value[1]), int(value[2])
                return
            if of_messages:
                self._load_messages(self._conversations[ConversationKey(first, second)], value)
                return
            partition, last_at, asked, marks, flags = value
            key = ConversationKey(first, second)
            known = Conversation(
                key, partition, marks=ReadMarks(*marks), blocked=flags[0], answered=flags[1], asked=asked
            )
            known.forgot, known.last_at = flags[2], last_at
        except (TypeError, IndexError, KeyError) as error:
            raise ValueError(f"no row of a conversation: {error}") from error
        self._conversations[key] = known
        self.bytes += known.bytes
        self.by_restaurant.touch(key.restaurant, key)
        self.by_guest.touch(key.guest, key)

    def _load_messages(self, conversation: Conversation, rows: Any) -> None:
        for row in rows:
            message = _message(row)
            conversation.messages[message.id] = message
            conversation.bytes += message.bytes
            self.bytes += message.bytes


def _row(message: ChatMessage) -> tuple[Any, ...]:
    return (
        message.id,
        message.offset,
        message.side,
        message.author,
        message.text,
        message.attachments,
        message.reply_to,
        message.sent_at,
        message.digest.hex(),
        message.edited_at,
        message.deleted_by,
    )


def _message(row: Any) -> ChatMessage:
    id, offset, side, author, text, attachments, reply_to, sent_at, digest, edited_at, deleted_by = row
    known = bytes.fromhex(digest)
    attached = tuple(attachments)
    return ChatMessage(id, offset, side, author, text, attached, reply_to, sent_at, known, edited_at, deleted_by)
