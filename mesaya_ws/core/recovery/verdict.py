"""What can be done for a client that comes back with a position: the verdicts of `Coverage.check`.

A position is a cut through the partitions that feed a channel. It is consistent with our history if this instance, too,
could have been there: then the client has received what was published before it, and lacks what was published after it.
The first row that applies decides:

    the position                                                  verdict                  the client gets
    cannot be read, or is of another channel                      invalid_position         a snapshot
    is in a topic that was recreated, or in a lost end of one     topic_recreated          a snapshot
    is beyond what has been taken here                            NotReached               an answer when it is reached
      and beyond the end of the log, as a refresh has shown       position_ahead           a snapshot
    is before what the window holds                               NeedsHistory             what it missed, from disk
      and the store does not hold that any more                   expired                  a snapshot
    is no consistent cut (see `reparenting`, `dependencies`)      inconsistent_position    a snapshot
    is any other                                                  Recoverable              what it missed, at once
"""

from enum import StrEnum

from attrs import frozen

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Cursor, Offsets


class Unrecoverable(StrEnum):
    """Why a client cannot get what it missed (`reason` beside `recovered: false`)."""

    INVALID_POSITION = "invalid_position"
    """The text is no position of this channel."""
    TOPIC_RECREATED = "topic_recreated"
    """A topic was deleted and created again since."""
    EXPIRED = "expired"
    """What followed it is not kept any more."""
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
    """What was published after `vector` has left the window; the state store may have it."""

    vector: Offsets


@frozen
class NotReached:
    """The place lies before this instance, which has not read as far as the offset `until` of `partition` yet."""

    vector: Offsets
    partition: Partition
    until: int

    def is_passed(self, cursor: Cursor) -> bool:
        """Return whether `cursor` has come so far that another check may say something else."""
        return cursor.next.get(self.partition, -1) >= self.until


def first_ahead(vector: Offsets, cursor: Cursor) -> tuple[Partition, int] | None:
    """Return where a position is beyond what `cursor` has taken, or None; so is any in a partition not known here."""
    known = cursor.next
    return next(
        ((partition, offset) for partition, offset in vector.items() if offset > known.get(partition, -1)), None
    )
