"""All conversations, as the records of their topic make them.

| record | what follows |
|---|---|
| of a conversation | see `conversation`; if it changes something, the conversation is the latest of its inboxes |
| `erased` | all that the user has said until then is forgotten, and the name is not shown beside it |
| any, at a time | conversations whose last record was appended more than `KEPT` before it are forgotten |

Past `max_bytes`, the conversations that were quiet for longest are forgotten, too: their ids are of no use to a retry
any more, and what is shown of them is incomplete.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from mesaya_ws.core.interactions.chat_inboxes import Inboxes
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
from mesaya_ws.core.interactions.read_marks import ReadMarks
from mesaya_ws.core.state.tracking import Tracking

MAX_BYTES = 256 * 1024 * 1024
"""Memory for all conversations, as estimated by `ChatMessage.bytes`."""

MAX_ERASED = 100_000
"""Users of whom it is remembered that they were erased; the oldest give way, whose records retention has removed."""

FORGOTTEN_AT_ONCE = 20
"""Conversations that are forgotten with one record, so that no record takes long."""

LOOKED_AT_AT_ONCE = 5_000
"""Conversations and messages that are looked at in one step; one that is forgotten is as much work as ten."""

MESSAGES = "messages"
"""What the ids of rows of former checkpoints end with that hold several messages."""

ERASED = 4
"""Columns of a row that says when a user was erased; those of former checkpoints have one less."""


class Change(NamedTuple):
    """What a record has changed: the conversation, and the message if it was about one."""

    conversation: Conversation
    message: ChatMessage | None = None


class Chats:
    """All conversations that are known. Everything follows from the records and their append times.

    What changes is noted in the `tracking`.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, tracking: Tracking | None = None) -> None:
        self._tracked = (tracking or Tracking()).table("chat")
        self._next_place = 0
        self.by_restaurant = Inboxes()
        self.by_guest = Inboxes()
        self.bytes = 0
        self.forgot = False
        """Whether conversations were forgotten to stay within `max_bytes`."""
        self._max_bytes = max_bytes
        # The one with the latest record comes last.
        self._conversations: dict[ConversationKey, Conversation] = {}
        # By user, where it was erased last: partition, offset and append time, and the place of that among all.
        self._erased: dict[str, tuple[int, int, int, int]] = {}
        self._original: Chats | None = None

    def __len__(self) -> int:
        return len(self._conversations)

    def draft(self) -> "Chats":
        """Return chats that know the same of every conversation, for one record that is not to change these.

        Inboxes of the draft hold what that record changes, and nothing else.
        """
        draft = Chats(self._max_bytes)
        draft._original, draft._erased, draft.forgot = self, dict(self._erased), self.forgot
        draft._next_place = self._next_place
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
        if isinstance(said, Said) and (forgotten := conversation.forget(at)):
            self._note(conversation, (), gone=forgotten)
        change = self._change(conversation, said, offset, at)
        if change is None:
            self.bytes += conversation.bytes - before if key in self._conversations else 0
            return None
        conversation.last_at, conversation.partition = at, partition
        conversation.place, self._next_place = self._next_place, self._next_place + 1
        self._conversations.pop(key, None)
        self._conversations[key] = conversation
        self._note(conversation, () if change.message is None else (change.message,))
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

    def _note(
        self, conversation: Conversation, messages: Iterable[ChatMessage], gone: Iterable[ChatMessage] = ()
    ) -> None:
        """Note that a conversation is as it is now, and so are these messages of it; others are gone."""
        if self._tracked.rows is None:
            return
        id = _id(conversation.key)
        self._tracked.note(id, _row(conversation))
        for message in messages:
            self._tracked.note(f"{id}:{message.id}", _message_row(message))
        for message in gone:
            self._tracked.note(f"{id}:{message.id}", None)

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
        self._note(conversation, conversation.clear(user))
        self.bytes += conversation.bytes - before

    def _erase(self, user: str, partition: int, offset: int, at: int) -> None:
        self._erased.pop(user, None)
        self._erased[user] = partition, offset, at, self._next_place
        self._next_place += 1
        self._tracked.note(f"erased:{user}", self._erased[user])
        if len(self._erased) > MAX_ERASED:
            oldest = next(iter(self._erased))
            del self._erased[oldest]
            self._tracked.note(f"erased:{oldest}", None)
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
        conversation = self._conversations.pop(key)
        self.bytes -= conversation.bytes
        if self._tracked.rows is not None:
            self._note(conversation, (), gone=conversation.messages.values())
            self._tracked.note(_id(key), None)
        self.by_restaurant.forget(key.restaurant, key)
        self.by_guest.forget(key.guest, key)

    def truncate(self, partition: int, next_offset: int) -> Iterator[None]:
        """Forget the messages whose records the log has lost, yielding after some; to be done before another record.

        Others have those offsets now, and retries must count.
        """
        looked_at = 0
        for conversation in list(self._conversations.values()):
            if conversation.partition == partition:
                lost = [each for each in conversation.messages.values() if each.offset >= next_offset]
                for message in lost:
                    del conversation.messages[message.id]
                    conversation.bytes -= message.bytes
                    self.bytes -= message.bytes
                if lost:
                    self._note(conversation, (), gone=lost)
                looked_at += len(conversation.messages) + 10 * len(lost)
            looked_at += 1
            if looked_at >= LOOKED_AT_AT_ONCE:
                looked_at = 0
                yield

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        while self._conversations:
            for _ in range(FORGOTTEN_AT_ONCE):
                if self._conversations:
                    self._forget(next(iter(self._conversations)))
            yield
        for user in self._erased:
            self._tracked.note(f"erased:{user}", None)
        self._erased.clear()
        self.forgot = False

    # What a checkpoint keeps

    def rows(self) -> Iterator[tuple[str, Any]]:
        """Yield what is known, in rows: their ids, and values that JSON can hold."""
        for user, place in self._erased.items():
            yield f"erased:{user}", place
        for key, known in self._conversations.items():
            yield _id(key), _row(known)
        for key, known in self._conversations.items():
            for message in known.messages.values():
                yield f"{_id(key)}:{message.id}", _message_row(message)

    def load(self, id: str, value: Any) -> None:
        """Take in a row. Raises `ValueError` if it is none."""
        try:
            first, second, *message = id.split(":", 2)
            if first == "erased":
                partition, offset, at, place = value if len(value) == ERASED else (*value, self._next_place)
                self._erased[second] = int(partition), int(offset), int(at), int(place)
                self._next_place = max(self._next_place, place + 1)
                return
            if message:
                known = self._conversations[ConversationKey(first, second)]
                self._load_messages(known, value if message == [MESSAGES] and type(value[0]) is list else [value])
                return
            partition, last_at, asked, marks, flags, *places = value
            key = ConversationKey(first, second)
            known = Conversation(
                key, partition, marks=ReadMarks(*marks), blocked=flags[0], answered=flags[1], asked=asked
            )
            known.forgot, known.last_at = flags[2], last_at
            [known.place] = places or [self._next_place]
            self._next_place = max(self._next_place, known.place + 1)
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


def _id(key: ConversationKey) -> str:
    return f"{key.restaurant}:{key.guest}"


def _row(known: Conversation) -> tuple[Any, ...]:
    marks = known.marks.guest, known.marks.restaurant
    flags = known.blocked, known.answered, known.forgot
    return known.partition, known.last_at, known.asked, marks, flags, known.place


def _message_row(message: ChatMessage) -> tuple[Any, ...]:
    return (
        message.id,
        message.side,
        message.author,
        message.text,
        message.attachments,
        message.reply_to,
        message.sent_at,
        message.digest.hex(),
        message.edited_at,
        message.deleted_by,
        message.offset,
    )


def _message(row: Any) -> ChatMessage:
    if type(row[1]) is int:  # as former checkpoints have it
        row = row[0], *row[2:], row[1]
    id, side, author, text, attachments, reply_to, sent_at, digest, edited_at, deleted_by, offset = row
    known = bytes.fromhex(digest)
    attached = tuple(attachments)
    return ChatMessage(id, offset, side, author, text, attached, reply_to, sent_at, known, edited_at, deleted_by)
