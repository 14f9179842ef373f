"""Whether a client that comes back with a position can be told exactly what it missed.

A position is a cut through the partitions that feed a channel. It is a clean cut here when this instance, too, could
have stood there: all that lies before it is known to have been told, all that lies behind it is still at hand.
"""

from enum import StrEnum

from attrs import frozen

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Cursor, Offsets


class Unrecoverable(StrEnum):
    """Why a client cannot be told what it missed (`reason` beside `recovered: false`)."""

    INVALID_POSITION = "invalid_position"
    """The text is no position of this channel."""
    TOPIC_RECREATED = "topic_recreated"
    """A topic was deleted and created again since."""
    EXPIRED = "expired"
    """What followed lies further back than is kept."""
    POSITION_AHEAD = "position_ahead"
    """The log ends before that place."""
    INCONSISTENT_POSITION = "inconsistent_position"
    """The client came from an instance that took records of several partitions in another order."""


@frozen
class Recoverable:
    """All that was published at or after `vector` is at hand, in the window."""

    vector: Offsets


@frozen
class NeedsHistory:
    """What was published after `vector` has left the window; the log may still have it."""

    vector: Offsets


@frozen
class NotReached:
    """The place lies before this instance, which has not read as far as the offset `until` of `partition` yet."""

    vector: Offsets
    partition: Partition
    until: int

    def is_passed(self, cursor: Cursor) -> bool:
        """Return whether `cursor` has come so far that judging again may say something else."""
        return cursor.next.get(self.partition, -1) >= self.until


def first_ahead(vector: Offsets, cursor: Cursor) -> tuple[Partition, int] | None:
    """Return where a place lies behind what `cursor` has taken, or None; a partition not known here is behind it."""
    known = cursor.next
    return next(
        ((partition, offset) for partition, offset in vector.items() if offset > known.get(partition, -1)), None
    )
