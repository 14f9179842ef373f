"""What waits for one client that lags: frames in their order, and a large message, taken as the client takes it."""

from collections import deque
from collections.abc import Iterator

from mesaya_ws.core.wire.frames import CONTROLS

JOIN = 65_536
"""Queued frames are joined up to this many bytes for one write; a larger one, which others may share, is not copied."""


class Backlog:
    """Frames that wait to be written; `bytes` and `messages` are how many, without those of a large message.

    The frames of a large message (`stream`) come one at a time, before everything else that waits, but for pings and
    pongs, which come between two of them.
    """

    __slots__ = ("_controls", "_queued", "_stream", "bytes", "messages")

    def __init__(self) -> None:
        self._controls = b""
        self._queued: deque[tuple[bytes, int]] = deque()
        self._stream: Iterator[bytes] | None = None
        self.bytes = 0
        self.messages = 0

    def put(self, data: bytes, messages: int) -> None:
        """Queue `data`, which holds that many whole frames, after all that waits."""
        self.bytes += len(data)
        if self._stream is not None and data[0] in CONTROLS:
            self._controls += data
        else:
            self.messages += messages
            self._queued.append((data, messages))

    def stream(self, frames: Iterator[bytes]) -> None:
        """Queue the `frames` of one message; to be called when nothing is queued."""
        self._stream = frames

    @property
    def is_streaming(self) -> bool:
        """Whether the frames of a large message come next."""
        return self._stream is not None

    @property
    def last(self) -> tuple[bytes, int] | None:
        """What was put last, if it still waits."""
        return self._queued[-1] if self._queued else None

    def take(self) -> bytes:
        """Return what is to be written next; nothing if nothing waits.

        Raises `PositionEvicted` when a large message cannot go on.
        """
        if self._controls:
            data, self._controls = self._controls, b""
            self.bytes -= len(data)
            return data
        if self._stream is not None:
            if frame := next(self._stream, b""):
                return frame
            self._stream = None
        return self._join()

    def _join(self) -> bytes:
        """Return what is queued: one frame, or several up to `JOIN` bytes."""
        parts: list[bytes] = []
        size = 0
        while self._queued and (not parts or size + len(self._queued[0][0]) <= JOIN):
            data, messages = self._queued.popleft()
            parts.append(data)
            size += len(data)
            self.messages -= messages
        self.bytes -= size
        return b"".join(parts)
