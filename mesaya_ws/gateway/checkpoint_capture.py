"""What a checkpoint is captured of: all that is known, or what has changed since the one before it."""

from collections.abc import Callable, Sequence

import trio

from mesaya_ws.core.feed.changelog import Changelog, Mark
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.state.tracking import Follower
from mesaya_ws.gateway.checkpoint_topic import Checkpoint, CheckpointTopic, is_full, packed

WHOLE_MS = 86_400_000
"""Age of what was known that is continued, at most: what has been erased since must not be in the topic for ever."""

MOST_CHANGED = 200_000
"""Rows that may have changed and wait to be written, some 30 MB; past that, all that is known is captured."""


class CheckpointCapture:
    """Captures checkpoints of `feed` between two of its turns, when they are requested.

    `after` is the checkpoint that what changes comes after, as long as it is followed: the last one of the topic
    `topic` that this instance has written or begun with. What has changed waits up to `max_changes` rows.
    """

    def __init__(self, feed: Feed, topic: CheckpointTopic, time_ms: Callable[[], int], max_changes: int) -> None:
        self._feed = feed
        self._topic = topic
        self._time_ms = time_ms
        self._max_changes = max_changes
        self._requested: trio.MemorySendChannel[tuple[Cut, list[list[Row]]]] | None = None
        # Who notes what changes after a checkpoint, which is that of `after`, once it has been written.
        self._follower: Follower | None = None
        self.after: Mark | None = None

    def begin_after(self, mark: Mark) -> None:
        """Follow what changes after a checkpoint that the feed has begun with."""
        self._follower, self.after = self._feed.known.follow_changes(), mark

    async def request(self) -> tuple[Checkpoint, float]:
        """Wait for the next `capture`; return it, and when it was captured."""
        self._requested, answer = trio.open_memory_channel[tuple[Cut, list[list[Row]]]](1)
        cut, pieces = await answer.receive()
        since, taken, rows = trio.current_time(), self._time_ms(), sum(map(len, pieces))
        if self.after is None:
            # It is much, and will wait for long.
            return Checkpoint(taken, cut, rows, parts=await packed(pieces)), since
        return Checkpoint(taken, cut, rows, pieces=pieces), since

    async def capture(self) -> None:
        """Copy what is known, or what of it has changed, if a checkpoint is due.

        Call it between two turns of the feed, which must wait for it. It takes some 0.3 µs for each entity.
        """
        if self._follower is not None and self._follower.pending > self._max_changes:
            self.stop_following()
        if self._requested is None:
            return
        requested, self._requested = self._requested, None
        cut, rest = self._feed.persistent.capture(self._follower_of_changes())
        pieces = []
        for piece in rest:
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        if self._follower is None:
            self._follower = self._feed.known.follow_changes()
        requested.send_nowait((cut, pieces))

    def _follower_of_changes(self) -> Follower | None:
        """Return who knows what has changed after a checkpoint, if that is better written than all that is known."""
        follower, after = self._follower, self.after
        if follower is not None and (
            after is None
            or not is_newest(self._topic.changelog, after)
            or self._is_used_up(self._topic.changelog.chain(after), follower.pending)
        ):
            self.stop_following()
        return self._follower

    def _is_used_up(self, chain: Sequence[Mark], rows: int) -> bool:
        # A clock that is wrong has all that is known written once more, and nothing else.
        return is_full(chain, rows) or not 0 <= self._time_ms() - chain[0].taken < WHOLE_MS

    def stop_following(self) -> None:
        """Have all that is known captured the next time."""
        if self._follower is not None:
            self._follower.stop()
        self._follower = self.after = None

    def give_back(self, checkpoint: Checkpoint) -> None:
        """Have captured once more what was not written: as a change, if what it comes after is still the newest."""
        if self._follower is None or self.after is None or not is_newest(self._topic.changelog, self.after):
            self.stop_following()
            return
        rows: dict[str, dict[str, object]] = {}
        for piece in checkpoint.pieces:
            for table, id, value in piece:
                rows.setdefault(table, {})[id] = value
        self._follower.give_back(rows)


def is_newest(changelog: Changelog, mark: Mark) -> bool:
    """Return whether no newer checkpoint is known."""
    newest = changelog.newest()
    return newest is not None and newest.id == mark.id
