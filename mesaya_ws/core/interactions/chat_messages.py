"""The messages of all conversations: a row of each by its number in the conversation, and how it is found by its id.

The index of the ids has, for each conversation, short digests of the ids with the numbers: some twenty bytes for each
message, and those of a conversation lie together.
"""

import struct
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from mesaya_ws.core.interactions.chat_message import ChatMessage, message_in, message_row
from mesaya_ws.core.interactions.chat_records import GUEST
from mesaya_ws.core.interactions.message_counts import COUNTS, Count, MessageCounts
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.stored_rows import StoredRows, let_go
from mesaya_ws.core.state.tracking import Tracking

MESSAGES = "chat/message"
"""The table of the rows."""

IDS = "chat/id"
"""The index of the ids, by conversation."""

_NUMBER = struct.Struct(">I")
_DIGEST = 8


class ChatMessages:
    """Messages by the number of their conversation, and their own number in it, and their `counts`."""

    def __init__(
        self, stored: Stored, tracking: Tracking, *, anew: bool = False, under: "ChatMessages | None" = None
    ) -> None:
        self.rows: StoredRows[ChatMessage] = StoredRows(
            MESSAGES,
            stored,
            tracking.table(MESSAGES),
            lambda _, row: message_in(row),
            message_row,
            lambda message: message.bytes,
            anew=anew,
            under=None if under is None else under.rows,
        )
        counts = None if under is None else under.counts
        self.counts: MessageCounts = MessageCounts(stored, tracking.table(COUNTS), self._count, anew=anew, under=counts)
        self._under = under
        self._stored = stored
        # By conversation and id, the numbers of those that the store does not have yet.
        self._recent: dict[tuple[int, str], int] = {}
        self._flushing: dict[tuple[int, str], int] = {}
        # By conversation, the members of the index that do not belong there any more.
        self._gone: dict[str, dict[bytes, bool]] = {}
        self._flushing_gone: dict[str, dict[bytes, bool]] = {}

    def get(self, conversation: int, number: int) -> ChatMessage:
        """Return a message that is there. Raises `CorruptStateError` if it is not."""
        message = self.rows.get(_id(conversation, number))
        if message is None:
            raise self._stored.corrupt("The state does not have a message that it should.")
        return message

    def _count(self, conversation: int, number: int) -> Count:
        message = self.get(conversation, number)
        if message.deleted_by is not None:
            return Count()
        return Count(guest=1) if message.side == GUEST else Count(restaurant=1)

    def find(self, conversation: int, id: str, numbers: range) -> tuple[int, ChatMessage] | None:
        """Return the message with an id, and its number, if that is one of the `numbers`."""
        for number in self._candidates(conversation, id):
            if number in numbers:
                message = self.rows.get(_id(conversation, number))
                if message is not None and message.id == id:
                    return number, message
        return None

    def _candidates(self, conversation: int, id: str) -> Iterator[int]:
        """Yield numbers of which one may be that of the message with an id."""
        for known in (self._recent, self._flushing):
            if (number := known.get((conversation, id))) is not None:
                yield number
        if self._under is not None:
            yield from self._under._candidates(conversation, id)
        elif (view := self.rows.view) is not None:
            digest = _digest(id)
            for member in view.members(IDS, _parent(conversation), digest):
                if not member.startswith(digest):
                    break
                yield _NUMBER.unpack_from(member, _DIGEST)[0]

    @property
    def size(self) -> int:
        """About how much memory is taken by what is not only in the store."""
        return self.rows.size + self.counts.rows.size

    def add(self, conversation: int, number: int, message: ChatMessage, first: int) -> None:
        """Take in a new message of a conversation whose `first` number is known."""
        self.put(conversation, number, message)
        self.counts.added(conversation, number, first)
        self._recent[conversation, message.id] = number
        if self._gone:
            self._gone.get(_parent(conversation), {}).pop(_member(message.id, number), None)

    def put(self, conversation: int, number: int, message: ChatMessage) -> None:
        """Take in a message as it stands now."""
        self.rows.put(_id(conversation, number), message)

    def remove(self, conversation: int, number: int) -> None:
        """Forget a message, if it is there."""
        name = _id(conversation, number)
        message = self.rows.get(name)
        if message is None:
            return
        self.rows.put(name, None)
        self.counts.removed(conversation, number)
        key = conversation, message.id
        if self._recent.get(key) == number:
            del self._recent[key]
        if self.rows.view is not None or self._flushing:
            self._gone.setdefault(_parent(conversation), {})[_member(message.id, number)] = False

    def capture(self) -> None:
        """Take note that what has changed is about to be committed; see `StoredRows`."""
        self.rows.capture()
        self.counts.rows.capture()
        if self._flushing:
            # The last commit has failed, and some may have been removed since.
            both = {**self._flushing, **self._recent}.items()
            self._flushing = {key: number for key, number in both if self.rows.get(_id(key[0], number)) is not None}
        else:
            self._flushing = self._recent
        for parent, members in self._gone.items():
            self._flushing_gone.setdefault(parent, {}).update(members)
        self._recent, self._gone = {}, {}

    def members(self) -> Mapping[str, Mapping[bytes, bool]]:
        """Return what is to be committed of the index; any thread may ask, until it is committed."""
        changed = {parent: dict(members) for parent, members in self._flushing_gone.items()}
        for (conversation, id), number in self._flushing.items():
            changed.setdefault(_parent(conversation), {})[_member(id, number)] = True
        return changed

    def committed(self) -> Iterator[None]:
        """Take note that what was captured has been committed; yields after some of it."""
        yield from self.rows.committed()
        yield from self.counts.rows.committed()
        self._flushing_gone = {}
        yield from let_go(self._flushing)

    def discard(self) -> Iterator[None]:
        """Forget what is in memory, for good, yielding after some of it; what the store has is to be emptied."""
        yield from self.rows.discard()
        yield from self.counts.rows.discard()
        yield from let_go(self._recent)
        yield from let_go(self._flushing)


def _id(conversation: int, number: int) -> str:
    # Those of a conversation lie together, in their order.
    return f"{conversation:010x}{number:08x}"


def _parent(conversation: int) -> str:
    return f"{conversation:x}"


def _digest(id: str) -> bytes:
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


def _member(id: str, number: int) -> bytes:
    return _digest(id) + _NUMBER.pack(number)
