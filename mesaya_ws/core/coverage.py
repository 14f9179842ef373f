"""What this instance covers of the log: how far it has taken it, and how much of what it made of that is at hand.

From this follows what can be done for a client that comes with a place in the log.
"""

from collections.abc import Collection, Mapping

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.checkpoint import Cut
from mesaya_ws.core.event_log import Extent, Gap, Partition
from mesaya_ws.core.position import BadPositionError, Cursor, ReplacedTopicError, Vector
from mesaya_ws.core.resume import Ahead, Earlier, Lost, Missed, Parentage, first_ahead
from mesaya_ws.core.window import Window


class Coverage:
    """What of the log has been taken, up to `cursor`, and how much of what was published then is in `window`.

    `looks` counts how often the whole log was looked at. Of the topics `unread`, the first records were gone before
    they could be read.
    """

    def __init__(self, cursor: Cursor, window: Window) -> None:
        self._cursor = cursor
        self._window = window
        self.looks = 0
        self.unread: set[str] = set()
        self._extents: Mapping[Partition, Extent] = {}
        self._parentage = Parentage()

    def begin(self, cut: Cut) -> None:
        """Begin at `cut`, though nothing is at hand of what was published before it."""
        self._cursor.found({partition: Extent(next, next, id) for partition, (id, next) in cut.places.items()})
        for partition, place in cut.places.items():
            self._window.raise_floor(partition, place.next)
        self.unread = set(cut.unread)

    def cut(self, time: int) -> Cut:
        """Return the place up to which all has been taken, the last record of it at `time` (ms since the epoch)."""
        return Cut(self._cursor.places(), time, frozenset(self.unread))

    def looked(self, extents: Mapping[Partition, Extent]) -> None:
        """Take note of what the whole log holds now."""
        for partition, extent in extents.items():
            if partition not in self._cursor.next:
                self._window.raise_floor(partition, extent.begin)
                if extent.begin:
                    self.unread.add(partition.topic)
        self._cursor.found(extents)
        self._extents = extents
        self.looks += 1

    def skip(self, gap: Gap) -> None:
        """Go on behind records that were gone before they could be taken."""
        self._window.tear(gap.partition, gap.next)
        self._cursor.advance(gap.partition, gap.next)
        self.unread.add(gap.partition.topic)

    def replaced(self, topic: str, topic_id: str) -> None:
        """Start anew with a topic that was created again."""
        for partition in [known for known in self._cursor.next if known.topic == topic]:
            self._window.forget(partition)
        self._cursor.replaced(topic, topic_id)
        self._parentage.replaced(topic, self._cursor)

    def reparented(self, channel: Channel, partition: Partition) -> None:
        """Take note that the record of `partition` which was taken last changed what belongs to `channel`."""
        self._parentage.changed(channel, partition, self._cursor)

    def judge(self, channel: Channel, position: str) -> Missed | Earlier | Ahead | Lost:
        """Say what can be done for a client that was at `position` of `channel` (see `resume`)."""
        try:
            vector = self._cursor.read(position, channel)
        except BadPositionError:
            return Lost.DAMAGED
        except ReplacedTopicError:
            return Lost.REPLACED
        if ahead := first_ahead(vector, self._cursor):
            return Ahead(vector, *ahead)
        if not self.is_at_hand(channel, vector):
            return Earlier(vector)
        return Missed(vector) if self._parentage.clean(channel, vector) else Lost.UNSURE

    def is_at_hand(self, channel: Channel, vector: Vector) -> bool:
        """Return whether all is at hand that was published after `vector` on `channel`."""
        feeding = (known for known in self._cursor.next if known.topic in channel.kind.topics)
        return self._window.holds(feeding, vector)

    def holds(self, channel: Channel, vector: Vector) -> bool:
        """Return whether `vector` is a clean cut of `channel`, and all that was published after it is at hand."""
        return self.is_at_hand(channel, vector) and self._parentage.clean(channel, vector)

    def reaches(self, vector: Vector) -> bool:
        """Return whether the log, when it was last looked at, reached as far as `vector`."""
        return all(offset <= self._end(partition) for partition, offset in vector.items())

    def reaches_back(self, channel: Channel, vector: Vector) -> bool:
        """Return whether the log, when it was last looked at, still held all that came after `vector` on `channel`."""
        return all(
            vector.get(partition, 0) >= extent.begin
            for partition, extent in self._extents.items()
            if partition.topic in channel.kind.topics
        )

    def has_all_of(self, topics: Collection[str]) -> bool:
        """Return whether nothing of `topics` was gone before it could be taken."""
        return self.unread.isdisjoint(topics)

    def _end(self, partition: Partition) -> int:
        return self._extents[partition].end if partition in self._extents else -1
