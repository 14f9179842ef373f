"""When it changed what belongs to a channel, and what had been taken of the log by then."""

from collections import deque

from attrs import frozen

from mesaya_ws.core.access.channels import KINDS, Channel, Kind
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Cursor, Offsets

REMEMBERED = 100_000
"""Offsets that are remembered of changes of parentage: with one partition a topic, of some 20,000 changes."""


@frozen
class _Change:
    """What had been taken of all feeding partitions when a record of `partition` had changed what belongs together."""

    partition: Partition
    cut: Offsets

    def is_before(self, vector: Offsets) -> bool:
        """Return whether the change is wholly before `vector`."""
        return all(vector.get(known, 0) >= taken for known, taken in self.cut.items())

    def is_behind(self, vector: Offsets) -> bool:
        """Return whether the change is wholly behind `vector`."""
        cut = self.cut
        return vector.get(self.partition, 0) < cut[self.partition] and all(
            offset <= cut.get(known, 0) for known, offset in vector.items()
        )


class Reparentings:
    """When it changed what belongs to a channel (a section came, moved or went), and what had been taken by then.

    Another instance may have taken such a record, and those that depend on it, in another order. A place that is before
    it in one partition and behind it in another one is no place where this instance has been.
    """

    def __init__(self) -> None:
        self._changes: dict[str, deque[_Change]] = {}
        self._order: deque[Channel] = deque()
        self._size = 0
        # By the kind of channel: before it, nothing is remembered any more.
        self._forgotten: dict[str, Offsets] = {}

    def changed(self, channel: Channel, partition: Partition, cursor: Cursor) -> None:
        """Note that the record of `partition` which was taken last changed what belongs to `channel`."""
        cut = _cut(channel.kind, cursor)
        self._changes.setdefault(channel.name, deque()).append(_Change(partition, cut))
        self._order.append(channel)
        self._size += len(cut)
        while self._size > REMEMBERED:
            self._forget_first()

    def _forget_first(self) -> None:
        channel = self._order.popleft()
        changes = self._changes[channel.name]
        cut = self._forgotten[channel.kind.name] = changes.popleft().cut
        self._size -= len(cut)
        if not changes:
            del self._changes[channel.name]

    def replaced(self, topic: str, cursor: Cursor) -> None:
        """Forget what happened before a topic was created again: its offsets mean something else from now on."""
        for kind in KINDS.values():
            if topic in kind.topics:
                self._forgotten[kind.name] = _cut(kind, cursor)
        self._order = deque(channel for channel in self._order if topic not in channel.kind.topics)
        kept = {channel.name for channel in self._order}
        self._changes = {name: changes for name, changes in self._changes.items() if name in kept}
        self._size = sum(len(change.cut) for changes in self._changes.values() for change in changes)

    def clean(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether every change on `channel` is wholly before or wholly behind `vector`."""
        forgotten = self._forgotten.get(channel.kind.name, {})
        return all(vector.get(known, 0) >= taken for known, taken in forgotten.items()) and all(
            change.is_before(vector) or change.is_behind(vector) for change in self._changes.get(channel.name, ())
        )


def _cut(kind: Kind, cursor: Cursor) -> Offsets:
    return {known: taken for known, taken in cursor.next.items() if known.topic in kind.topics}
