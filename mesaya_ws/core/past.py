"""What lies further back than the window: channels, read once more from the log, up to where the window takes over.

Whoever reads it is a replica for a moment: it takes the log from its beginning by the same rules as those who were
there, and so publishes the same. Where it cannot know that it does, it does not pretend to.
"""

import math
from collections.abc import Collection

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.position import Vector
from mesaya_ws.core.replay import Replay, Stretch
from mesaya_ws.core.resume import Lost, Missed, first_ahead
from mesaya_ws.core.window import Window


class Past:
    """What was published on `channels` before the place where the feed `present` stands now.

    `feed` is to be told what the log says, from its beginning on, until it `has_arrived`; it keeps at most `max_bytes`.
    """

    def __init__(self, channels: Collection[Channel], present: Feed, parent_wait: float, max_bytes: int) -> None:
        names = frozenset(channel.name for channel in channels)
        topics = {topic for channel in channels for topic in channel.kind.topics}
        self.names = names
        self.feed = Feed(Hub(), Window(math.inf, max_bytes), parent_wait, only=names)
        self._present = present
        self._era = present.window.era
        self._end = {known: next_ for known, next_ in present.cursor.next.items() if known.topic in topics}

    @property
    def has_arrived(self) -> bool:
        """Whether all has been read that lies before the end."""
        return first_ahead(self._end, self.feed.cursor) is None

    def judge(self, channel: Channel, position: str) -> Missed | Lost:
        """Say whether a client that was at `position` of `channel` can be told all that it missed."""
        verdict = self._present.coverage.judge(channel, position), self.feed.coverage.judge(channel, position)
        for each in verdict:
            if isinstance(each, Lost):
                return each
        earlier = verdict[1]
        if not isinstance(earlier, Missed) or not self._is_whole(channel, earlier.vector):
            return Lost.EXPIRED
        return earlier

    def _is_whole(self, channel: Channel, vector: Vector) -> bool:
        """Return whether what is here, and what the window holds from the end on, is all after `vector`."""
        return (
            self.has_arrived
            and self.feed.window.era == 0
            and self._present.window.era == self._era
            and not any(offset > self._end.get(partition, 0) for partition, offset in vector.items())
            and self.feed.coverage.holds(channel, self._end)
            and self._present.coverage.holds(channel, self._end)
        )

    def replay(self, channel: Channel, vector: Vector) -> Replay:
        """Return all that was published on `channel` after `vector`, which `judge` has found to be there."""
        return Replay(
            Stretch(self.feed.window, channel.name, vector, self._end),
            Stretch(self._present.window, channel.name, self._end),
        )
