"""All conversations, and how they are found: by restaurant and guest, in both inboxes, and when they were quiet."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from mesaya_ws.core.interactions.chat_capture import ChatCapture
from mesaya_ws.core.interactions.chat_inboxes import Inboxes
from mesaya_ws.core.interactions.chat_messages import ChatMessages
from mesaya_ws.core.interactions.chat_records import ConversationKey
from mesaya_ws.core.interactions.conversation import OVERHEAD, Conversation, conversation_in
from mesaya_ws.core.interactions.quiet_conversations import QuietConversations
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.stored_rows import StoredRows
from mesaya_ws.core.state.tracking import Tracking

CONVERSATIONS = "chat/conversation"
"""The table of the rows, by restaurant and guest."""

HOT = 5_000
"""Conversations in memory that are in the store as they are: some kB each, without their messages."""


class ConversationTable:
    """Conversations by their keys, with the table of their `messages`; in the store, if `stored` is given.

    Of those that are there as they are, so many are `hot`: in memory, too.
    """

    def __init__(
        self,
        tracking: Tracking,
        stored: Stored | None,
        *,
        anew: bool = False,
        original: "ConversationTable | None" = None,
        hot: int = HOT,
    ) -> None:
        self._is_on_disk = stored is not None
        self._is_draft = original is not None
        stored = stored or Stored()
        messages = None if original is None else original.messages
        self.messages: ChatMessages = ChatMessages(stored, tracking, anew=anew, under=messages)
        self._rows: StoredRows[Conversation] = StoredRows(
            CONVERSATIONS,
            stored,
            tracking.table(CONVERSATIONS),
            lambda name, row: conversation_in(_key(name), row, self.messages),
            Conversation.row,
            lambda _: OVERHEAD,
            anew=anew,
            under=None if original is None else original._rows,
            hot=hot,
        )
        self._by_restaurant = Inboxes("chat/restaurant", stored, anew=anew)
        self._by_guest = Inboxes("chat/guest", stored, anew=anew)
        self._quiet = QuietConversations(stored, anew=anew)

    @property
    def bytes(self) -> int:
        """About how much memory is taken by what is not only in the store."""
        return self._rows.size + self.messages.size

    def get(self, key: ConversationKey) -> Conversation | None:
        """Return a conversation."""
        known = self._rows.get(_id(key))
        if self._is_draft and known is not None and known.messages is not self.messages:
            known = known.copy(self.messages)
        return known

    def put(self, conversation: Conversation) -> None:
        """Keep a conversation as it is now."""
        self._rows.put(_id(conversation.key), conversation)

    def touch(self, conversation: Conversation, at: int, place: int) -> None:
        """Make a conversation the latest one, at a place among all, by a record that was appended `at` some time."""
        restaurant, guest = conversation.key
        former = conversation.place if conversation.last_at else None
        if self._is_on_disk:
            self._quiet.note(conversation.key, conversation.last_at or None, at)
        conversation.last_at, conversation.place = max(at, conversation.last_at), place
        self._by_restaurant.touch(restaurant, guest, former, place)
        self._by_guest.touch(guest, restaurant, former, place)
        self.put(conversation)

    def remove(self, conversation: Conversation) -> None:
        """Have a conversation nowhere; its messages are still there."""
        restaurant, guest = conversation.key
        self._rows.put(_id(conversation.key), None)
        self._by_restaurant.forget(restaurant, guest, conversation.place)
        self._by_guest.forget(guest, restaurant, conversation.place)

    def of_restaurant(self, restaurant: str) -> Iterator[ConversationKey]:
        """Iterate over the conversations of a restaurant, the latest first."""
        return (ConversationKey(restaurant, guest) for guest in self._by_restaurant.latest(restaurant))

    def of_guest(self, guest: str) -> Iterator[ConversationKey]:
        """Iterate over the conversations of a guest, the latest first."""
        return (ConversationKey(restaurant, guest) for restaurant in self._by_guest.latest(guest))

    def keys(self) -> Iterator[ConversationKey]:
        """Iterate over all, whatever changes meanwhile of others."""
        return map(_key, self._rows.ids())

    def take_quiet(self, since: int, since_of: Callable[[int], int], most: int) -> Iterator[Conversation]:
        """Take at most so many of those that had no record since some time (ms); none is taken twice.

        For those whose last record has another place, that time may be later: it is `since_of` the place.
        """
        for key in islice(self._quiet.take(since), most):
            known = self.get(key)
            if known is not None and known.last_at < since_of(known.place):
                yield known

    def oldest(self) -> Conversation | None:
        """Return the one in memory that was changed first; None if that is not found at once, or there is none."""
        return self._rows.oldest()

    def capture(self) -> ChatCapture:
        """Return what has changed, and is to be committed now, with the rows that were noted."""
        return ChatCapture(self._rows, self.messages, (self._by_restaurant, self._by_guest), self._quiet)

    def discard(self) -> Iterator[None]:
        """Let go of everything, for good, yielding after some of it."""
        yield from self._rows.discard()
        yield from self.messages.discard()

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Yield all rows."""
        yield from self._rows.rows()
        yield from self.messages.rows.rows()
        yield from self.messages.counts.rows.rows()


def _id(key: ConversationKey) -> str:
    return f"{key.restaurant}:{key.guest}"


def _key(id: str) -> ConversationKey:
    return ConversationKey(*id.split(":"))
