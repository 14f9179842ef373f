"""All conversations, as the records of their topic make them.

| record | what follows |
|---|---|
| of a conversation | see `conversation`; if it changes something, the conversation is the latest of its inboxes |
| `erased` | all that the user has said until then is forgotten, and the name is not shown beside it |
| any, at a time | what was said more than `KEPT` before it is forgotten, and conversations without a record since |
| any, more than `CLOCK_ERROR` earlier than one before it | the clock was wrong: see `chat_clock` |

They are in the state store (`conversation_table`), and in memory only from when they change until that is
committed. Without a store all are in memory, up to `max_bytes`: past that, those that were quiet for longest are
forgotten: their ids are of no use to a retry any more, and what is shown of them is incomplete.

What is forgotten is not known from then on; its rows are swept up later, a few with each record.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mesaya_ws.core.interactions.chat_capture import ChatCapture
from mesaya_ws.core.interactions.chat_clock import ChatClock
from mesaya_ws.core.interactions.chat_message import ChatMessage
from mesaya_ws.core.interactions.chat_messages import MESSAGES
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
from mesaya_ws.core.interactions.chat_sweeping import SWEEPING, SWEPT_AT_ONCE, Sweeping
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.conversation_table import CONVERSATIONS, HOT, ConversationTable
from mesaya_ws.core.interactions.erased_users import ERASED, ErasedUsers
from mesaya_ws.core.interactions.message_counts import COUNTS
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.tracking import Tracked, Tracking

MAX_BYTES = 256 * 1024 * 1024
"""Memory for what the store does not have, as estimated by `ChatMessage.bytes`."""

LOOKED_AT_AT_ONCE = 100
"""Conversations and messages that are looked at in one step after the log has lost its end."""

CLOCK = "chat/clock"
"""The table of one row: the time, what is given out next, and where time has gone back."""

ON_DISK = frozenset({CONVERSATIONS, MESSAGES, COUNTS})
"""Tables whose rows are read when they are needed."""

TABLES = frozenset({*ON_DISK, ERASED, SWEEPING, CLOCK})
"""All tables of chat. Checkpoints have none of them: what they say is in the topic for as long as it counts."""


class Change(NamedTuple):
    """What a record has changed: the conversation, and the message if it was about one."""

    conversation: Conversation
    message: ChatMessage | None = None


class Chats:
    """All conversations that are known. Everything follows from the records and their append times.

    What changes is noted in the `tracking`. With `stored` they are in the state store, and begin with what that has,
    unless they are `anew`. With a record, so many rows of what is forgotten are swept up `at_once`; so
    many conversations are `hot` (see `conversation_table`).
    """

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        tracking: Tracking | None = None,
        stored: Stored | None = None,
        *,
        anew: bool = False,
        original: "Chats | None" = None,
        at_once: int = SWEPT_AT_ONCE,
        hot: int = HOT,
    ) -> None:
        self._tracking = tracking = tracking or Tracking()
        self._stored = stored
        self._max_bytes = max_bytes
        self._original = original
        self._at_once = at_once
        table = None if original is None else original.conversations
        self.conversations: ConversationTable = ConversationTable(tracking, stored, anew=anew, original=table, hot=hot)
        self.forgot = False
        """Whether conversations were forgotten to stay within `max_bytes`."""
        self.erased = ErasedUsers(tracking.table(ERASED))
        self._sweeping = Sweeping(self.conversations.messages, tracking.table(SWEEPING))
        self._tracked_clock = tracking.table(CLOCK)
        self._clock = ChatClock()
        self.next_place = 0
        """What is given out next."""
        self.pending: list[Iterator[None]] = []
        """What is still to be done of the last record, in steps, before another one."""

    @property
    def bytes(self) -> int:
        """About how much memory is taken by what is not only in the store."""
        return self.conversations.bytes

    def draft(self) -> "Chats":
        """Return chats that know the same of every conversation, for one record that is not to change these.

        Inboxes of the draft hold what that record changes, and nothing else.
        """
        draft = Chats(self._max_bytes, original=self)
        draft.erased, draft.forgot = self.erased.draft(Tracked()), self.forgot
        draft._clock, draft.next_place = self._clock.copy(), self.next_place
        return draft

    def get(self, key: ConversationKey) -> Conversation | None:
        """Return what is known of a conversation."""
        known = self.conversations.get(key)
        if known is None or known.last_at < (since := self._clock.since(known.place)):
            return None
        known.forget(since)
        return known

    def apply(self, said: ChatRecord, partition: int, offset: int, at: int) -> Change | None:
        """Apply a record that was appended `at` some time (ms); return what it has changed, None if nothing.

        An erasure changes many conversations: what is `pending` then is to be done before another record.
        """
        if self._clock.set(at, self.next_place):
            self._note_clock()
        if isinstance(said, Erased):
            self._erase(said.user, partition, offset, at)
            return None
        key = said.conversation
        conversation = self.get(key)
        if conversation is None:
            if not isinstance(said, Said | Blocked):
                return None
            if (former := self.conversations.get(key)) is not None:
                self._forget(former)
            conversation = Conversation(key, self.next_place, partition, self.conversations.messages)
        change = self._change(conversation, said, offset, at)
        if change is not None:
            conversation.partition = partition
            self._sweep_later(conversation)
            self.conversations.touch(conversation, at, self.next_place)
            self.next_place += 1
            self._note_clock()
        self._tidy(conversation)
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
                return Change(conversation) if isinstance(said, Blocked) and conversation.block(said, at) else None
        return None if message is None else Change(conversation, message)

    def _sweep_later(self, conversation: Conversation) -> None:
        """Have rows swept up of what a conversation has forgotten."""
        if conversation.swept < conversation.first:
            self._sweeping.add(conversation.number, conversation.swept, conversation.first)
            conversation.swept = conversation.first

    def _keep(self, conversation: Conversation) -> None:
        """Keep a conversation as it is now."""
        self._sweep_later(conversation)
        self.conversations.put(conversation)

    def _note_clock(self) -> None:
        self._tracked_clock.note("", self._clock_row())

    def _clock_row(self) -> list[int]:
        return [self._clock.now, self.next_place, *self._clock.row()]

    # What is known of users

    def _erase(self, user: str, partition: int, offset: int, at: int) -> None:
        self.erased.add(user, partition, offset, at, self.next_place)
        self.next_place += 1
        self._note_clock()
        if self._original is None:
            self.pending.append(self._clear(user))

    def _clear(self, user: str) -> Iterator[None]:
        """Forget what a guest has said, yielding after some of it."""
        unknown = []
        for key in self.conversations.of_guest(user):
            conversation = self.get(key)
            if conversation is None:
                unknown.append(key)
            else:
                yield from conversation.clear(user)
                self._keep(conversation)
            yield
        # Their rows go with those of others that are swept up.
        for key in unknown:
            if (former := self.conversations.get(key)) is not None:
                self._forget(former)
            yield

    def finish(self) -> Iterator[None]:
        """Do what is `pending`, yielding often."""
        while self.pending:
            yield from self.pending[0]
            del self.pending[0]

    # What is forgotten

    def _tidy(self, latest: Conversation) -> None:
        """Forget conversations that are quiet for too long, or too much, and sweep up after them, a few at a time."""
        if self._original is not None:
            return
        rows, since = self._at_once, self._clock.since(self.next_place)
        conversations = 1 + rows // 10  # each is as much work as ten rows
        for known in self.conversations.take_quiet(since, self._clock.since, conversations):
            self._forget(known)
        for _ in range(conversations):
            oldest = self.conversations.oldest()
            is_too_much = self.bytes > self._max_bytes and not self._sweeping
            if oldest is None or not (is_too_much or oldest.last_at < since):
                break
            self.forgot = self.forgot or is_too_much
            if oldest is latest:
                oldest.forget_first(min(self._at_once, oldest.next - oldest.first - 1))
                self._keep(oldest)
            else:
                self._forget(oldest)
            rows = self._sweeping.sweep(rows)
        self._sweeping.sweep(rows)

    def _forget(self, conversation: Conversation) -> None:
        self.conversations.remove(conversation)
        self._sweeping.add(conversation.number, conversation.swept, conversation.next)

    def truncate(self, partition: int, next_offset: int) -> Iterator[None]:
        """Forget the messages whose records the log has lost, yielding after some; to be done before another record.

        Others have those offsets now, and retries must count.
        """
        looked_at = 0
        for key in self.conversations.keys():  # noqa: SIM118 - no mapping
            conversation = self.get(key)
            looked_at += 1
            while conversation is not None and conversation.partition == partition:
                lost = conversation.truncate(next_offset, LOOKED_AT_AT_ONCE)
                if lost is None:
                    break
                # As it is now: others may look it up before the next step.
                self._keep(conversation)
                looked_at += lost
                if looked_at >= LOOKED_AT_AT_ONCE:
                    looked_at = 0
                    yield
            if looked_at >= LOOKED_AT_AT_ONCE:
                looked_at = 0
                yield

    def anew(self) -> "Chats":
        """Return chats that know nothing, in the place of these, which are to be discarded."""
        return Chats(self._max_bytes, self._tracking, self._stored, anew=True)

    def discard(self) -> Iterator[None]:
        """Let go of everything, for good, yielding after some of it."""
        yield from self.conversations.discard()
        yield from self.erased.discard()
        yield from self._sweeping.discard()
        self._tracked_clock.note("", None)

    # What the store keeps

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield what is known, in rows: tables, ids, and values that JSON can hold."""
        if self._clock.now:
            yield CLOCK, "", self._clock_row()
        yield from self.erased.rows()
        yield from self._sweeping.rows()
        yield from self.conversations.rows()

    def load(self, table: str, id: str, value: Any) -> None:
        """Take in a row of a table that is not `ON_DISK`. Raises `ValueError` or `TypeError` if it is none."""
        if table == CLOCK:
            now, self.next_place, *returns = map(int, value)
            self._clock.load(now, returns)
        elif table in (ERASED, SWEEPING):
            (self.erased if table == ERASED else self._sweeping).load(id, value)
        else:
            raise ValueError(f"{table} is read when it is needed")

    def capture(self) -> ChatCapture:
        """Return what has changed of what is on disk, and is to be committed now, with the rows that were noted."""
        return self.conversations.capture()
