"""What readings of the log have found: kept for clients that come back for it, within bounds of bytes and time."""

from collections.abc import Iterator

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.history import HistoryRead

KEPT = 60.0
"""Seconds for which a finding is kept since somebody has asked for it last."""

IN_USE = 1.0
"""Seconds after which it is looked at again whether a client still receives an old one."""


class Findings:
    """The pasts that were read, the newest last; all together have at most `max_bytes`, and the oldest give way.

    They are let go in steps: to free one takes as long as to drop its publications one by one. Times are in seconds by
    any clock that only goes forward.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._asked_at: dict[HistoryRead, float] = {}

    @property
    def bytes(self) -> int:
        """The bytes of all publications that were found."""
        return sum(past.feed.window.bytes for past in self._asked_at)

    def keep(self, past: HistoryRead, now: float) -> Iterator[None]:
        """Keep what was read. Yields while older findings are let go: who still receives those is too slow."""
        self._asked_at[past] = now
        while self.bytes > self._max_bytes:
            yield from self._let_go(next(iter(self._asked_at)))

    def find(self, channel: Channel, position: str, now: float) -> HistoryRead | None:
        """Return the past that settles what can be replayed from `position` of `channel` on; None: none."""
        for past in reversed(self._asked_at):
            if past.settles(channel, position):
                self._asked_at[past] = now
                return past
        return None

    def forget(self, now: float) -> Iterator[None]:
        """Let go of what nobody has asked for lately, nor still receives; yield after every few publications."""
        for past, asked_at in list(self._asked_at.items()):
            if now >= asked_at + KEPT and not past.is_in_use:
                yield from self._let_go(past)

    def forgets_at(self, now: float) -> float | None:
        """Return when `forget` may have something to do; None if nothing is kept."""
        return max(min(self._asked_at.values()) + KEPT, now + IN_USE) if self._asked_at else None

    def _let_go(self, past: HistoryRead) -> Iterator[None]:
        del self._asked_at[past]
        yield from past.feed.window.clear()
