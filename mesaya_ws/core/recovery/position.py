"""A place in the log, as clients carry it: what of a channel's feeding partitions has been taken.

A position is a vector of next offsets, one for each partition that feeds the channel's kind, and says the same on
every replica. It is opaque to clients, and never a permission. It bears a check of the topics' ids, and a tag of each
offset's epoch: so a place in a log that was replaced, or that has lost its end since, is noticed (see `epochs`). For
its layout see `position_text`.
"""

from bisect import insort
from collections.abc import Iterable, Mapping

from mesaya_ws.core.access.channels import Channel, Kind
from mesaya_ws.core.log.epochs import Epochs, life_of, tag_of
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.platform.topics import OWN_TOPICS
from mesaya_ws.core.recovery.position_text import TAG_BITS, beginning, check_ids, decode, encode, number
from mesaya_ws.core.recovery.position_text import BadPositionError as BadPositionError

Offsets = Mapping[Partition, int]

EpochBegun = tuple[Partition, int, int | None]
"""Of which epoch the records of a partition are from an offset on; None: that is not known."""


class ReplacedTopicError(Exception):
    """A position in what is no more: an earlier life of a topic, or of its log."""


class Cursor:
    """Where this instance is in the log: what it has taken of every partition, and under which ids and epochs."""

    def __init__(self) -> None:
        self.next: dict[Partition, int] = {}
        self._ids: dict[str, str] = {}
        self._partitions: dict[str, list[Partition]] = {}
        # Those that are known to exist: all in the lists above.
        self._found: set[Partition] = set()
        self._epochs: dict[Partition, Epochs] = {}
        # What positions say of the epochs at `next`; and by topic, the partitions that have another epoch before them.
        self._tags: dict[Partition, int] = {}
        self._nearing: dict[str, set[Partition]] = {}
        # By kind, what follows the beginning of its positions: the check, and a part for each of its topics; and by
        # topic, the tag of its only partition, or else the pieces of its part (how many partitions there are, and the
        # place of each), and where the part stands. Nearly always one topic has moved since the last position. Topics
        # that are nearing another epoch are not among them: what they do next changes more.
        self._layouts: dict[str, list[bytes]] = {}
        self._parts: dict[str, tuple[int, list[bytes], list[tuple[list[bytes], int]]]] = {}
        self._single = True

    def found(self, extents: Mapping[Partition, OffsetRange]) -> None:
        """Take note of partitions that exist; those not seen before are to be taken from their beginning.

        One of a topic that is new may have been taken some way before anything has shown it.
        """
        for partition in extents.keys() - self._found:
            self._found.add(partition)
            self.next.setdefault(partition, extents[partition].begin)
            self._ids[partition.topic] = extents[partition].topic_id
            insort(self._partitions.setdefault(partition.topic, []), partition)
            if partition in self._epochs:
                self._settle(partition)
        self._lay_out()

    def has_found(self, partition: Partition) -> bool:
        """Return whether it is known that a partition exists."""
        return partition in self._found

    @property
    def has_found_all(self) -> bool:
        """Whether that is known of all that were taken: else `places` leaves some out."""
        return self._found >= self.next.keys()

    def begin(self, places: Mapping[Partition, PartitionPosition]) -> None:
        """Begin at these places, of partitions not seen before."""
        self.found({partition: OffsetRange(next, next, id) for partition, (id, next, _) in places.items()})
        self.epochs_begin(
            (partition, place.next - 1, place.epoch)
            for partition, place in places.items()
            if place.epoch is not None and place.next
        )

    def replaced(self, topic: str, topic_id: str) -> None:
        """Start anew with a topic that was created again."""
        self._found.difference_update(self._partitions.pop(topic, ()))
        for partition in [each for each in self.next if each.topic == topic]:
            del self.next[partition]
            self._epochs.pop(partition, None)
            self._tags.pop(partition, None)
        self._nearing.pop(topic, None)
        self._ids[topic] = topic_id
        self._lay_out()

    def epochs_begin(self, begun: Iterable[EpochBegun]) -> None:
        """Take note of the epochs of the records of partitions from an offset on; None: it is not known.

        To be called before the first of them is taken.
        """
        changed = {
            partition
            for partition, offset, epoch in begun
            if self._epochs.setdefault(partition, Epochs()).begin(offset, epoch)
        }
        for partition in changed:
            self._settle(partition)
        if changed:
            self._lay_out()

    def epochs(self, topic: str) -> list[EpochBegun]:
        """Return the epochs of a topic's partitions, as far as they are known, as `epochs_begin` takes them."""
        known = (each for each in self._partitions.get(topic, ()) if each in self._epochs)
        return [(each, *begun) for each in known for begun in self._epochs[each].begun()]

    def truncated(self, partition: Partition, next_offset: int) -> None:
        """Go back to `next_offset`, where a partition that has lost its end ends now."""
        self.next[partition] = min(next_offset, self.next[partition])
        if partition in self._epochs:
            # Which epoch follows is known with its first record; that the one before is over is known now.
            self._epochs[partition].begin(next_offset, None)
            self._settle(partition)
        self._lay_out()

    def _settle(self, partition: Partition) -> None:
        """See what the epoch of a partition is at its place, and whether another one lies before it."""
        offset, epochs = self.next.get(partition, 0), self._epochs[partition]
        self._tags[partition] = tag_of(epochs.at(offset))
        nearing = self._nearing.setdefault(partition.topic, set())
        if epochs.has_passed(offset):
            nearing.discard(partition)
        else:
            nearing.add(partition)
        if not nearing:
            del self._nearing[partition.topic]

    def has_several(self, topic: str) -> bool:
        """Return whether a topic has several partitions."""
        return not self._single and len(self._partitions.get(topic, ())) > 1

    def places(self) -> dict[Partition, PartitionPosition]:
        """Return where this is in every partition that is known to exist."""
        return {
            partition: PartitionPosition(self._ids[partition.topic], offset, self._epoch(partition, offset))
            for partition, offset in self.next.items()
            if partition in self._found
        }

    def _epoch(self, partition: Partition, offset: int) -> int | None:
        epochs = self._epochs.get(partition)
        return None if epochs is None else epochs.at(offset)

    def _lay_out(self) -> None:
        self._single = all(partitions == [Partition(topic, 0)] for topic, partitions in self._partitions.items())
        self._layouts.clear()
        self._parts.clear()

    def advance(self, partition: Partition, next_offset: int) -> None:
        """Note that everything before `next_offset` of `partition` has been taken."""
        self.next[partition] = next_offset
        parts = self._parts.get(partition.topic)
        if parts is not None:
            tag, pieces, places = parts
            if self._single:
                part = number(next_offset + 1 << TAG_BITS | tag)
            else:
                if partition.number + 1 < len(pieces):  # one that no metadata have shown is left out as yet
                    pieces[partition.number + 1] = number(next_offset << TAG_BITS | self._tags.get(partition, 0))
                part = b"".join(pieces)
            for layout, at in places:
                layout[at] = part
        elif partition.topic in self._nearing:
            if partition in self._epochs:
                self._settle(partition)
            self._lay_out()

    def position(self, channel: str, kind: Kind) -> str:
        """Return the present place of a channel, given by its name and kind."""
        layout = self._layouts.get(kind.name) or self._lay_out_kind(kind)
        return beginning(channel, self._single) + encode(b"".join(layout))

    def position_at(self, channel: str, kind: Kind, partition: Partition, next_offset: int) -> str:
        """Return the place of a channel that is `next_offset` in one of its partitions, and the present in others."""
        return self.position_with(channel, kind, {partition: next_offset})

    def position_with(self, channel: str, kind: Kind, places: Offsets) -> str:
        """Return the place of a channel that is such an offset in some of its partitions, and the present in others."""

        def next_offset(each: Partition) -> int:
            return places.get(each, self.next.get(each, 0))

        def place(each: Partition, more: int) -> bytes:
            offset = next_offset(each)
            return number(offset + more << TAG_BITS | tag_of(self._epoch(each, offset)))

        firsts = [
            (topic, next_offset(first))
            for topic, first in ((topic, Partition(topic, 0)) for topic in kind.topics)
            if topic in self._partitions
        ]
        raw = [self._check(firsts)]
        for topic in kind.topics:
            partitions = self._partitions.get(topic)
            if partitions is None:
                raw += self._pieces(topic, kind)
            elif self._single:
                raw.append(place(partitions[0], 1))
            else:
                count = partitions[-1].number + 1
                raw += [number(count), *(place(Partition(topic, n), 0) for n in range(count))]
        return beginning(channel, self._single) + encode(b"".join(raw))

    def _lay_out_kind(self, kind: Kind) -> list[bytes]:
        existing = [
            (topic, self.next.get(Partition(topic, 0), 0)) for topic in kind.topics if topic in self._partitions
        ]
        layout = self._layouts[kind.name] = [self._check(existing)]
        for at, topic in enumerate(kind.topics, 1):
            pieces = self._pieces(topic, kind)
            layout.append(b"".join(pieces))
            if topic in self._partitions and topic not in self._nearing:
                tag = self._tags.get(self._partitions[topic][0], 0)
                self._parts.setdefault(topic, (tag, pieces, []))[2].append((layout, at))
        return layout

    def _check(self, places: Iterable[tuple[str, int]]) -> bytes:
        """Return the check of topics' ids, in the lives that their first partitions have at such offsets."""
        ids = []
        for topic, offset in places:
            life = life_of(self._epoch(Partition(topic, 0), offset))
            ids.append(f"{self._ids[topic]}/{life}" if life else self._ids[topic])
        return check_ids(ids)

    def _pieces(self, topic: str, kind: Kind) -> list[bytes]:
        partitions = self._partitions.get(topic)
        if partitions is None:
            rest = kind.topics[kind.topics.index(topic) :]
            is_left_out = all(each in OWN_TOPICS and each not in self._partitions for each in rest)
            return [] if is_left_out else [b"\0"]
        if self._single:
            return [self._place(partitions[0], 1)]
        count = partitions[-1].number + 1
        # One that is missing, as it has no leader, has been taken up to its beginning.
        return [number(count), *(self._place(Partition(topic, n), 0) for n in range(count))]

    def _place(self, partition: Partition, more: int) -> bytes:
        return number(self.next.get(partition, 0) + more << TAG_BITS | self._tags.get(partition, 0))

    def read(self, text: str, channel: Channel) -> Offsets:
        """Return the vector that a position of `channel` stands for.

        A partition that it does not name, because it appeared later, counts from its beginning: it is left out. Raises
        `BadPositionError` when the text is not a position of this channel, `ReplacedTopicError` when a topic has been
        created again since, or has lost its end.
        """
        vector: dict[Partition, int] = {}
        existing = []
        check, places_by_topic, has_epochs = decode(text, channel)
        for topic, places in zip(channel.kind.topics, places_by_topic, strict=True):
            if places:
                existing.append((topic, places[0][0]))
            for partition_number, (offset, tag) in enumerate(places):
                partition = Partition(topic, partition_number)
                vector[partition] = offset
                if tag and self._is_other_epoch(partition, offset, tag):
                    raise ReplacedTopicError
        # While one of them is not known here, the place is ahead; its topics are compared when it has been reached.
        if all(topic in self._ids for topic, _ in existing):
            expected = self._check(existing) if has_epochs else check_ids(self._ids[topic] for topic, _ in existing)
            if check != expected:
                raise ReplacedTopicError
        return vector

    def _is_other_epoch(self, partition: Partition, offset: int, tag: int) -> bool:
        """Return whether a place is known to be in another epoch than the one with this `tag`."""
        epochs = self._epochs.get(partition)
        if epochs is None:
            return False
        if offset > self.next.get(partition, -1):
            return epochs.is_over(tag, offset)
        known = epochs.at(offset)
        return known is not None and tag_of(known) != tag
