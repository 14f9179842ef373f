"""What waits for one client: written at once while the client keeps up, queued within bounds when it does not."""

import fcntl
import os
import termios
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from os import write  # found at once, in the one place that runs for every delivery
from struct import Struct
from typing import Protocol

import trio

from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.wire.codes import CloseCode
from mesaya_ws.server.websocket.backlog import Backlog

UNDER_WAY = 4096
"""Bytes that may be on their way to a client without being of interest: a ping is always there for a moment."""

_NOTHING = memoryview(b"")
_INT = Struct("i")


class Owner(Protocol):
    """The connection that a send queue writes for."""

    def close(self, close_code: CloseCode) -> None:
        """End the connection, telling the client why."""
        ...

    def on_overflow(self) -> None:
        """End a client that reads too slowly; the send queue takes nothing more."""
        ...

    def on_drained(self) -> None:
        """Send more: everything that waited has been written."""
        ...

    def on_error(self, fault: Exception) -> None:
        """End the connection: the writer task, or `on_drained`, raised `fault`; only a close frame may follow."""
        ...


class SendQueue:
    """The only way of bytes to a client's socket.

    | state | `offer` | it ends by |
    |---|---|---|
    | idle | writes at once | a write that the kernel takes in part: backlogged; an error: broken |
    | backlogged | queues, within the bounds | the queue is empty: idle, and `on_drained`; past the bounds: sealed |
    | sealed | drops | `send_close`: finished |
    | finished | drops | the close frame is written, and the sending side shut down |
    | broken | drops | – |

    While nothing waits, `offer` writes without blocking and without a task switch. If the kernel takes only part, the
    rest is queued, and a writer task runs in `writers` until the queue is empty, or the socket is closed. It is created
    on demand: most clients never need one, and it costs a sixth of a connection. `writers` is one nursery for all
    connections, since one for each is another 1.4 kB. What waits after the write that has begun is bounded; past the
    bounds nothing more is taken but a close frame (`send_close`). A large message is not queued: its frames, which many
    may share, are taken from an iterator as the client takes them (`stream`), and only pings and pongs come between
    them. `backlogged` says that something waits; `broken`, that nothing will ever be written again.
    """

    __slots__ = (
        "_backlog",
        "_drained",
        "_fd",
        "_finished",
        "_max_bytes",
        "_max_messages",
        "_owner",
        "_progress",
        "_rest",
        "_sealed",
        "_socket",
        "_writers",
        "backlogged",
        "broken",
        "viewer",
    )

    def __init__(
        self,
        socket: trio.socket.SocketType,
        writers: trio.Nursery,
        owner: Owner,
        *,
        max_messages: int,
        max_bytes: int,
    ) -> None:
        self._socket = socket
        # os.write, since Trio's sockets have no public way to send without awaiting.
        self._fd = socket.fileno()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._owner: Owner | None = owner
        self._writers = writers
        self._rest = _NOTHING
        self._backlog: Backlog | None = None
        self._drained = 0
        self._progress: tuple[int, float] | None = None
        self._finished = False
        self._sealed = False
        self.backlogged = False
        self.broken = False
        self.viewer: str | None = None

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait to be written, without those of a large message."""
        backlog = self._backlog
        return len(self._rest) + (0 if backlog is None else backlog.bytes)

    def offer(self, data: bytes, messages: int) -> None:
        """Write `data`, which holds that many whole frames, or queue what cannot be written now."""
        if self._sealed:
            return
        if self.backlogged:
            self._queue(data, messages)
            return
        try:
            written = write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:  # the peer is gone; the receive task gets the same error
            self._sealed = self.broken = True
            return
        if written < len(data):
            self._rest = memoryview(data)[written:]
            self._start_writer()

    def stream(self, frames: Iterator[bytes]) -> None:
        """Write `frames`, of one message, each when those before it are written; to be called when nothing is queued.

        When `frames` raises `PositionEvicted`, the client reads too slowly, and `on_overflow` is called.
        """
        if self._sealed:
            return
        if not self.backlogged:
            self._start_writer()
        self._waiting().stream(frames)

    def defer(self) -> None:
        """Count as backlogged until other tasks have had their turn, even if nothing waits; then call `on_drained`."""
        if not self.backlogged and not self._sealed:
            self._start_writer()
        self.backlogged = True

    def disconnect(self, code: CloseCode) -> None:
        """Close the connection."""
        if self._owner is not None:
            self._owner.close(code)

    def _start_writer(self) -> None:
        self.backlogged = True
        self._progress = None
        self._backlog = Backlog()
        self._writers.start_soon(self._run_writer)

    def _queue(self, data: bytes, messages: int) -> None:
        # What has begun to be written does not count: a snapshot may be larger than what may wait after it.
        backlog = self._backlog or self._waiting()
        if backlog.bytes + len(data) > self._max_bytes or backlog.messages + messages > self._max_messages:
            self._sealed = True
            if self._owner is not None:
                self._owner.on_overflow()
        else:
            backlog.put(data, messages)

    def _waiting(self) -> Backlog:
        if self._backlog is None:
            self._backlog = Backlog()
        return self._backlog

    def took_at(self, now: float) -> float:
        """Return when the client last took a byte, or less than ever if nothing is on its way to it.

        It follows from what the kernel still holds for it, `now` and at the calls before.
        """
        if self.broken:
            return -inf
        [held] = _INT.unpack(fcntl.ioctl(self._fd, termios.TIOCOUTQ, _INT.pack(0)))
        if not self.backlogged and held <= UNDER_WAY:
            self._progress = None
            return -inf
        taken = self._drained - held
        if self._progress is None or taken > self._progress[0]:
            self._progress = taken, now
        return self._progress[1]

    async def _run_writer(self) -> None:
        """Run the writer task. The owner handles its faults, which must not end other connections."""
        try:
            await self._send()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the owner handles it
            self._sealed, self._backlog = True, None
            # In the middle of a frame, nothing else can follow; else a close frame can, which nobody waits to write.
            self.broken = self.backlogged = self.broken or bool(self._rest)
            if self._owner is not None:
                self._owner.on_error(fault)

    async def _send(self) -> None:
        """Write what waits as the client takes it."""
        try:
            await self._write()
            while data := await self._next():
                self._rest = memoryview(data)
                await self._write()
        except (OSError, trio.ClosedResourceError):
            self._sealed = self.broken = True
            self._backlog = None
            return
        except PositionEvicted:
            self.backlogged = False
            if self._owner is not None:
                self._owner.on_overflow()
            return
        self.backlogged, self._backlog = False, None
        self._on_written()

    async def _next(self) -> bytes:
        """Take what is to be written next; nothing if nothing waits.

        Others run between the frames of a large message: a client may take all of it as fast as it is written.
        """
        if self._backlog is not None and self._backlog.is_streaming:
            await trio.lowlevel.checkpoint()
        backlog = self._backlog  # another one, or none, if it was dropped meanwhile
        if backlog is None:
            return b""
        try:
            return backlog.take()
        except PositionEvicted:
            # The rest of the message will never come: only a close frame may follow, which may be waiting already.
            close = backlog.last if self._finished else None
            self._sealed, self._backlog = True, None
            if close is None:
                raise
            return close[0]

    async def _write(self) -> None:
        """Write all of what has begun to be written, however long the client takes."""
        while self._rest:
            try:
                written = os.write(self._fd, self._rest)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
                continue
            self._rest = self._rest[written:]
            self._drained += written

    def _on_written(self) -> None:
        if self._finished:
            with suppress(OSError):  # the client is gone; the receive task gets the same error
                self._socket.shutdown(trio.socket.SHUT_WR)
        elif self._owner is not None:
            self._owner.on_drained()

    def drop(self) -> None:
        """Forget whatever has not begun to be written."""
        self._backlog = None

    def send_close(self, close: bytes) -> None:
        """Write what waits, then the frame `close`, and end the sending side of the connection."""
        if self._finished or self.broken:
            return
        self._sealed = False
        if self.backlogged:
            self._waiting().put(close, 0)
        else:
            self.offer(close, 1)
        self._finished = self._sealed = True
        if not self.backlogged and not self.broken:
            self._on_written()

    def close(self) -> None:
        """Never touch the socket again: its descriptor may soon be another one's."""
        self._sealed = self.broken = True
        self._backlog = None
        self._fd = -1
        self._owner = None  # which breaks a cycle: the garbage collector is not needed for it
