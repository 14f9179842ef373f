"""Read marks: up to where each side has read a conversation.

| record | what follows |
|---|---|
| `read` up to a place after the mark | the mark is there |
| `read` up to a place before the mark | nothing: marks only move forward |
| `read` up to a place after the record itself | it counts as the record's own place |
"""

from attrs import define

from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT


@define
class ReadMarks:
    """The offsets of the last records that either side has read; -1: it has read nothing."""

    guest: int = -1
    restaurant: int = -1

    def of(self, side: str) -> int:
        """Return the mark of a side."""
        return self.guest if side == GUEST else self.restaurant

    def move(self, side: str, up_to: int, offset: int) -> bool:
        """Move a side's mark, by the record at `offset`; return whether it has moved."""
        up_to = min(up_to, offset)
        if up_to <= self.of(side):
            return False
        if side == GUEST:
            self.guest = up_to
        else:
            self.restaurant = up_to
        return True


def other(side: str) -> str:
    """Return the other side."""
    return RESTAURANT if side == GUEST else GUEST
