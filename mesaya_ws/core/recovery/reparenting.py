"""When a record changed what belongs to a channel, and what had been taken of the log by then.

A worked example, with two partitions that feed a channel, `sections` and `tables`. A position is written as their next
offsets: [4, 6] holds sections 0–3 and tables 0–5. Here, the record sections 4 moved a section when tables 0–5 had been
taken; so the cut right after it is [5, 6].

    position   holds the move?  tables    is                  because
    [4, 6]     no               0–5       consistent: before  our position right before the move
    [3, 2]     no               0–1       consistent: before  our position earlier
    [5, 6]     yes              0–5       consistent: after   the cut itself
    [7, 9]     yes              0–8       consistent: after   our position later, or one that we may pass
    [4, 7]     no               0–6       inconsistent        tables 6 was taken there before the move, here after it
    [5, 5]     yes              0–4       inconsistent        tables 5 was taken here before the move, there after it

A table of the section that moved is on one channel for an instance that took it before the move, and on another one for
an instance that took it after that. So from an inconsistent position it is not known what the client has received.
"""

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
        """Return whether `vector` holds the change, and all that had been taken before it."""
        return all(vector.get(known, 0) >= taken for known, taken in self.cut.items())

    def is_after(self, vector: Offsets) -> bool:
        """Return whether `vector` holds neither the change nor anything that was taken after it."""
        cut = self.cut
        return vector.get(self.partition, 0) < cut[self.partition] and all(
            offset <= cut.get(known, 0) for known, offset in vector.items()
        )


class Reparentings:
    """When it changed what belongs to a channel (a section came, moved or went), and what had been taken by then.

    Another instance may have taken such a record, and those that depend on it, in another order. A position that holds
    the change in one partition, but not all that came before it in another one, or the other way round, is not a
    consistent cut of our history (see the example above). So many offsets are `remembered` of all changes.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        # By the kind of channel, by channel. Those of before a topic was created again are only in the order of all.
        self._changes: dict[str, dict[str, deque[_Change]]] = {}
        self._order: deque[tuple[Channel, _Change]] = deque()
        self._size = 0
        # By the kind of channel: before it, nothing is remembered any more.
        self._forgotten: dict[str, Offsets] = {}

    def changed(self, channel: Channel, partition: Partition, cursor: Cursor) -> Offsets:
        """Note that the record of `partition` which was taken last changed what belongs to `channel`.

        Return what had been taken by then of what feeds it.
        """
        cut = _cut(channel.kind, cursor)
        self.load(channel, partition, cut)
        return cut

    def load(self, channel: Channel, partition: Partition, cut: Offsets) -> None:
        """Take in a change of which another process noted what had been taken by then."""
        change = _Change(partition, cut)
        self._changes.setdefault(channel.kind.name, {}).setdefault(channel.name, deque()).append(change)
        self._order.append((channel, change))
        self._size += len(cut)
        while self._size > self._remembered:
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
        """Return whether every change on `channel` is before `vector` or after it, in all partitions."""
        forgotten = self._forgotten.get(channel.kind.name, {})
        return all(vector.get(known, 0) >= taken for known, taken in forgotten.items()) and all(
            change.is_before(vector) or change.is_after(vector)
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
