"""Which conversations may have been quiet for long: those of each hour, found by an index in the store.

A conversation is noted for an hour when its first record of that hour is read. Whoever takes those of an hour looks
whether there was one since: they are noted for a later hour, too.
"""

import struct
from collections.abc import Iterator

from mesaya_ws.core.interactions.chat_records import ConversationKey
from mesaya_ws.core.state.stored import MemberIds, MemberIndex, Stored

_TIME = struct.Struct(">Q")

HOUR = 60 * 60 * 1000
"""Milliseconds."""


class QuietConversations:
    """Conversations by the hours of their records' append times."""

    def __init__(self, stored: Stored, *, anew: bool = False) -> None:
        self.index = MemberIndex("chat/hour", stored, anew=anew)
        self._hours: set[int] | None = None
        # All hours before it have been taken.
        self._taken = 0
        self._due: list[MemberIds] = []

    def note(self, key: ConversationKey, former: int | None, at: int) -> None:
        """Note a conversation with a record at some time (ms), the `former` one of which was earlier, or None."""
        hour = at // HOUR
        if former is not None and former // HOUR >= hour:
            return
        # They lie in the order of the records: so those of a commit are written to a few pages.
        member = _TIME.pack(at) + f"{key.restaurant}:{key.guest}".encode()
        self.index.put(str(hour), member, belongs=True)
        self._taken = min(hour, self._taken)
        if self._hours is not None:
            self._hours.add(hour)

    def take(self, since: int) -> Iterator[ConversationKey]:
        """Take those of the hours before some time (ms), one after the other; each may have records since."""
        hour = since // HOUR
        if hour > self._taken:
            if self._hours is None:
                self._hours = set(map(int, self.index.parents()))
            past = sorted(each for each in self._hours if each < hour)
            self._hours.difference_update(past)
            self._due += [MemberIds(self.index, str(each), _TIME.size, removes=True) for each in past]
            self._taken = hour
        while self._due:
            while self._due[0]:
                restaurant, guest = self._due[0].pop().split(":")
                yield ConversationKey(restaurant, guest)
            del self._due[0]
