"""Whether a client that comes back with a position can be told exactly what it missed.

A position is a cut through the partitions that feed a channel. It is a clean cut here when this instance, too, could
have stood there: all that lies before it is known to have been told, all that lies behind it is still at hand.
"""

from collections import deque
from enum import StrEnum

from attrs import frozen

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.event_log import Partition, topic_of
from mesaya_ws.core.position import BadPositionError, Cursor, ReplacedTopicError, Vector
from mesaya_ws.core.window import Window

REMEMBERED = 100_000
"""Changes of parentage that are remembered; positions older than the oldest are older than any sensible window."""

_DEPENDENT = frozenset(map(topic_of, ("tables", "section-objects", "objects")))


class Lost(StrEnum):
    """Why a client cannot be told what it missed (`reason` beside `recovered: false`)."""

    DAMAGED = "damaged"
    """The text is no position of this channel."""
    REPLACED = "replaced"
    """A topic was deleted and created again since."""
    EXPIRED = "expired"
    """What followed lies further back than is kept."""
    AHEAD = "ahead"
    """The log ends before that place."""
    UNSURE = "unsure"
    """The client came from an instance that took records of several partitions in another order."""


@frozen
class Missed:
    """All that was published at or after `vector` is at hand, in the window."""

    vector: Vector


@frozen
class Earlier:
    """What was published after `vector` has left the window; the log may still have it."""

    vector: Vector


@frozen
class Ahead:
    """The place lies before this instance, which has not read as far as the offset `until` of `partition` yet."""

    vector: Vector
    partition: Partition
    until: int

    def is_passed(self, cursor: Cursor) -> bool:
        """Return whether `cursor` has come so far that judging again may say something else."""
        return cursor.next.get(self.partition, -1) >= self.until


@frozen
class _Reparenting:
    partition: Partition
    offset: int
    cut: Vector


class Parentage:
    """When sections of a restaurant came, moved or went, and what had been taken of dependent partitions by then."""

    def __init__(self) -> None:
        self._changes: dict[str, list[_Reparenting]] = {}
        self._order: deque[str] = deque()

    def changed(self, restaurant: str, partition: Partition, offset: int, cursor: Cursor) -> None:
        """Note that the record at `offset` of `partition` changed what belongs to `restaurant`."""
        cut = {known: next_ for known, next_ in cursor.next.items() if known.topic in _DEPENDENT}
        self._changes.setdefault(restaurant, []).append(_Reparenting(partition, offset, cut))
        self._order.append(restaurant)
        if len(self._order) > REMEMBERED:
            oldest = self._order.popleft()
            self._changes[oldest].pop(0)
            if not self._changes[oldest]:
                del self._changes[oldest]

    def clean(self, channel: Channel, vector: Vector) -> bool:
        """Return whether `vector` lies wholly before or wholly after every change of the channel's restaurant."""
        if channel.kind.name != "tables" or channel.subject is None:
            return True
        return all(
            all(vector.get(known, 0) >= taken for known, taken in change.cut.items())
            if vector.get(change.partition, 0) > change.offset
            else all(vector.get(known, 0) <= taken for known, taken in change.cut.items())
            for change in self._changes.get(channel.subject, ())
        )


def judge(
    text: str, channel: Channel, cursor: Cursor, window: Window, parentage: Parentage
) -> Missed | Earlier | Ahead | Lost:
    """Say what can be done for a client that was at the position `text` of `channel`."""
    try:
        vector = cursor.read(text, channel)
    except BadPositionError:
        return Lost.DAMAGED
    except ReplacedTopicError:
        return Lost.REPLACED
    if ahead := first_ahead(vector, cursor):
        return Ahead(vector, *ahead)
    if not window.holds((known for known in cursor.next if known.topic in channel.kind.topics), vector):
        return Earlier(vector)
    return Missed(vector) if parentage.clean(channel, vector) else Lost.UNSURE


def first_ahead(vector: Vector, cursor: Cursor) -> tuple[Partition, int] | None:
    """Return where a place lies behind what `cursor` has taken, or None; a partition not known here is behind it."""
    known = cursor.next
    return next(
        ((partition, offset) for partition, offset in vector.items() if offset > known.get(partition, -1)), None
    )
