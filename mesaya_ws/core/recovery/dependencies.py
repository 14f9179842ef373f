"""Which records another one depended on, where two instances may have taken the two in different order.

A payment is published to those whom its reservation names; by an instance that took it before the reservation, it was
published to nobody. So a position that holds a record must hold all records on which this one depended here; otherwise
the client comes from a history that is not ours.

    here:   reservation, payment (published)           a position with the payment alone:
    there:  payment (to nobody), reservation           the client has not received it
"""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Protocol

from mesaya_ws.core.access.channels import KINDS, Channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.last_records import KNOWN, LAST, LastRecord
from mesaya_ws.core.recovery.offset_pairs import OffsetPairs
from mesaya_ws.core.recovery.parents import UNCARRIED
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.recent_records import AT_ONCE, Floors, RecentRecords, add_places

REMEMBERED = 100_000
"""Records that are remembered of each sort: of some 300 bytes each."""


class Sink(Protocol):
    """Where it is kept for longer what depended on what (see `history`)."""

    def add_pair(
        self, channel: str, first: Partition, first_offset: int, second: Partition, second_offset: int
    ) -> None:
        """Keep that a record depended on an earlier one, where a channel is concerned."""
        ...

    def add_unpublished(self, channel: str, partition: Partition, next_offset: int) -> None:
        """Keep that something before an offset was published to nobody on a channel."""
        ...

    def add_waiting(self, name: str, places: Offsets) -> None:
        """Keep that records wait for a parent of that name."""
        ...

    def add_last(self, record: LastRecord) -> None:
        """Keep a record that later ones may depend on."""
        ...


