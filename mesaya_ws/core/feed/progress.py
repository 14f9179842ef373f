"""How far a feed has come, and what is to be done before it processes the next record."""

from collections import deque
from collections.abc import Callable, Iterator
from weakref import WeakSet

from mesaya_ws.core.access.rights_changes import RightsChange
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.recovery.verdict import Unrecoverable


class Progress:
    """What the parts of a feed have in common while they process one record after the other.

    `now` is when the present step began (ms since the epoch), and `steady` the same by a clock that never steps. The
    last record has a `time` of its own, which may step back, or be ahead of `now`; what the log has `reached` is the
    latest of these, each taken as `now` at most, and never steps back. The feed is `live` when all that the log held at
    the start has been processed; until then its channels are history, not news. So many records are `withheld`: known
    to be in the log, but not to be had.

    `gaps` are the topics of which the log has lost something before it was read, and why, until they are announced:
    subscribers of what they feed do not know it yet. `rights_changes` are whose rights the last record may have
    changed, until they are taken: subscriptions that have lost theirs are to be ended before anything more is
    processed.

    `leftovers` are still to be forgotten, published or ended before anything is processed, in this order; `unread`,
    snapshots as of now, which nothing may change before they are read. `interrupt` has whoever drives the feed, and
    waits for the log, go on with a leftover of another task at once.
    """

    def __init__(self) -> None:
        self.now = self.steady = self.time = self.reached = 0
        self.live = False
        self.withheld = 0
        self.gaps: list[tuple[str, Unrecoverable]] = []
        self.rights_changes: list[RightsChange] = []
        self.leftovers: deque[Iterator[None]] = deque()
        self.interrupt: Callable[[], None] = lambda: None
        # Nobody has to read those that nobody has.
        self.unread: WeakSet[Snapshot] = WeakSet()

    def add_gap(self, topic: str, reason: Unrecoverable) -> None:
        """Note that the log has lost something of a topic, which only those miss who follow it live."""
        if self.live:
            self.gaps.append((topic, reason))

    def change_rights(self, change: RightsChange) -> Iterator[None]:
        """Note whose rights have changed: a leftover, which comes after what the record that did it publishes."""
        if self.live:
            self.rights_changes.append(change)
        yield from ()

    def gaps_announced(self) -> None:
        """Note that all subscribers know of the `gaps`."""
        self.gaps = []

    def take_rights_changes(self) -> list[RightsChange]:
        """Return the `rights_changes`; none as long as something is to be published before they take effect."""
        if self.leftovers:
            return []
        changes, self.rights_changes = self.rights_changes, []
        return changes

    def finish(self) -> Iterator[None]:
        """Bring to its end what has been begun; yields often, and may be let go of in between."""
        yield from self.read_snapshots()
        while self.leftovers:
            # Not `yield from`: who lets go of us in between would end it, too, with much still to be done.
            for _ in self.leftovers[0]:
                yield
            self.leftovers.popleft()

    def read_snapshots(self) -> Iterator[None]:
        """Read what has not been read of snapshots, before anything changes; yields often."""
        while self._read_some():
            yield

    def _read_some(self) -> bool:
        """Read more of one of them, for some milliseconds at most; return whether there is more to be read."""
        for snapshot in self.unread:
            if snapshot.read_some():
                self.unread.discard(snapshot)
            break
        return bool(self.unread)
