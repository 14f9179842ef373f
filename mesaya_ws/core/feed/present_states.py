"""The states of channels as of the record that was processed last, which snapshots show."""

from collections.abc import Callable, Iterator
from weakref import WeakSet

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.intake import Item
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.snapshot import WRITTEN_AT_ONCE, Snapshot, is_known, is_large, state, view_of
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.platform.cold import CACHE_BYTES
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.history import History, Retention
from mesaya_ws.core.recovery.notifications import Latest, StoredNotifications, latest
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.contents import SnapshotRules, View

INBOX = "notifications"
"""The kind of channels whose snapshots are the latest events."""


class PresentStates(Known):
    """What channels show now, and from where on the `window` and the `history` have what is published after it.

    `time` is that of the last record (ms since the epoch).
    """

    def __init__(
        self,
        window: Window,
        new_merge: Callable[[Projections], Merge[Item]],
        retention: Retention | None = None,
        rules: SnapshotRules | None = None,
        keep_settled_days: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__(
            new_merge,
            keeps_on_disk=retention is not None,
            keep_settled_days=keep_settled_days,
            cache_bytes=cache_bytes,
        )
        self.window = window
        self.history = None if retention is None else History(retention, self.cursor, window)
        self.coverage = Coverage(self.cursor, window, self.history)
        self.time = 0
        self.log_time: Callable[[], int | None] = lambda: None
        """Returns what time it is for the log (ms since 1970), if that is known; who appends to the log sets it."""
        self.written_at_once = WRITTEN_AT_ONCE
        """How many entities of a snapshot are written in one go; more make it large."""
        self._rules = rules or SnapshotRules()
        self._now = self._steady = 0
        # Snapshots as of now, which nothing may change before they are read; nobody has to read those that nobody has.
        self._unread: WeakSet[Snapshot] = WeakSet()

    def position(self, channel: Channel) -> str:
        """Return the place up to which everything on `channel` has been published."""
        return self.cursor.position(channel.name, channel.kind)

    def is_large(self, channel: Channel) -> bool:
        """Return whether to render the state of `channel` takes so long that others should run meanwhile."""
        return self.reads_notifications(channel) or is_large(channel, self._view(channel), self.written_at_once)

    @property
    def inbox_events(self) -> int:
        """How many notifications the snapshot of a user's channel has at most."""
        return self._rules.inbox_events

    def reads_notifications(self, channel: Channel) -> bool:
        """Return whether to render the state of `channel`, the store is to be read: the window has not all of it."""
        return (
            channel.kind.name == INBOX
            and self.history is not None
            and not self.history.anew
            and not self.coverage.in_window(channel, {})
            and self.window.count(channel.name, {}) <= self.inbox_events
        )

    def continues_notifications(self, stored: StoredNotifications) -> bool:
        """Return whether all that was published after notifications were read from the store is in the window."""
        return self.coverage.in_window(stored.channel, stored.cut)

    def snapshot(self, channel: Channel, stored: StoredNotifications | None = None) -> Snapshot:
        """Return the state of `channel` as of its present position, which is still to be rendered.

        Of a large one, much is still to be read: by whoever renders it, or before the next record is processed. Not of
        a feed that `is_mid_record`. Of notifications, it has the `stored` ones, too, which it must continue.
        """
        view = self._view(channel)
        is_complete = is_known(channel, self._projections) and self.coverage.has_all_of(channel.kind.topics)
        if channel.kind.name == INBOX:
            view = view._replace(notifications=self._latest(channel, stored))
            latest_ones = view.notifications
            is_complete = is_complete and latest_ones is not None and (latest_ones.are_all or latest_ones.more)
        known, at_once = state(channel, view), self.written_at_once
        snapshot = Snapshot(channel, known, self.position(channel), is_complete, self.window, at_once)
        if not snapshot.read_some():
            self._unread.add(snapshot)
        return snapshot

    def _read_snapshots(self) -> Iterator[None]:
        """Read what has not been read of snapshots, before anything changes; yields often."""
        while self._read_some():
            yield

    def _read_some(self) -> bool:
        """Read more of one of them, for some milliseconds at most; return whether there is more to be read."""
        for snapshot in self._unread:
            if snapshot.read_some():
                self._unread.discard(snapshot)
            break
        return bool(self._unread)

    def _latest(self, channel: Channel, stored: StoredNotifications | None) -> Latest:
        keep_since = 0 if self.history is None else self.history.retention.keep_since(min(self._now, self.time))
        is_in_window = self.coverage.in_window(channel, {})
        return latest(self.window, channel, self.inbox_events, stored, keep_since, is_in_window=is_in_window)

    def _view(self, channel: Channel) -> View:
        log_now = self.log_time()
        return view_of(
            channel,
            self._projections,
            self.window,
            self._now,
            self._rules,
            log_now=self._now if log_now is None else log_now,
        )

    def continues(self, snapshot: Snapshot) -> bool:
        """Return whether the window still holds what was published after a snapshot, so that it may be sent."""
        return snapshot.continues_in(self.window)

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether nothing at all has been published since a snapshot."""
        return snapshot.serial == self.window.serial
