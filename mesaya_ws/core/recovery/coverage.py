"""What this instance covers of the log: how far it has taken it, and how much of what it made of that is at hand.

From this follows what can be done for a client that comes with a place in the log.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain

from attrs import evolve, frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.log.trouble import Hindrance, Parts, Trouble, of_kind
from mesaya_ws.core.recovery.dependencies import Dependencies
from mesaya_ws.core.recovery.history import History
from mesaya_ws.core.recovery.position import BadPositionError, Cursor, Offsets, ReplacedTopicError
from mesaya_ws.core.recovery.reparenting import Reparentings
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable, first_ahead
from mesaya_ws.core.recovery.window import Window


@frozen
class Cut:
    """A place in the log, in all of its partitions, and how one came there.

    The log had reached the time `time` there (ms since the epoch); of the topics `unread`, the first records were
    gone before they could be read.
    """

    places: Mapping[Partition, PartitionPosition]
    time: int
    unread: frozenset[str]

    def with_gaps(self, extents: Mapping[Partition, OffsetRange]) -> "Cut":
        """Return the same for one who begins here now: records after it may be gone from a log that holds `extents`."""
        overtaken = {
            at.topic for at, (_, next_, _) in self.places.items() if at in extents and extents[at].begin > next_
        }
        return evolve(self, unread=self.unread | overtaken)

    def without(self, topics: Collection[str]) -> "Cut":
        """Return the same for one who knows nothing of some topics."""
        places = {at: place for at, place in self.places.items() if at.topic not in topics}
        return evolve(self, places=places, unread=self.unread.difference(topics))

    def says_more_than(self, other: "Cut") -> bool:
        """Return whether more is known here: topics have been read in full of which the other one has missed some.

        Where neither or both can say that: whether more has been read, all partitions together; what was created again
        is new.
        """
        missed, missed_there = self._missed_unlike(other), other._missed_unlike(self)
        if missed != missed_there:
            return missed_there
        return (
            sum(
                next_ - (other.places[at].next if at in other.places and other.places[at].topic_id == id else -1)
                for at, (id, next_, _) in self.places.items()
            )
            > 0
        )

    def _missed_unlike(self, other: "Cut") -> bool:
        """Return whether some was missed here of a topic that the other one has read in full."""
        return any(at.topic in self.unread for at in other.places if at.topic not in other.unread)


class Coverage:
    """What of the log has been taken, up to `cursor`, and how much of what was published then is in `window`.

    `refreshes` counts how often the metadata of the whole log came. Of the topics `unread`, the first records were gone
    before they could be read. `unseen` is what exists, but could not be read at the last refresh. `has_read_lost` says
    that records have been taken which are no more, so that more may be known than the log says. A `history` takes
    note of all that ends or breaks it.
    """

    def __init__(self, cursor: Cursor, window: Window, history: History | None = None) -> None:
        self.cursor = cursor
        self.window = window
        self.refreshes = 0
        self.has_read_lost = False
        self.unread: set[str] = set()
        self.unseen = Parts()
        self._extents: Mapping[Partition, OffsetRange] = {}
        # What the log may still show at another time; what it will not; and the topics of which it withholds some.
        self._unknown = self._refused = Parts()
        self._withheld: set[str] = set()
        self.history = history
        # Where it began: what was published before that on channels with a history is in the store alone.
        self._begun: dict[Partition, int] = {}
        self.reparentings = Reparentings()
        self.dependencies = Dependencies(window) if history is None else Dependencies(history, sink=history)

    def begin(self, cut: Cut, window: Offsets | None = None) -> None:
        """Begin at `cut`, though nothing is at hand of what was published before it.

        Unless `window` says from where on the window will have all that was published on channels without a history.
        """
        self.cursor.begin(cut.places)
        self._begun = {partition: place.next for partition, place in cut.places.items()}
        for partition, next_offset in self._begun.items():
            self.raise_floor(partition, next_offset if window is None else window.get(partition, next_offset))
        self.unread = set(cut.unread)

    def raise_floor(self, partition: Partition, offset: int) -> None:
        """Promise nothing of `partition` before `offset`: not all of it could be published."""
        self.window.raise_floor(partition, offset)
        if self.history is not None:
            self.history.raise_floor(partition, offset)

    def cut(self, time: int) -> Cut:
        """Return the place up to which all has been taken, where the log has reached `time` (ms since the epoch)."""
        return Cut(self.cursor.places(), time, frozenset(self.unread))

    def refreshed(self, extents: Mapping[Partition, OffsetRange], troubles: Sequence[Trouble] = ()) -> None:
        """Take note of what the whole log holds now, and of what could not be seen: that is as it was."""
        for partition, extent in extents.items():
            if not self.cursor.has_found(partition):
                self.raise_floor(partition, extent.begin)
                if extent.begin:
                    self.unread.add(partition.topic)
        self.cursor.found(extents)
        unknown = of_kind(troubles, Hindrance.UNKNOWN)
        self.unseen = Parts(each for each in unknown if (each.topic, each.number) not in extents)
        self._unknown, self._refused = Parts(unknown), Parts(of_kind(troubles, Hindrance.REFUSED))
        self._withheld = self._topics_withheld(troubles)
        seen_before = {
            partition: extent
            for partition, extent in self._extents.items()
            if partition in self._unknown or partition in self._refused
        }
        self._extents = {**seen_before, **extents}
        self.refreshes += 1

    def skip(self, gap: Gap) -> None:
        """Go on after records that were gone before they could be taken."""
        self.window.tear(gap.partition, gap.next)
        if self.history is not None:
            self.history.raise_floor(gap.partition, gap.next)
        self.cursor.epochs_begin([(gap.partition, gap.next - 1, None)])
        self.cursor.advance(gap.partition, gap.next)
        self.unread.add(gap.partition.topic)

    def truncated(self, partition: Partition, next_offset: int) -> Iterator[None]:
        """Go back to where a partition that has lost its end ends now.

        What is returned is to be iterated over before anything is taken: it yields when others should run.
        """
        if self.cursor.next.get(partition, 0) <= next_offset:
            return iter(())
        self.has_read_lost = True
        taken_back = self.window.truncate({partition: next_offset})
        self.cursor.truncated(partition, next_offset)
        if partition in self._begun:
            self._begun[partition] = min(next_offset, self._begun[partition])
        reparented = self.reparentings.replaced(partition.topic, self.cursor)
        if self.history is not None:
            self.history.restart()
        return chain(taken_back, reparented, self.dependencies.truncated(partition, next_offset))

    def replaced(self, topic: str, topic_id: str) -> Iterator[None]:
        """Start anew with a topic that was created again; see `truncated` of what is returned."""
        taken_back = self.window.truncate({known: 0 for known in self.cursor.next if known.topic == topic})
        self.cursor.replaced(topic, topic_id)
        self._begun = {at: offset for at, offset in self._begun.items() if at.topic != topic}
        reparented = self.reparentings.replaced(topic, self.cursor)
        if self.history is not None:
            self.history.restart()
        return chain(taken_back, reparented, self.dependencies.replaced(topic))

    def reparented(self, channel: Channel, partition: Partition) -> None:
        """Take note that the record of `partition` which was taken last changed what belongs to `channel`."""
        cut = self.reparentings.changed(channel, partition, self.cursor)
        if self.history is not None:
            self.history.add_move(channel.name, partition, cut)

    def check(self, channel: Channel, position: str) -> Recoverable | NeedsHistory | NotReached | Unrecoverable:
        """Return what can be done for a client that was at `position` of `channel` (see `verdict`)."""
        try:
            vector = self.cursor.read(position, channel)
        except BadPositionError:
            return Unrecoverable.INVALID_POSITION
        except ReplacedTopicError:
            return Unrecoverable.TOPIC_RECREATED
        if ahead := first_ahead(vector, self.cursor):
            return NotReached(vector, *ahead)
        if not self.in_window(channel, vector):
            return NeedsHistory(vector)
        return Recoverable(vector) if self._is_clean(channel, vector) else Unrecoverable.INCONSISTENT_POSITION

    def _is_clean(self, channel: Channel, vector: Offsets) -> bool:
        # Of records after a start, it is not known how they depend on those before.
        if self.history is not None and not self.history.lets_through(channel, vector, self.dependencies.unsure):
            return False
        return self.reparentings.clean(channel, vector) and self.dependencies.clean(channel, vector)

    def check_history(self, channel: Channel, vector: Offsets) -> NeedsHistory | Unrecoverable:
        """Say whether the history has what was published after `vector`, which has left the window.

        As far as is known here: the store may know of objections (see `stored`).
        """
        history = self.history
        if history is None or not history.reaches_back(channel, vector):
            return Unrecoverable.EXPIRED
        is_clean = history.lets_through(channel, vector, self.dependencies.unsure) and self.dependencies.no_objection(
            channel, vector
        )
        return NeedsHistory(vector) if is_clean else Unrecoverable.INCONSISTENT_POSITION

    def in_window(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether all is at hand that was published after `vector` on `channel`."""
        feeding = [known for known in self.cursor.next if known.topic in channel.kind.topics]
        begun = self._begun if channel.kind.has_history else {}
        return self.window.holds(feeding, vector) and all(
            vector.get(known, 0) >= begun.get(known, 0) for known in feeding
        )

    def holds(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether `vector` is a clean cut of `channel`, and all that was published after it is at hand."""
        return self.in_window(channel, vector) and self._is_clean(channel, vector)

    def reaches(self, vector: Offsets) -> bool:
        """Return whether the log, at the last refresh, reached as far as `vector`, and will be read that far.

        What could not be seen may do so.
        """
        return all(self._reaches(partition, offset) for partition, offset in vector.items())

    def has_all_of(self, topics: Collection[str]) -> bool:
        """Return whether nothing of `topics` was gone before it could be taken, or cannot be had now."""
        return self.unread.isdisjoint(topics) and self._withheld.isdisjoint(topics)

    def _reaches(self, partition: Partition, offset: int) -> bool:
        if partition in self._refused:
            return offset <= self.cursor.next.get(partition, -1)
        return partition in self._unknown or (partition in self._extents and offset <= self._extents[partition].end)

    def _topics_withheld(self, troubles: Sequence[Trouble]) -> set[str]:
        """Return the topics of which there is something that is neither known nor can be read."""
        read = {partition.topic for partition in self.cursor.next}
        return {
            topic
            for topic, number, _, _, _, withheld, _ in of_kind(troubles, Hindrance.UNKNOWN, Hindrance.REFUSED)
            if withheld or (topic not in read if number is None else Partition(topic, number) not in self.cursor.next)
        }
