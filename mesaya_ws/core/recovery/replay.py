"""What one client is still to be sent of one channel before it is live, page by page: what it missed, or put off."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.publications import Publication
from mesaya_ws.core.recovery.window import PositionEvicted, Window

PAGE_BYTES = 65_536
"""How much of a replay is handed over at a time, unless one message is larger, which comes alone, and is no copy; the
next page waits until that one is written."""


class ReplayRange:
    """The publications of `window` on `channel` after the place `vector`, and up to `end` where one is given.

    Those up to the one with the serial `sent` have been sent. It holds no publications, only a place among them: a
    client that is long in reading costs no memory. A vector means nothing in another epoch of the window.
    """

    __slots__ = ("_channel", "_end", "_epoch", "_sent", "_vector", "_window")

    def __init__(
        self, window: Window, channel: str, vector: Offsets, end: Offsets | None = None, sent: int | None = None
    ) -> None:
        self._window = window
        self._channel = channel
        self._vector = vector
        self._end = end
        self._epoch = window.epoch
        self._sent = window.evicted if sent is None else sent
        if sent is None:
            self.wait()

    @property
    def count(self) -> int:
        """How many publications there are, sent or not."""
        return self._window.count(self._channel, self._vector, self._end)

    def rest(self) -> Iterator[Publication]:
        """Iterate over what has not been sent. Raises `PositionEvicted` when some of it has left the window."""
        if self._epoch != self._window.epoch:
            raise PositionEvicted
        return self._window.after(self._channel, self._vector, self._sent, self._end)

    def newest(self) -> Iterator[Publication]:
        """Iterate over what has not been sent, without the states that a later one has superseded; see `rest`.

        Only of a stretch of the whole channel: it has no `vector`, and no end.
        """
        if self._epoch != self._window.epoch:
            raise PositionEvicted
        return self._window.newest(self._channel, self._sent)

    def wait(self) -> None:
        """Keep up with the window as long as nothing happens on the channel.

        Raises `PositionEvicted` as `rest` does.
        """
        self.mark_sent_before(next(self.rest(), None))

    def mark_sent_before(self, following: Publication | None) -> None:
        """Note that everything before the publication `following` has been sent; all that there is, if it is None."""
        self._sent = self._window.serial if following is None else following.serial - 1


class Replay:
    """What lies in some stretches, one after the other; the last of them is open, and goes on to the present.

    With `conflates`, of the states of one thing only the newest is sent (see `session.conflation`).
    """

    def __init__(self, *stretches: ReplayRange, conflates: bool = False) -> None:
        self._stretches = deque(stretches)
        self._conflates = conflates

    is_awaited = False
    """Whether the next page is to be read elsewhere first: never."""

    @property
    def count(self) -> int:
        """How many publications there are as yet; to be asked before the first page is taken."""
        return sum(stretch.count for stretch in self._stretches)

    @property
    def done(self) -> bool:
        """Whether all has been sent that there was when the last page was taken."""
        return not self._stretches

    def page(self) -> list[bytes]:
        """Return the next frames.

        Raises `PositionEvicted` when the client was too slow and its place has left the window.
        """
        frames: list[bytes] = []
        size = 0
        while self._stretches:
            stretch = self._stretches[0]
            for publication in stretch.newest() if self._conflates else stretch.rest():
                if frames and size + len(publication.frame) > PAGE_BYTES:
                    stretch.mark_sent_before(publication)
                    for later in islice(self._stretches, 1, None):
                        later.wait()
                    return frames
                frames.append(publication.frame)
                size += len(publication.frame)
            self._stretches.popleft()
        return frames
