"""The recent publications, by channel: what a client that comes back has missed, without asking the log."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from mesaya_ws.core.event_log import Partition
from mesaya_ws.core.position import Vector


class Publication(NamedTuple):
    """A frame on a channel, and the record that it was made of; `serial` counts all publications of this instance."""

    serial: int
    partition: Partition
    offset: int
    timestamp: int
    frame: bytes


class Overtaken(Exception):  # noqa: N818 - the window moving on is its nature
    """The window does not hold that place any more."""


class Window:
    """Publications not older than `seconds` and not larger than `max_bytes` in all, in the order they were made.

    `serial` is that of the latest publication, `evicted` that of the latest one that has gone; a new era begins when a
    topic was created anew. Of every partition the window is complete from its floor on: it holds all that was made of
    the records at `offset >= floor`.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._milliseconds = seconds * 1000
        self._max_bytes = max_bytes
        self._order: deque[tuple[str, Publication]] = deque()
        self._channels: dict[str, deque[Publication]] = {}
        self._floor: dict[Partition, int] = {}
        self.evicted = 0
        self.era = 0
        self.serial = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._order)

    def raise_floor(self, partition: Partition, offset: int) -> None:
        """Promise nothing of `partition` before `offset`: it was never read."""
        self._floor[partition] = max(offset, self._floor.get(partition, 0))

    def forget(self, partition: Partition) -> None:
        """Promise nothing of a partition whose topic was created anew, and begin it again at 0."""
        self.era += 1
        self._order = deque(entry for entry in self._order if entry[1].partition != partition)
        for channel, publications in list(self._channels.items()):
            kept = deque(entry for entry in publications if entry.partition != partition)
            if kept:
                self._channels[channel] = kept
            else:
                del self._channels[channel]
        self.bytes = sum(len(entry.frame) for _, entry in self._order)
        self._floor[partition] = 0

    def add(self, channel: str, partition: Partition, offset: int, timestamp: int, frame: bytes) -> None:
        """Keep a publication; the oldest ones give way to it. `timestamp` in milliseconds since the epoch."""
        self.serial += 1
        publication = Publication(self.serial, partition, offset, timestamp, frame)
        self._order.append((channel, publication))
        publications = self._channels.get(channel)
        if publications is None:
            publications = self._channels[channel] = deque()
        publications.append(publication)
        self.bytes += len(frame)
        while self.bytes > self._max_bytes:
            self._evict()

    def expire(self, now: int) -> None:
        """Drop what is too old at the time `now` (ms since the epoch)."""
        while self._order and self._order[0][1].timestamp < now - self._milliseconds:
            self._evict()

    def _evict(self) -> None:
        channel, publication = self._order.popleft()
        publications = self._channels[channel]
        publications.popleft()
        if not publications:
            del self._channels[channel]
        self._floor[publication.partition] = publication.offset + 1
        self.evicted = publication.serial
        self.bytes -= len(publication.frame)

    def holds(self, partitions: Iterable[Partition], vector: Vector) -> bool:
        """Return whether everything after `vector` in `partitions` is here; a partition left out counts from 0."""
        return all(vector.get(partition, 0) >= self._floor.get(partition, 0) for partition in partitions)

    def after(self, channel: str, vector: Vector, serial: int | None = None) -> list[Publication]:
        """Return the publications on `channel` after the place `vector`, and after the one called `serial`.

        Raises `Overtaken` when publications after `serial` have gone meanwhile.
        """
        if serial is None:
            serial = self.evicted
        elif serial < self.evicted:
            raise Overtaken
        return [
            publication
            for publication in self._channels.get(channel, ())
            if publication.serial > serial and publication.offset >= vector.get(publication.partition, 0)
        ]
