"""The states of channels as of the record that was processed last, which snapshots show."""

from collections.abc import Callable

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.progress import Progress
from mesaya_ws.core.feed.snapshot import WRITTEN_AT_ONCE, Snapshot, is_known, is_large, state, view_of
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.notifications import Latest, StoredNotifications, latest
from mesaya_ws.core.views.contents import SnapshotRules, View

INBOX = "notifications"
"""The kind of channels whose snapshots are the latest events."""


class PresentStates:
    """What channels show now, by what is `known`, and what is published after it (see `coverage`).

    Snapshots follow the `rules`.
    """

    def __init__(self, known: Known, coverage: Coverage, progress: Progress, rules: SnapshotRules) -> None:
        self._known = known
        self._coverage = coverage
        self._progress = progress
        self._rules = rules
        self.log_time: Callable[[], int | None] = lambda: None
        """Returns what time it is for the log (ms since 1970), if that is known; who appends to the log sets it."""
        self.written_at_once = WRITTEN_AT_ONCE
        """How many entities of a snapshot are written in one go; more make it large."""

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
            and self._coverage.history is not None
            and not self._coverage.history.anew
            and not self._coverage.in_window(channel, {})
            and self._coverage.window.count(channel.name, {}) <= self.inbox_events
        )

    def continues_notifications(self, stored: StoredNotifications) -> bool:
        """Return whether all that was published after notifications were read from the store is in the window."""
        return self._coverage.in_window(stored.channel, stored.cut)

    def snapshot(self, channel: Channel, stored: StoredNotifications | None = None) -> Snapshot:
        """Return the state of `channel` as of its present position, which is still to be rendered.

        Of a large one, much is still to be read: by whoever renders it, or before the next record is processed. Not of
        a feed that `is_mid_record`. Of notifications, it has the `stored` ones, too, which it must continue.
        """
        view = self._view(channel)
        is_complete = is_known(channel, self._known.projections) and self._coverage.has_all_of(channel.kind.topics)
        if channel.kind.name == INBOX:
            view = view._replace(notifications=self._latest(channel, stored))
            latest_ones = view.notifications
            is_complete = is_complete and latest_ones is not None and (latest_ones.are_all or latest_ones.more)
        known, at_once = state(channel, view), self.written_at_once
        snapshot = Snapshot(
            channel,
            known,
            self._coverage.cursor.position(channel.name, channel.kind),
            is_complete,
            self._coverage.window,
            at_once,
        )
        if not snapshot.read_some():
            self._progress.unread.add(snapshot)
        return snapshot

    def _latest(self, channel: Channel, stored: StoredNotifications | None) -> Latest:
        keep_since = (
            0
            if self._coverage.history is None
            else self._coverage.history.retention.keep_since(min(self._progress.now, self._progress.reached))
        )
        is_in_window = self._coverage.in_window(channel, {})
        return latest(self._coverage.window, channel, self.inbox_events, stored, keep_since, is_in_window=is_in_window)

    def _view(self, channel: Channel) -> View:
        log_now = self.log_time()
        return view_of(
            channel,
            self._known.projections,
            self._coverage.window,
            self._progress.now,
            self._rules,
            log_now=self._progress.now if log_now is None else log_now,
        )

    def continues(self, snapshot: Snapshot) -> bool:
        """Return whether the window still holds what was published after a snapshot, so that it may be sent."""
        return snapshot.continues_in(self._coverage.window)

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether nothing at all has been published since a snapshot."""
        return snapshot.serial == self._coverage.window.serial
