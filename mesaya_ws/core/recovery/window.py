"""The recent publications, by channel: what a client that comes back has missed, without asking the log."""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.publications import PartitionBuffer, Publication, in_order, make_publication, serial_of

DROPPED_AT_ONCE = 1000
"""How many publications are dropped in one go, and of how many channels some are taken back: a burst ages all at once,
and each takes some 2 µs."""


class PositionEvicted(Exception):  # noqa: N818 - the window moving on is its nature
    """The window does not hold that place any more."""


class Window:
    """Publications not older than `seconds` and not larger than `max_bytes` in all, in the order they were made.

    `serial` is that of the latest publication, `evicted` that of the latest one that has gone. A new epoch begins when
    something was missed, or a topic was created anew. Of every partition the window is complete from its floor on: it
    holds all that was made of the records at `offset >= floor`. Records that are all of one source `have_one_order`,
    in which everybody takes them.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.milliseconds = seconds * 1000
        self._max_bytes = max_bytes
        self._order: deque[tuple[str, Publication]] = deque()
        self._channels: dict[str, dict[Partition, PartitionBuffer]] = {}
        # By channel, by what it is a state of: where the latest state is.
        self._states: dict[str, dict[str, tuple[PartitionBuffer, int]]] = {}
        self._floor: dict[Partition, int] = {}
        # Of partitions, from which offset on all is taken back; as long as that has not been done on every channel.
        self._cuts: dict[Partition, int] = {}
        self.have_one_order = False
        self.evicted = 0
        self.epoch = 0
        self.serial = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def channels(self) -> Collection[str]:
        """The names of the channels on which something is here."""
        return self._channels.keys()

    def raise_floor(self, partition: Partition, offset: int) -> None:
        """Promise nothing of `partition` before `offset`: not all of it could be published."""
        self._floor[partition] = max(offset, self._floor.get(partition, 0))

    def floor(self, partition: Partition) -> int:
        """Return the offset from which on the window is complete."""
        return self._floor.get(partition, 0)

    def is_before_floor(self, partition: Partition, offset: int) -> bool:
        """Return whether nothing is promised of a record, so that no client that lacks it may resume."""
        return offset < self._floor.get(partition, 0)

    def tear(self, partition: Partition, offset: int) -> None:
        """Promise nothing of `partition` before `offset`, and begin a new epoch: what was made before it is not all."""
        self.epoch += 1
        self.raise_floor(partition, offset)

    def truncate(self, ends: Mapping[Partition, int]) -> Iterator[None]:
        """Take back at once what was made of the records of partitions from their `ends` on: others will be there.

        Where a topic was created anew, they begin again at 0. What is returned lets go of it, yielding often: it is to
        be iterated over before anything is added.
        """
        self.epoch += bool(ends)
        # What is taken back stays where it is in the order of all, until its turn has come.
        states, self._states = self._states, {}
        for partition, end in ends.items():
            self._cuts[partition] = min(end, self._cuts.get(partition, end))
            self._floor[partition] = min(end, self._floor.get(partition, 0))
        return self._sweep(states, {partition: self._cuts[partition] for partition in ends})

    def _sweep(
        self, states: dict[str, dict[str, tuple[PartitionBuffer, int]]], cuts: dict[Partition, int]
    ) -> Iterator[None]:
        for number, channel in enumerate(list(self._channels), 1):
            if number % DROPPED_AT_ONCE == 0:
                yield
            self._cut(channel)
        for partition, end in cuts.items():
            if self._cuts.get(partition) == end:
                del self._cuts[partition]
        while states:
            for _ in range(min(DROPPED_AT_ONCE, len(states))):
                states.popitem()
            yield

    def _cut(self, channel: str) -> None:
        """Take back on a channel what is to be taken back."""
        lines = self._channels.get(channel, {})
        for partition in lines.keys() & self._cuts.keys():
            if not lines[partition].truncate(self._cuts[partition]):
                del lines[partition]
                if not lines:
                    del self._channels[channel]

    def add(
        self,
        channel: str,
        partition: Partition,
        offset: int,
        made_at: int,
        frame: bytes,
        state_of: str | None = None,
        timestamp: int = 0,
    ) -> None:
        """Keep a publication; the oldest ones give way to it. `made_at` in milliseconds of a clock that never steps."""
        self.serial = serial = self.serial + 1
        publication = make_publication((serial, partition, offset, made_at, frame, state_of, timestamp))
        self._order.append((channel, publication))
        lines = self._channels.get(channel)
        if lines is None:
            lines = self._channels[channel] = {}
        line = lines.get(partition)
        if line is None:
            line = lines[partition] = PartitionBuffer()
        entries = line.entries
        entries.append(publication)
        stands = line.stands
        if stands is not None:
            stands.append(1)
        elif state_of is not None:
            stands = line.stands = bytearray(b"\1" * len(entries))
        if state_of is not None:
            states = self._states.get(channel)
            if states is None:
                states = self._states[channel] = {}
            before = states.get(state_of)
            if before is not None:
                other, number = before
                # Unless it has gone already.
                if number >= other.removed and (superseded := stands if other is line else other.stands) is not None:
                    superseded[number - other.removed] = 0
            states[state_of] = line, line.removed + len(entries) - 1
        self.bytes += len(frame)
        while self.bytes > self._max_bytes:
            self._evict()

    def replace(self, channel: str, partition: Partition, offset: int, frame: bytes) -> None:
        """Have another frame in the place of what a record became on a channel, if that is here."""
        line = self.lines(channel).get(partition)
        if line is None:
            return
        at, end = line.between(offset, offset + 1)
        if at < end:
            self.replace_at(line, at, frame)

    def replace_at(self, line: PartitionBuffer, at: int, frame: bytes) -> None:
        """Have another frame in the place of the publication number `at` of a line."""
        former = line.entries[at]
        publication = former._replace(frame=frame)
        line.entries[at] = publication
        self.bytes += len(frame) - len(former.frame)
        place = bisect_left(self._order, former.serial, key=lambda entry: entry[1].serial)
        self._order[place] = self._order[place][0], publication

    def is_past(self, made_at: int, now: int) -> bool:
        """Return whether what was `made_at` some time is too old `now` (ms, both of one clock)."""
        return made_at < now - self.milliseconds

    def expire(self, now: int) -> bool:
        """Drop what is too old `now` (ms, of a clock that never steps), as much as in one go; say if there is more."""
        for _ in range(DROPPED_AT_ONCE):
            if not self._order or not self.is_past(self._order[0][1].made_at, now):
                return False
            self._evict()
        return True

    def clear(self) -> Iterator[None]:
        """Drop everything, yielding after every go."""
        while self._order:
            for _ in range(min(DROPPED_AT_ONCE, len(self._order))):
                self._evict()
            yield

    def _evict(self) -> None:
        channel, publication = self._order.popleft()
        self.evicted = publication.serial
        self.bytes -= len(publication.frame)
        lines = self.lines(channel)
        line = lines.get(publication.partition)
        if line is None or line.entries[line.start] is not publication:
            return  # it has been taken back
        self._forget_state(channel, publication, line)
        line.drop_first()
        if not line.entries:
            del lines[publication.partition]
            if not lines:
                del self._channels[channel]
        self.raise_floor(publication.partition, publication.offset + 1)

    def _forget_state(self, channel: str, publication: Publication, line: PartitionBuffer) -> None:
        """Forget where the latest state of something is, if it is `publication`, the first one of `line`."""
        states = self._states.get(channel)
        if states is None or publication.state_of is None:
            return
        if states.get(publication.state_of) == (line, line.removed + line.start):
            del states[publication.state_of]
            if not states:
                del self._states[channel]

    def lines(self, channel: str) -> dict[Partition, PartitionBuffer]:
        """Return the publications on `channel`, by partition; nobody else changes them."""
        if self._cuts:
            self._cut(channel)
        return self._channels.get(channel, {})

    def holds(self, partitions: Iterable[Partition], vector: Offsets) -> bool:
        """Return whether everything after `vector` in `partitions` is here; a partition left out counts from 0."""
        return all(vector.get(partition, 0) >= self._floor.get(partition, 0) for partition in partitions)

    def count(self, channel: str, vector: Offsets, end: Offsets | None = None) -> int:
        """Return how many publications there are on `channel` after the place `vector`, up to `end`."""
        places = (
            line.between(vector.get(partition, 0), None if end is None else end.get(partition, 0))
            for partition, line in self.lines(channel).items()
        )
        return sum(stop - start for start, stop in places)

    def after(
        self, channel: str, vector: Offsets, serial: int | None = None, end: Offsets | None = None
    ) -> Iterator[Publication]:
        """Iterate over the publications on `channel` after the place `vector` and up to `end`, in their order.

        Those up to the one called `serial` are left out; raises `PositionEvicted` when some after it have gone
        meanwhile. The iterator is good until the window changes.
        """
        if serial is None:
            serial = self.evicted
        elif serial < self.evicted:
            raise PositionEvicted
        runs = [
            line.run(serial, *line.between(vector.get(partition, 0), None if end is None else end.get(partition, 0)))
            for partition, line in self.lines(channel).items()
        ]
        return runs[0] if len(runs) == 1 else merge(*runs, key=serial_of)

    def newest(self, channel: str, serial: int) -> Iterator[Publication]:
        """Iterate over the publications on `channel` after the one called `serial`, in their order.

        States that a later one has superseded are left out, and take no time. Raises `PositionEvicted` as `after` does;
        the iterator is good until the window changes.
        """
        if serial < self.evicted:
            raise PositionEvicted
        runs = [line.standing(serial) for line in self.lines(channel).values()]
        return runs[0] if len(runs) == 1 else merge(*runs, key=serial_of)

    def since(self, serial: int) -> list[tuple[str, Publication]]:
        """Return the publications on all channels after the one called `serial`, in their order, also if taken back."""
        count = min(self.serial - serial, len(self._order))
        return list(islice(reversed(self._order), count))[::-1]

    def latest(self, channel: str, count: int) -> list[Publication]:
        """Return the last `count` publications on `channel`: in the order of the log, not in that of their arrival."""
        return in_order(self.last(channel, count), have_one_order=self.have_one_order)[-count:]

    def last(self, channel: str, count: int) -> dict[Partition, list[Publication]]:
        """Return the last `count` publications of every partition on `channel`."""
        return {
            partition: line.entries[max(line.start, len(line.entries) - count) :]
            for partition, line in self.lines(channel).items()
        }
