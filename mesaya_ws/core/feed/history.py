"""What lies further back than the window: channels, read once more from the log, up to where the window takes over.

Whoever reads it is a replica for a moment: it takes the log from its beginning by the same rules as those who were
there, and so publishes the same. Where it cannot know that it does, it does not pretend to.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from weakref import WeakSet

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.history_feed import HistoryFeed
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.replay import Replay, ReplayRange
from mesaya_ws.core.recovery.verdict import NeedsHistory, Recoverable, Unrecoverable, first_ahead


class HistoryRead:
    """What was published on `channels` before the place where the feed `present` stands now.

    `feed` is to ingest what the log says, from its beginning on, until this `is_complete`. Of what it publishes, it
    keeps at most `max_bytes`; `is_too_large` says that what it has to know of entities takes more than
    `max_state_bytes`: then it does not go on.
    """

    def __init__(
        self,
        channels: Collection[Channel],
        present: Feed,
        parent_timeout: float,
        max_bytes: int,
        max_state_bytes: float = math.inf,
    ) -> None:
        # Of each channel, where it was joined: all is here that was published on it after that place.
        self._joined: dict[str, Offsets] = {channel.name: {} for channel in channels}
        self.feed = HistoryFeed(self._joined.keys(), parent_timeout, max_bytes, max_state_bytes)
        self._replays: WeakSet[Replay] = WeakSet()
        self._present = present
        self._era = present.window.era
        self._end: dict[Partition, int] = {}
        self._extend({topic for channel in channels for topic in channel.kind.topics})

    @property
    def names(self) -> Collection[str]:
        """The names of the channels."""
        return self._joined.keys()

    @property
    def is_too_large(self) -> bool:
        """Whether what is known of entities takes more than it may."""
        return self.feed.is_too_large

    @property
    def has_arrived(self) -> bool:
        """Whether all has been read that lies before the end."""
        return first_ahead(self._end, self.feed.cursor) is None

    def is_complete(self) -> bool:
        """Return whether all has been read that lies before the window of the present; if that has moved on, go on."""
        if not self.has_arrived:
            return False
        topics = {known.topic for known in self._end}
        if self._present.window.era == self._era and not self._continues(topics):
            self._extend(topics)
        return self.has_arrived

    def can_join(self, channel: Channel, position: str) -> bool:
        """Return whether the place `position` of another channel has not been passed yet by the reading."""
        verdict = self._present.coverage.check(channel, position)
        return isinstance(verdict, NeedsHistory) and _is_reached(self._place(channel), verdict.vector)

    def join(self, channel: Channel) -> None:
        """Take in another channel, from where the reading stands."""
        if channel.name not in self._joined:
            self._joined[channel.name] = self._place(channel)
            self._extend({*channel.kind.topics, *(known.topic for known in self._end)})

    def _place(self, channel: Channel) -> Offsets:
        return {known: next_ for known, next_ in self.feed.cursor.next.items() if known.topic in channel.kind.topics}

    def covers(self, channel: Channel, position: str) -> bool:
        """Return whether `channel` is here from the place `position` on, or that place is nowhere any more."""
        place = self._joined.get(channel.name)
        if place is None:
            return False
        verdict = self._present.coverage.check(channel, position)
        return not isinstance(verdict, NeedsHistory) or _is_reached(place, verdict.vector)

    def settles(self, channel: Channel, position: str) -> bool:
        """Return whether another reading would find no more for a client that was at `position` of `channel`."""
        return (
            self.covers(channel, position)
            and self.has_arrived
            and self._present.window.era == self._era
            and self._present.coverage.holds(channel, self._end)
        )

    def check_position(self, channel: Channel, position: str) -> Recoverable | Unrecoverable:
        """Say whether all that a client missed that was at `position` of `channel` can be replayed to it."""
        verdict = (
            self._present.coverage.check(channel, position),
            self.feed.coverage.check(channel, position),
        )
        for each in verdict:
            if isinstance(each, Unrecoverable):
                return each
        earlier = verdict[1]
        if not isinstance(earlier, Recoverable) or not self._is_whole(channel, earlier.vector):
            return Unrecoverable.EXPIRED
        return earlier

    def _is_whole(self, channel: Channel, vector: Offsets) -> bool:
        """Return whether what is here, and what the window holds from the end on, is all after `vector`."""
        return (
            self.has_arrived
            and self.feed.window.era == 0
            and self._present.window.era == self._era
            and _is_reached(self._joined[channel.name], vector)
            and not any(offset > self._end.get(partition, 0) for partition, offset in vector.items())
            and self.feed.coverage.holds(channel, self._end)
            and self._present.coverage.holds(channel, self._end)
        )

    def replay(self, channel: Channel, vector: Offsets) -> Replay:
        """Return all that was published on `channel` after `vector`, which `check_position` has found recoverable."""
        replay = Replay(
            ReplayRange(self.feed.window, channel.name, vector, self._end),
            ReplayRange(self._present.window, channel.name, self._end),
        )
        self._replays.add(replay)
        return replay

    @property
    def is_in_use(self) -> bool:
        """Whether a client is still to receive some of a `replay`."""
        return any(not replay.done for replay in self._replays)

    def discard(self) -> Iterator[None]:
        """Let go of all that had to be known to read it, but not of what was found, yielding after some of it."""
        yield from self.feed.discard()

    def _continues(self, topics: Collection[str]) -> bool:
        """Return whether the window of the present holds all from the end on."""
        feeding = [known for known in self._present.cursor.next if known.topic in topics]
        return self._present.window.holds(feeding, self._end)

    def _extend(self, topics: Collection[str]) -> None:
        """Move the end to where the present stands now; as long as nothing has been replayed, it may."""
        self._end |= {known: next_ for known, next_ in self._present.cursor.next.items() if known.topic in topics}


def _is_reached(place: Mapping[Partition, int], vector: Offsets) -> bool:
    """Return whether `vector` lies at or after `place`, in every partition."""
    return all(vector.get(partition, 0) >= offset for partition, offset in place.items())