class Dependencies:
    """Which records depended on which, of those that are not before their `floors`: nobody lacks what came before.

    So many are `remembered` of each sort; of places before those that had to be forgotten, nothing is sure: they are
    `unsure`, by partition. A `sink` takes whatever is noted.
    """

    def __init__(self, floors: Floors, remembered: int = REMEMBERED, sink: Sink | None = None) -> None:
        self._floors = floors
        self._sink = sink
        self._remembered = remembered
        # By the name of a parent: the record that made it known; those that would concern others if it were known.
        self._known = RecentRecords(floors, remembered)
        self._waiting = RecentRecords(floors, remembered)
        # By the name of an entity, the last record about it in each partition, where there are several.
        self._last = RecentRecords(floors, remembered)
        self._pairs: dict[str, dict[tuple[Partition, Partition], OffsetPairs]] = {}
        # By channel and partition, the next offset before which something was published to nobody here, as its parent
        # came later, and which others may have published.
        self._unpublished: dict[str, dict[Partition, int]] = {}
        # By channel: the last records of a parent there, and the partition of those that depended on it. While both
        # are the same, another record says nothing new.
        self._noted: dict[str, tuple[dict[Partition, int], Partition]] = {}
        self._order: deque[tuple[str, tuple[Partition, Partition], int]] = deque()
        # By partition, the next offset before which too much has been forgotten.
        self.unsure: dict[Partition, int] = {}

    def note(
        self,
        partition: Partition,
        offset: int,
        outcome: Outcome,
        *,
        entity: str | None = None,
    ) -> None:
        """Note on what a record depended, and what will depend on it.

        `entity` is the name of what it is about, if other partitions of its topic may have records of that, too.
        """
        parents, known, awaits = outcome.parents, outcome.known, outcome.awaits
        noted = None
        if entity is None and not known and not awaits and len(parents) == 1 and len(outcome.messages) == 1:
            # So are nearly all records.
            channel = outcome.messages[0].channel
            parent_at = self._known.get(parents[0])
            if parent_at is None:
                return
            if not outcome.concerned:
                if (last := self._noted.get(channel)) is not None and last[0] is parent_at and last[1] == partition:
                    return
                noted = parent_at, partition
        place = {partition: offset}
        firsts: dict[Partition, int] = {}
        for parent in parents:
            if (places := self._known.get(parent)) is not None:
                add_places(firsts, places)
        records_before: dict[Partition, int] = {}
        if entity is not None:
            if (places := self._last.get(entity)) is not None:
                records_before = places
                if firsts:
                    add_places(firsts, places)
                else:
                    firsts = places
            if (forgotten := self._last.put(entity, place)) is not None:
                self._forgot(forgotten)
            if self._sink is not None:
                self._sink.add_last((LAST, entity, partition, offset))
        waiting: dict[Partition, int] = {}
        if known:
            for name in known:
                if (places := self._waiting.get(name)) is not None:
                    add_places(waiting, places)
            if (forgotten := self._known.put(known[0], place)) is not None:
                self._forgot(forgotten)
            if self._sink is not None:
                self._sink.add_last((KNOWN, known[0], partition, offset))
            if waiting:
                firsts = dict(firsts)
                add_places(firsts, waiting)
        if firsts and (waiting or len(firsts) > 1 or partition not in firsts):
            channels = [message.channel for message in outcome.messages]
            if outcome.concerned:
                channels = list(dict.fromkeys((*channels, *outcome.concerned)))
            for name in channels:
                topics = KINDS[name.rpartition(":")[2]].topics
                if waiting:
                    self._add_unpublished(name, topics, waiting)
                self._add_pairs(name, topics, firsts, partition, offset)
                if noted is not None and name in self._pairs:
                    self._noted[name] = noted
            self._forget_first()
        if awaits:
            # What waits for a parent that waits itself, waits for both; and it was decided by the records before it.
            add_places(waiting, records_before)
            add_places(waiting, place)
            # Its parents that are known may wait for another one, before the missing one comes.
            for name in dict.fromkeys((*awaits, *parents)):
                self._forgot(self._waiting.put(name, waiting))
                if self._sink is not None:
                    self._sink.add_waiting(name, waiting)

    def load_pair(
        self, channel: str, first: Partition, first_offset: int, second: Partition, second_offset: int
    ) -> None:
        """Take in what a `sink` was given in another process; of each two partitions, in the same order."""
        pair = first, second
        stairs = self._pairs.setdefault(channel, {}).setdefault(pair, OffsetPairs())
        if stairs.is_news(first_offset):
            stairs.add(first_offset, second_offset)
            self._order.append((channel, pair, first_offset))

    def load_waiting(self, name: str, places: Offsets) -> None:
        """Take in what a `sink` was given in another process."""
        self._forgot(self._waiting.put(name, dict(places)))

    def load_last(self, record: LastRecord) -> None:
        """Take in what a `sink` was given in another process."""
        what, name, partition, offset = record
        self._forgot((self._known if what == KNOWN else self._last).put(name, {partition: offset}))

    def _add_pairs(
        self, channel: str, topics: Collection[str], firsts: dict[Partition, int], partition: Partition, offset: int
    ) -> None:
        pairs = self._pairs.get(channel)
        for first, at in firsts.items():
            if first is partition or first == partition or first.topic not in topics:
                continue
            pair = first, partition
            stairs = None if pairs is None else pairs.get(pair)
            if stairs is not None and not stairs.is_news(at):
                continue
            if self._floors.is_before_floor(first, at):
                continue
            if pairs is None:
                pairs = self._pairs[channel] = {}
            if stairs is None:
                stairs = pairs[pair] = OffsetPairs()
            stairs.add(at, offset)
            self._order.append((channel, pair, at))
            if self._sink is not None:
                self._sink.add_pair(channel, first, at, partition, offset)

    def _add_unpublished(self, channel: str, topics: Collection[str], waiting: dict[Partition, int]) -> None:
        for partition, at in waiting.items():
            if partition.topic in UNCARRIED and partition.topic in topics:
                unpublished = self._unpublished.setdefault(channel, {})
                unpublished[partition] = max(at + 1, unpublished.get(partition, 0))
                self._order.append((channel, (partition, partition), at))
                if self._sink is not None:
                    self._sink.add_unpublished(channel, partition, unpublished[partition])

    def _forget_first(self) -> None:
        """Forget what matters no more, or too much."""
        while self._order:
            name, pair, at = self._order[0]
            if not self._floors.is_before_floor(pair[0], at):
                if len(self._order) <= self._remembered:
                    break
                self._forgot({pair[0]: at})
            self._order.popleft()
            self._drop(name, pair, at)

    def _drop(self, name: str, pair: tuple[Partition, Partition], at: int) -> None:
        unpublished = self._unpublished.get(name, {})
        if pair[0] == pair[1]:
            if unpublished.get(pair[0], 0) == at + 1:
                del unpublished[pair[0]]
                if not unpublished:
                    del self._unpublished[name]
            return
        pairs = self._pairs.get(name, {})
        if (stairs := pairs.get(pair)) is not None:
            stairs.drop_before(at + 1)
            if not stairs.firsts:
                del pairs[pair]
                if not pairs:
                    del self._pairs[name]
                    self._noted.pop(name, None)

    def _forgot(self, places: dict[Partition, int] | None) -> None:
        for partition, offset in (places or {}).items():
            self.unsure[partition] = max(self.unsure.get(partition, 0), offset + 1)

    def replaced(self, topic: str) -> Iterator[None]:
        """Forget a topic as it was before it was created again, yielding often; no record may be noted meanwhile."""
        self._noted = {}
        for recent in (self._known, self._waiting, self._last):
            yield from recent.keep(lambda partition, _: partition.topic != topic)
        for number, unpublished in enumerate(list(self._unpublished.values()), 1):
            if number % AT_ONCE == 0:
                yield
            for partition in [partition for partition in unpublished if partition.topic == topic]:
                del unpublished[partition]
        for number, pairs in enumerate(list(self._pairs.values()), 1):
            if number % AT_ONCE == 0:
                yield
            for pair in [pair for pair in pairs if topic in (pair[0].topic, pair[1].topic)]:
                del pairs[pair]
        self.unsure = {partition: at for partition, at in self.unsure.items() if partition.topic != topic}

    def truncated(self, partition: Partition, end: int) -> Iterator[None]:
        """Forget what a partition held from `end` on, which it has lost: those offsets are given out again.

        Yields often; no record may be noted meanwhile.
        """
        self._noted = {}
        for recent in (self._known, self._waiting, self._last):
            yield from recent.keep(lambda at, offset: at != partition or offset < end)
        for number, pairs in enumerate(list(self._pairs.values()), 1):
            if number % AT_ONCE == 0:
                yield
            for pair, stairs in pairs.items():
                stairs.cut(*(end if at == partition else None for at in pair))
        for number, unpublished in enumerate([*self._unpublished.values(), self.unsure], 1):
            if number % AT_ONCE == 0:
                yield
            if unpublished.get(partition, 0) > end:
                unpublished[partition] = end

    def clean(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether a place on a channel that holds a record holds all on which this depended here."""
        topics = channel.kind.topics
        return all(
            partition.topic not in topics or vector.get(partition, 0) >= at for partition, at in self.unsure.items()
        ) and self.no_objection(channel, vector)

    def no_objection(self, channel: Channel, vector: Offsets) -> bool:
        """Return the same as `clean`, as if nothing had been forgotten."""
        return all(
            vector.get(partition, 0) >= at for partition, at in self._unpublished.get(channel.name, {}).items()
        ) and all(
            stairs.is_kept(vector.get(first, 0), vector.get(second, 0))
            for (first, second), stairs in self._pairs.get(channel.name, {}).items()
        )
