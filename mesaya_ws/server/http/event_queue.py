"""The send queue of a client that is served by HTTP: its session offers frames, and one task takes messages."""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

import trio

from mesaya_ws.core.wire.codes import CloseCode
from mesaya_ws.core.wire.event_stream import payloads


class Owner(Protocol):
    """What a queue is of."""

    def close(self, close_code: CloseCode) -> None:
        """End the client's stream."""
        ...

    def on_overflow(self) -> None:
        """Take note that the queue takes nothing more: the client reads too slowly, or has enough."""
        ...


class EventQueue:
    """Frames that wait to be taken as messages, within the bounds of any send queue.

    Whatever is offered waits for the task that takes it; so until that has been written, the client counts as
    `backlogged`, and gets no more of what it missed. Past the bounds nothing more is taken.
    """

    def __init__(self, owner: Owner, *, max_messages: int, max_bytes: int) -> None:
        self._owner = owner
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_messages = 0
        self._stream: Iterator[bytes] | None = None
        self.waiting_bytes = 0
        self.is_full = False
        self.backlogged = False
        self.viewer: str | None = None
        self._offered = trio.Event()

    # What the session and the hub call

    def offer(self, data: bytes, messages: int) -> None:
        """Take `data`, which holds that many whole frames."""
        if self.is_full:
            return
        if self._waiting and (
            self.waiting_bytes + len(data) > self._max_bytes or self._waiting_messages + messages > self._max_messages
        ):
            self.is_full = True
            self._owner.on_overflow()
            return
        self._waiting.append((data, messages))
        self._waiting_messages += messages
        self.waiting_bytes += len(data)
        self.wake()

    def defer(self) -> None:
        """Count as backlogged until others have had their turn."""
        self.wake()

    def stream(self, frames: Iterator[bytes]) -> None:
        """Take the frames of one large message as it is written."""
        if not self.is_full:
            self._stream = frames
            self.wake()

    def disconnect(self, code: CloseCode) -> None:
        """End the client's stream."""
        self._owner.close(code)

    # What the task calls that takes from it

    def wake(self) -> None:
        """Wake the task, which then finds that it is backlogged."""
        self.backlogged = True
        self._offered.set()

    async def wait(self) -> None:
        """Wait until there is something to be taken, or to be done; it is a checkpoint."""
        await self._offered.wait()
        self._offered = trio.Event()

    async def take(self) -> list[bytes]:
        """Return the payloads of the next messages, some at once; none if nothing waits. It is a checkpoint.

        Raises `PositionEvicted` in the middle of a large message whose client has been too slow for it.
        """
        await trio.lowlevel.checkpoint()
        if self._waiting:
            data, messages = self._waiting.popleft()
            self._waiting_messages -= messages
            self.waiting_bytes -= len(data)
            return [payload for payload, _ in payloads(data)]
        if self._stream is None:
            return []
        parts = []
        for frame in self._stream:
            [(part, is_last)] = payloads(frame)
            parts.append(part)
            if is_last:
                break
            await trio.lowlevel.checkpoint()
        self._stream = None
        return [b"".join(parts)]

    def drop(self) -> None:
        """Forget whatever waits."""
        self._waiting.clear()
        self._stream = None
        self.waiting_bytes = self._waiting_messages = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting and self._stream is None
