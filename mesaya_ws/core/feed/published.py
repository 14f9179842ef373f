"""What has been published, and what is known: all that sessions ask of a feed. Nothing is changed by asking."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from weakref import WeakSet

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import Facts
from mesaya_ws.core.access.rights_changes import RightsChange
from mesaya_ws.core.feed.explanation import Explanation, explain
from mesaya_ws.core.feed.hub import Hub, Subscriber
from mesaya_ws.core.feed.intake import Item
from mesaya_ws.core.feed.snapshot import WRITTEN_AT_ONCE, Snapshot, is_known, is_large, state, view_of
from mesaya_ws.core.feed.tally import Tally
from mesaya_ws.core.feed.uncommitted import Uncommitted
from mesaya_ws.core.feed.watermark import Fresh, Watermark
from mesaya_ws.core.interactions.acknowledgements import Acknowledgements
from mesaya_ws.core.interactions.chats import Chats
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.hold_table import HoldTable
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.log.records import Appended, Partition, Record, Source
from mesaya_ws.core.platform.cold import CACHE_BYTES, OnDisk
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.history import History, Retention
from mesaya_ws.core.recovery.notifications import Latest, StoredNotifications, latest
from mesaya_ws.core.recovery.position import BadPositionError, Cursor, Offsets, ReplacedTopicError
from mesaya_ws.core.recovery.replay import Replay, ReplayRange
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest, StoredReplay
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable, first_ahead
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.tracking import Follower, TrackedKeys, Tracking
from mesaya_ws.core.views.chats import history_of
from mesaya_ws.core.views.contents import SnapshotRules, State, View

EXPIRED_PARENTS = "expired_parents"
"""The table of the parents that were waited for in vain (see `Merge`), by `<entity>:<id>`."""

ROW_ENTRIES = 4
"""How many entries of the history are as much work for the store as a row: it lies on a page of its own, and so does
what finds it, and until they are committed, such pages are memory."""

COPIED_PER_ENTRY = 4
"""How many publications in the copy of the window are as much work for the store as an entry: nothing finds them."""

INBOX = "notifications"
"""The kind of channels whose snapshots are the latest events."""


class Published:
    """What has been published up to now: the side of a feed that sessions see.

    It is `live` when all that the log held at the start has been processed; until then its channels are history, not
    news. `cursor` stands after the last record, and `time` is that record's (ms since the epoch).

    `gaps` are the topics of which the log has lost something before it was read, and why, since somebody took them from
    here: subscribers of what they feed do not know it yet. `rights_changes` likewise are whose rights the last record
    may have changed: subscriptions that have lost theirs are to be ended before anything more is processed. `tally` is
    what its sessions count.

    It `is_mid_record` while a record has been begun with, but not all is published that becomes of it, or not all has
    ended that ends with it. Then nobody may take a state, or be given a position: some of what lies before that is
    still to come.
    """

    def __init__(
        self,
        hub: Hub,
        window: Window,
        watermark: Watermark,
        new_merge: Callable[[Projections], Merge[Item]],
        retention: Retention | None = None,
        rules: SnapshotRules | None = None,
        keep_settled_days: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.hub = hub
        self.window = window
        self.cursor = Cursor()
        self.history = None if retention is None else History(retention, self.cursor, window)
        self.coverage = Coverage(self.cursor, window, self.history)
        self.live = False
        self.time = 0
        self.gaps: list[tuple[str, Unrecoverable]] = []
        self.rights_changes: list[RightsChange] = []
        self.tally = Tally()
        self.log_time: Callable[[], int | None] = lambda: None
        """Returns what time it is for the log (ms since 1970), if that is known; who appends to the log sets it."""
        self.written_at_once = WRITTEN_AT_ONCE
        """How many entities of a snapshot are written in one go; more make it large."""
        self._watermark = watermark
        self._rules = rules or SnapshotRules()
        self._keep_settled_days = keep_settled_days
        self._now = self._steady = 0
        # Records that are known to be in the log, but cannot be had.
        self._withheld = 0
        self._tracking = Tracking()
        self.stored = Stored()
        """What the state store has, for rules that look something up; whoever commits sets its view."""
        self._on_disk = None if retention is None else OnDisk(self.stored, cache_bytes)
        self._projections = self._new_projections()
        self._new_merge = new_merge
        self._merge = new_merge(self._projections)
        self._merge.expired_parents = TrackedKeys(self._tracking.table(EXPIRED_PARENTS))
        self._uncommitted = None if retention is None else Uncommitted(self._tracking.follow())
        # What is still to be forgotten, published or ended before anything is processed, in this order.
        self._leftovers: deque[Iterator[None]] = deque()
        # Snapshots as of now, which nothing may change before they are read; nobody has to read those that nobody has.
        self._unread: WeakSet[Snapshot] = WeakSet()

    def _new_projections(self) -> Projections:
        projections = Projections(
            keep_settled_days=self._keep_settled_days, tracking=self._tracking, on_disk=self._on_disk
        )
        projections.position_at = self.cursor.position_at
        return projections

    def _rows(self) -> Iterator[Row]:
        """Yield all that is known; nothing may be processed meanwhile."""
        yield from self._projections.rows()
        for parent, place in self._merge.expired_parents.items():
            yield EXPIRED_PARENTS, parent, place

    def follow_changes(self) -> Follower:
        """Return who can take the rows that change from now on; see `Projections.follow_changes`.

        To them belong those of the table `EXPIRED_PARENTS`. What is restored at the start is no change. What is taken
        is as of the record that was processed last, unless the feed `is_mid_record`.
        """
        return self._projections.follow_changes()

    @property
    def uncommitted(self) -> int:
        """How much waits to be committed to the state store, in entries of the history; a row is as much as several."""
        if self.history is None or self._uncommitted is None:
            return 0
        copied = -(-self.history.window_copy.pending // COPIED_PER_ENTRY)
        published = max(self.history.pending, copied)  # they have publications in common
        return published + ROW_ENTRIES * self._uncommitted.pending

    @property
    def is_mid_record(self) -> bool:
        """Whether no state may be taken now, and no position be given to a client."""
        return bool(self._leftovers)

    @property
    def facts(self) -> Facts:
        """What rights depend on, as of the record that was processed last."""
        return self._projections

    @property
    def refreshes(self) -> int:
        """How often the metadata of the whole log have been refreshed: what only the log can say may have changed."""
        return self.coverage.refreshes

    def check_position(
        self, channel: Channel, position: str, since: int
    ) -> Recoverable | NeedsHistory | NotReached | Unrecoverable:
        """Return what can be done for a client that asked at refresh number `since` to go on from `position`.

        `Recoverable`: replay from the window. `NeedsHistory`: the window has lost some of it, and the store has not.
        `NotReached`: the log may reach so far, so the position is worth waiting for. The first refresh after `since`
        may have begun before the client came, and so decides nothing. Else the reason why it cannot be recovered.
        """
        coverage = self.coverage
        match verdict := coverage.check(channel, position):
            case NeedsHistory(vector):
                return coverage.check_history(channel, vector)
            case NotReached(vector) if not coverage.reaches(vector) and coverage.refreshes >= since + 2:
                return Unrecoverable.POSITION_AHEAD
        return verdict

    def is_ahead(self, channel: Channel, position: str) -> bool:
        """Return whether a position is one that this instance has not reached; the work does not depend on the id.

        Whoever may not see a channel must not learn by the time that an answer takes whether there is anything on it.
        """
        vector = self.read_position(channel, position)
        return vector is not None and first_ahead(vector, self.cursor) is not None

    def has_passed(self, ahead: NotReached) -> bool:
        """Return whether so much has been read since that to check the position again may say something else."""
        return ahead.is_passed(self.cursor)

    @property
    def chats(self) -> Chats:
        """All conversations, as of the record that was processed last."""
        return self._projections.chats

    @property
    def acks(self) -> Acknowledgements:
        """Which reservations have been acknowledged, as of the record that was processed last."""
        return self._projections.acks

    @property
    def holds(self) -> HoldTable:
        """All table holds, as of the record that was processed last."""
        return self._projections.holds

    def restaurant_of(self, entity: str, id: str) -> str | None:
        """Return the restaurant of a reservation or a table; None if nothing is known of it, or it was deleted."""
        return self._projections.place(entity, self._projections.entities[entity].alive.get(id))

    def chat_history(self, conversation: Conversation, before: int | None, count: int) -> State:
        """Return messages of a conversation before an offset (None: the latest), and from where to go on."""
        return history_of(conversation, before, count, self._projections)

    def has_processed(self, place: Appended) -> bool:
        """Return whether a record that was appended has been processed, with all that follows from it."""
        next_offset = self.cursor.next.get(Partition(place.topic, place.partition), 0)
        return next_offset > place.offset and not self.is_mid_record

    def position_at(self, channel: Channel, partition: Partition, next_offset: int) -> str:
        """Return the position on a channel right before the record at an offset of one of its partitions."""
        return self.cursor.position_at(channel.name, channel.kind, partition, next_offset)

    def position_before_latest(self, channel: Channel, count: int) -> str | None:
        """Return the position right before the last `count` events of a channel; None if none of them is in memory.

        It is one where this instance has been: the last ones are those that it has published last.
        """
        lines = self.window.last(channel.name, count)
        serials = sorted(each.serial for line in lines.values() for each in line)[-count:]
        if not serials:
            return None
        places = {}
        for partition, line in lines.items():
            later = [each.offset for each in line if each.serial >= serials[0]]
            if line:
                places[partition] = later[0] if later else line[-1].offset + 1
        return self.cursor.position_with(channel.name, channel.kind, places)

    def read_position(self, channel: Channel, position: str) -> Offsets | None:
        """Return the places that a position of a channel stands for; None if it is none, or one of another log."""
        try:
            return self.cursor.read(position, channel)
        except (BadPositionError, ReplacedTopicError):
            return None

    def settled_position(self, channel: Channel) -> str | None:
        """Return the position up to which every live subscriber of `channel` has been written to.

        None in the middle of a record, while frames wait for the fan-out, or while a gap in the channel's topics has
        not been reported: no client may be given a position after that.
        """
        if (
            self.is_mid_record
            or not self.hub.is_settled(channel.name)
            or any(topic in channel.kind.topics for topic, _ in self.gaps)
        ):
            return None
        return self.position(channel)

    def replay(self, channel: Channel, vector: Offsets) -> Replay:
        """Return what was published on `channel` after `vector`, and goes on to be; all of it is in the window."""
        return Replay(ReplayRange(self.window, channel.name, vector))

    def continues_page(self, request: HistoryRequest, page: HistoryPage) -> bool:
        """Return whether a page that was read can be sent: what follows the store, if it is needed, is in the window.

        Where much is published at once, the window may move on before the store has been written.
        """
        needs_window = page.is_whole and page.is_clean and (page.is_last or request.opens)
        return not needs_window or self.coverage.in_window(request.channel, page.end)

    def replay_stored(self, channel: Channel, page: HistoryPage) -> StoredReplay:
        """Return what the store has after a place on `channel`, whose first page was read, and what follows.

        Raises `PositionEvicted` when the window does not hold what follows.
        """
        return StoredReplay(self.window, self.coverage, channel, page)

    def replay_after(self, snapshot: Snapshot) -> Replay:
        """Return what was published on the channel after a snapshot that `continues`."""
        return Replay(ReplayRange(self.window, snapshot.channel.name, {}, sent=snapshot.serial))

    def replay_unwritten(self, channel: Channel) -> Replay:
        """Return what was published after the frames that the subscriber had which is just being offered more.

        States that a later one supersedes are left out.
        """
        after = ReplayRange(self.window, channel.name, {}, sent=self.hub.written(channel.name))
        return Replay(after, conflates=True)

    def continues(self, snapshot: Snapshot) -> bool:
        """Return whether the window still holds what was published after a snapshot, so that it may be sent."""
        return snapshot.continues_in(self.window)

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether nothing at all has been published since a snapshot."""
        return snapshot.serial == self.window.serial

    def subscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand the publications to come on `channel` to `subscriber`."""
        self.hub.subscribe(channel.name, subscriber)

    def suspend(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand nothing on `channel` to `subscriber`, which is on it, until it subscribes."""
        self.hub.suspend(channel.name, subscriber)

    def unsubscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand nothing more on `channel` to `subscriber`."""
        self.hub.unsubscribe(channel.name, subscriber)

    def position(self, channel: Channel) -> str:
        """Return the place up to which everything on `channel` has been published."""
        return self.cursor.position(channel.name, channel.kind)

    def freshness(self) -> Fresh:
        """Return how fresh the channels are: all that happened before `asOf` (ms since the epoch) has been published.

        `asOf` is None while nothing is known of that. `lag` is how many records are known to be in the log but not
        processed yet, those that cannot be had now among them; `live` is as said of the feed.
        """
        lag = self._merge.remaining + self._withheld
        return {"live": self.live, "asOf": self._watermark.as_of or None, "lag": lag}

    def lags(self) -> Mapping[Source, int]:
        """Return how many records of each source are known but not processed; without those that cannot be had."""
        return self._merge.known()

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

    def explain(
        self, record: Record, *, auth: bool, user: Identity | None = None, is_alone: bool = False
    ) -> Explanation:
        """Return what a record would become, were it the next one; see `explanation.explain`.

        Not of a feed that `is_mid_record`.
        """
        return explain(record, self._projections, auth=auth, user=user, is_alone=is_alone)

    def is_missing(self, parent: str) -> bool:
        """Return whether nothing is known of a parent, `<entity>:<id>` (see `request_parent`)."""
        entity, _, id = parent.partition(":")
        return not self._projections.is_parent(entity, id)
