"""What a subscription is still to be told before it is live: what was published on its channel meanwhile, in pages."""

from collections import deque
from collections.abc import Iterable

from attrs import define

from mesaya_ws.core.folding import newest
from mesaya_ws.core.position import Vector
from mesaya_ws.core.window import Overtaken, Publication, Window

PAGE_BYTES = 65_536
"""How much of a replay is handed to an outbox at a time; the next page waits until that one is written."""


@define
class Replay:
    """A subscription that is still being told what it missed: all after `vector` and after the publication `serial`.

    What is `past` comes first. A vector means nothing in another `era` of the window. With `folds`, of the states of
    one thing only the newest is told.
    """

    vector: Vector
    serial: int
    era: int
    past: deque[Publication]
    folds: bool = False

    def page(self, channel: str, window: Window) -> tuple[list[bytes], bool]:
        """Return the next frames, and whether they are the last: then the channel is to be subscribed to.

        Raises `Overtaken` when its place is gone from the window.
        """
        if self.era != window.era:
            raise Overtaken
        recent: Iterable[Publication] = window.after(channel, self.vector, self.serial)
        if self.folds:
            recent = newest(recent)
        frames: list[bytes] = []
        size = 0
        while self.past and size < PAGE_BYTES:
            frames.append(self.past.popleft().frame)
            size += len(frames[-1])
        for publication in recent:
            if size >= PAGE_BYTES:
                self.serial = publication.serial - 1
                return frames, False
            frames.append(publication.frame)
            size += len(publication.frame)
        return frames, not self.past
