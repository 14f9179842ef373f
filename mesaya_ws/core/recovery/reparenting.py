"""When it changed what belongs to a channel, and what had been taken of the log by then."""

from collections import deque
from collections.abc import Iterable, Iterator

from attrs import frozen

from mesaya_ws.core.access.channels import KINDS, Channel, Kind
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Cursor, Offsets

REMEMBERED = 100_000
"""Offsets that are remembered of changes of parentage: with one partition a topic, of some 20,000 changes."""

AT_ONCE = 2000
"""Channels of which changes are let go in one go: a millisecond."""


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
        # By the kind of channel, by channel. Those of before a topic was created again are only in the order of all.
        self._changes: dict[str, dict[str, deque[_Change]]] = {}
        self._order: deque[tuple[Channel, _Change]] = deque()
        self._size = 0
        # By the kind of channel: before it, nothing is remembered any more.
        self._forgotten: dict[str, Offsets] = {}

    def changed(self, channel: Channel, partition: Partition, cursor: Cursor) -> None:
        """Note that the record of `partition` which was taken last changed what belongs to `channel`."""
        cut = _cut(channel.kind, cursor)
        change = _Change(partition, cut)
        self._changes.setdefault(channel.kind.name, {}).setdefault(channel.name, deque()).append(change)
        self._order.append((channel, change))
        self._size += len(cut)
        while self._size > REMEMBERED:
            self._forget_first()

    def _forget_first(self) -> None:
        channel, change = self._order.popleft()
        self._size -= len(change.cut)
        kind, name = channel.kind.name, channel.name
        changes = self._changes.get(kind, {}).get(name)
        if changes is None or changes[0] is not change:
            return  # it was before a topic was created again
        changes.popleft()
        self._forgotten[kind] = change.cut
        if not changes:
            del self._changes[kind][name]

    def replaced(self, topic: str, cursor: Cursor) -> Iterator[None]:
        """Forget at once what happened before a topic was created again: its offsets mean something else from now on.

        What is returned lets go of it, yielding often.
        """
        gone = []
        for kind in KINDS.values():
            if topic in kind.topics:
                self._forgotten[kind.name] = _cut(kind, cursor)
                gone.append(self._changes.pop(kind.name, {}))
        return _empty(gone)

    def clean(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether every change on `channel` is wholly before or wholly behind `vector`."""
        forgotten = self._forgotten.get(channel.kind.name, {})
        return all(vector.get(known, 0) >= taken for known, taken in forgotten.items()) and all(
            change.is_before(vector) or change.is_behind(vector)
            for change in self._changes.get(channel.kind.name, {}).get(channel.name, ())
        )


def _empty(tables: Iterable[dict[str, deque[_Change]]]) -> Iterator[None]:
    for table in tables:
        while table:
            for _ in range(min(AT_ONCE, len(table))):
                table.popitem()
            yield


def _cut(kind: Kind, cursor: Cursor) -> Offsets:
    return {known: taken for known, taken in cursor.next.items() if known.topic in kind.topics}
