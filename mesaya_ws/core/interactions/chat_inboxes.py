"""Inboxes of chat: the conversations of one restaurant, or of one guest, the one with the latest record last.

| what happens | what follows |
|---|---|
| a record changes a conversation | it is the last of both of its inboxes |
| a conversation is forgotten | it is in none |

In memory is what has changed since the last commit. The store has an index of the rest, sorted by the places of the
conversations, from which the latest ones are read without looking at the others.
"""

import struct
from collections.abc import Iterator, Mapping
from itertools import islice

from mesaya_ws.core.state.interface import StateView
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.stored_rows import let_go

PAGE = 100
"""Conversations that are read of an inbox in one go."""

_PLACE = struct.Struct(">Q")
_LAST = (1 << 64) - 1

Moved = dict[str, tuple[int | None, int | None]]
"""By conversation, its place before, as the store has it, and now; None where it is not there."""


class Inboxes:
    """The inboxes of all restaurants, or those of all guests, by their ids; of each, whom its conversations are with.

    `name` is that of their index. What is `anew` begins without what the store has of it.
    """

    def __init__(self, name: str, stored: Stored, *, anew: bool = False) -> None:
        self.name = name
        self.anew = anew
        self._stored = stored
        # Of each inbox, the conversation that moved last comes last.
        self._recent: dict[str, Moved] = {}
        self._flushing: dict[str, Moved] = {}

    @property
    def _view(self) -> StateView | None:
        return None if self.anew else self._stored.view

    def touch(self, owner: str, whom: str, former: int | None, place: int) -> None:
        """Make a conversation the latest one of an inbox, whose place has been the `former` one, None if it is new."""
        moved = self._recent.setdefault(owner, {})
        before = moved.pop(whom)[0] if whom in moved else former
        moved[whom] = before, place

    def forget(self, owner: str, whom: str, former: int) -> None:
        """Take a conversation out of an inbox, where its place has been the `former` one."""
        moved = self._recent.setdefault(owner, {})
        before = moved.pop(whom)[0] if whom in moved else former
        if before is not None and (self._view is not None or self._flushing):
            moved[whom] = before, None
        elif not moved:
            del self._recent[owner]

    def latest(self, owner: str) -> Iterator[str]:
        """Iterate over an inbox, the latest conversation first: with whom each is."""
        recent, flushing = self._recent.get(owner, {}), self._flushing.get(owner, {})
        yield from (whom for whom in reversed(recent) if recent[whom][1] is not None)
        yield from (whom for whom in reversed(flushing) if whom not in recent and flushing[whom][1] is not None)
        start = b""
        while (view := self._view) is not None:
            page = list(islice(view.members(self.name, owner, start), PAGE))
            for member in page:
                whom = member[_PLACE.size :].decode()
                if whom not in recent and whom not in flushing:
                    yield whom
            if len(page) < PAGE:
                break
            start = page[-1] + b"\0"

    def capture(self) -> None:
        """Take note that what has changed is about to be committed; see `StoredRows`."""
        recent, self._recent = self._recent, {}
        if not self._flushing:
            self._flushing = recent
            return
        for owner, moved in recent.items():
            flushing = self._flushing.setdefault(owner, {})
            for whom, (former, place) in moved.items():
                flushing[whom] = flushing.pop(whom)[0] if whom in flushing else former, place

    def members(self) -> Mapping[str, Mapping[bytes, bool]]:
        """Return what is to be committed of the index; any thread may ask, until it is committed."""
        return {owner: _members(moved) for owner, moved in self._flushing.items()}

    def committed(self) -> Iterator[None]:
        """Take note that what was captured has been committed, and the store's view is of that; yields after some."""
        self.anew = False
        flushed, self._flushing = self._flushing, {}
        yield from let_go(flushed)


def _members(moved: Moved) -> dict[bytes, bool]:
    members = {}
    for whom, places in moved.items():
        for place, belongs in zip(places, (False, True), strict=True):
            if place is not None:
                # The latest one is the first.
                members[_PLACE.pack(_LAST - place) + whom.encode()] = belongs
    return members
