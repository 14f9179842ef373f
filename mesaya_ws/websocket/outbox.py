"""What waits for one client: written at once while the client keeps up, queued within bounds when it does not."""

import os
from typing import Protocol

import trio

JOIN = 65_536
"""Queued frames are joined up to about this many bytes for one write."""


class Owner(Protocol):
    """Whoever an outbox works for."""

    def overflowed(self) -> None:
        """Hear that the client reads too slowly, and that the outbox takes nothing more."""
        ...

    def idle(self) -> None:
        """Hear that all that waited has been written."""
        ...


class Outbox:
    """The only way of bytes to a client's socket.

    While nothing waits, `offer` writes without blocking and without a task switch. What the kernel does not take goes
    into a memory channel, which the send task (`drain`) empties. Past the bounds nothing more is taken but a last word
    (`finish`). `behind` says that something waits; `broken`, that nothing will ever be written again.
    """

    __slots__ = (
        "_fd",
        "_finished",
        "_max_bytes",
        "_max_messages",
        "_owner",
        "_put",
        "_rest",
        "_sealed",
        "_socket",
        "_take",
        "_waiting_messages",
        "behind",
        "broken",
        "waiting_bytes",
    )

    def __init__(self, socket: trio.socket.SocketType, max_messages: int, max_bytes: int, owner: Owner) -> None:
        self._socket = socket
        # os.write, since Trio's sockets have no public way to send without awaiting.
        self._fd = socket.fileno()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._owner: Owner | None = owner
        self._put, self._take = trio.open_memory_channel[tuple[bytes, int]](max_messages + 2)
        self._rest = memoryview(b"")
        self._finished = False
        self._sealed = False
        self._waiting_messages = 0
        self.behind = False
        self.broken = False
        self.waiting_bytes = 0

    def offer(self, data: bytes, messages: int) -> None:
        """Write `data`, which holds that many whole frames, or queue what cannot be written now."""
        if self._sealed:
            return
        if self.behind:
            self._queue(data, messages)
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:  # the peer is gone; the receive task is being told the same
            self._sealed = self.broken = True
            return
        if written < len(data):
            self.behind = True
            self._rest = memoryview(data)[written:]
            self.waiting_bytes = len(self._rest)
            self._put.send_nowait((b"", 0))

    def _queue(self, data: bytes, messages: int) -> None:
        self.waiting_bytes += len(data)
        self._waiting_messages += messages
        if self.waiting_bytes > self._max_bytes or self._waiting_messages > self._max_messages:
            self._sealed = True
            if self._owner is not None:
                self._owner.overflowed()
        else:
            self._put.send_nowait((data, messages))

    async def drain(self) -> None:
        """Write what is queued whenever the client takes it; the send task of a connection."""
        try:
            async for queued in self._take:
                await self._write()
                self._rest = memoryview(self._join(*queued))
                await self._write()
                if self.waiting_bytes == 0:
                    self.behind = False
                    self._caught_up()
        except (OSError, trio.ClosedResourceError):
            self._sealed = self.broken = True

    def _join(self, data: bytes, messages: int) -> bytes:
        parts, size = [data], len(data)
        while size < JOIN:
            try:
                data, more = self._take.receive_nowait()
            except trio.WouldBlock:
                break
            parts.append(data)
            size += len(data)
            messages += more
        self._waiting_messages -= messages
        return b"".join(parts)

    def _caught_up(self) -> None:
        if self._finished:
            self._socket.shutdown(trio.socket.SHUT_WR)
        elif self._owner is not None:
            self._owner.idle()

    async def _write(self) -> None:
        while self._rest:
            try:
                written = os.write(self._fd, self._rest)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
                continue
            self._rest = self._rest[written:]
            self.waiting_bytes -= written

    def finish(self, last_word: bytes) -> None:
        """Drop whatever has not begun to be written, send `last_word`, and end the sending side of the connection."""
        if self._finished or self.broken:
            return
        while True:
            try:
                self._take.receive_nowait()
            except trio.WouldBlock:
                break
        self.waiting_bytes, self._waiting_messages = len(self._rest), 0
        self._sealed = False
        if self.behind:
            self.waiting_bytes += len(last_word)
            self._put.send_nowait((last_word, 0))
        else:
            self.offer(last_word, 1)
        self._finished = self._sealed = True
        if not self.behind and not self.broken:
            self._caught_up()

    def close(self) -> None:
        """Never touch the socket again: its descriptor may soon be another one's."""
        self._sealed = self.broken = True
        self._put.close()
        self._fd = -1
        self._owner = None  # which breaks a cycle: the garbage collector is not needed for it
