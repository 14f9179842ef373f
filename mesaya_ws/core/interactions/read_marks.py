"""Read marks: up to where each side has read a conversation, and how many messages of the other side come after.

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
    """The offsets of the last records that either side has read, -1: it has read nothing; and what it has not read.

    Deleted messages are nothing to be read.
    """

    guest: int = -1
    restaurant: int = -1
    guest_unread: int = 0
    restaurant_unread: int = 0

    def of(self, side: str) -> int:
        """Return the mark of a side."""
        return self.guest if side == GUEST else self.restaurant

    def unread(self, side: str) -> int:
        """Return how many messages a side has not read."""
        return self.guest_unread if side == GUEST else self.restaurant_unread

    def add_unread(self, side: str, count: int) -> None:
        """Count more messages that a side has not read, or fewer."""
        if side == GUEST:
            self.guest_unread += count
        else:
            self.restaurant_unread += count

    def move(self, side: str, up_to: int, offset: int) -> bool:
        """Move a side's mark, by the record at `offset`; return whether it has moved. To count is the caller's."""
        up_to = min(up_to, offset)
        if up_to <= self.of(side):
            return False
        if side == GUEST:
            self.guest = up_to
        else:
            self.restaurant = up_to
        return True

    def move_back(self, next_offset: int) -> bool:
        """Take marks back to the end of a partition that has lost what came after it; return whether any was there."""
        former = self.guest, self.restaurant
        self.guest, self.restaurant = min(self.guest, next_offset - 1), min(self.restaurant, next_offset - 1)
        return former != (self.guest, self.restaurant)


def other(side: str) -> str:
    """Return the other side."""
    return RESTAURANT if side == GUEST else GUEST
