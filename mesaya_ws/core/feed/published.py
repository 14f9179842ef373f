"""What has been published, and where clients are in it: the side of a feed that sessions see.

Nothing is changed by asking.
"""

from collections.abc import Mapping

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.hub import Hub, Subscriber
from mesaya_ws.core.feed.intake import Item
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.present_states import PresentStates
from mesaya_ws.core.feed.progress import Progress
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.feed.tally import Tally
from mesaya_ws.core.feed.watermark import Fresh, Watermark
from mesaya_ws.core.log.ordering import Merge
from mesaya_ws.core.log.records import Partition, Source
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.position import BadPositionError, Offsets, ReplacedTopicError
from mesaya_ws.core.recovery.replay import Replay, ReplayRange
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest, StoredReplay
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable, first_ahead


class Published:
    """What has been published up to now: the side of a feed that sessions see.

    What is `known`, and the `states` that snapshots show, are as of the record that was processed last. `tally` is what
    its sessions count.
    """

    def __init__(
        self,
        hub: Hub,
        known: Known,
        coverage: Coverage,
        progress: Progress,
        states: PresentStates,
        merge: Merge[Item],
        watermark: Watermark,
    ) -> None:
        self.hub = hub
        self.known = known
        self.coverage = coverage
        self.window, self.history, self.cursor = coverage.window, coverage.history, coverage.cursor
        self.progress = progress
        self.states = states
        self.tally = Tally()
        self._merge = merge
        self._watermark = watermark

    @property
    def live(self) -> bool:
        """Whether all that the log held at the start has been processed."""
        return self.progress.live

    @property
    def is_mid_record(self) -> bool:
        """Whether a record has been begun with, but not all is published that becomes of it, or has ended that ends.

        Then nobody may take a state, or be given a position: some of what lies before that is still to come.
        """
        return bool(self.progress.leftovers)

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

    def position(self, channel: Channel) -> str:
        """Return the place up to which everything on `channel` has been published."""
        return self.cursor.position(channel.name, channel.kind)

    def position_at(self, channel: Channel, partition: Partition, next_offset: int) -> str:
        """Return the position on a channel right before the record at an offset of one of its partitions."""
        return self.cursor.position_at(channel.name, channel.kind, partition, next_offset)

    def position_before_latest(self, channel: Channel, count: int) -> str:
        """Return the position right before the last `count` events of a channel, as far as these are in memory.

        It is one where this instance has been: the last ones are those that it has published last.
        """
        lines = self.window.last(channel.name, count)
        serials = sorted(each.serial for line in lines.values() for each in line)[-count:]
        if not serials:
            return self.position(channel)
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
            or any(topic in channel.kind.topics for topic, _ in self.progress.gaps)
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
        """Return what was published after the last frames written to the subscriber that `fan_out` is serving.

        States that a later one supersedes are left out.
        """
        after = ReplayRange(self.window, channel.name, {}, sent=self.hub.written(channel.name))
        return Replay(after, conflates=True)

    def subscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand the publications to come on `channel` to `subscriber`."""
        self.hub.subscribe(channel.name, subscriber)

    def suspend(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand nothing on `channel` to `subscriber`, which is on it, until it subscribes."""
        self.hub.suspend(channel.name, subscriber)

    def unsubscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Hand nothing more on `channel` to `subscriber`."""
        self.hub.unsubscribe(channel.name, subscriber)

    def freshness(self) -> Fresh:
        """Return how fresh the channels are: all that happened before `asOf` (ms since the epoch) has been published.

        `asOf` is None while nothing is known of that; `live` and `lag` are as said of the feed.
        """
        return {"live": self.live, "asOf": self._watermark.as_of or None, "lag": self.lag}

    @property
    def lag(self) -> int:
        """How many records are known to be in the log but not processed yet, those that cannot be had now included."""
        return self._merge.remaining + self.progress.withheld

    def lags(self) -> Mapping[Source, int]:
        """Return how many records of each source are known but not processed; without those that cannot be had."""
        return self._merge.known()
