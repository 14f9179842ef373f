"""What waits for one client: written at once while the client keeps up, queued within bounds when it does not."""

import os
from contextlib import suppress
from os import write  # found at once, in the one place that runs for every delivery
from typing import Protocol

import trio

JOIN = 65_536
"""Queued frames are joined up to about this many bytes for one write."""

_NOTHING = memoryview(b"")


class Owner(Protocol):
    """Whoever an outbox works for."""

    def overflowed(self) -> None:
        """Hear that the client reads too slowly, and that the outbox takes nothing more."""
        ...

    def idle(self) -> None:
        """Hear that all that waited has been written."""
        ...

    def failed(self, fault: Exception) -> None:
        """Hear of a fault in the send task, or in what `idle` did; only a last word may still be written."""
        ...


_Channel = tuple[trio.MemorySendChannel[tuple[bytes, int]], trio.MemoryReceiveChannel[tuple[bytes, int]]]


class Outbox:
    """The only way of bytes to a client's socket.

    While nothing waits, `offer` writes without blocking and without a task switch. When the kernel does not take all, a
    send task is started in `senders` for as long as something waits, in a memory channel; most clients never need them,
    and they are a sixth of what a connection costs. It ends when the socket is closed at the latest. The nursery is one
    for all connections, since one in each is another 1.4 kB. What waits behind the write that has begun is bounded;
    past the bounds nothing more is taken but a last word (`finish`). `behind` says that something waits; `broken`, that
    nothing will ever be written again.
    """

    __slots__ = (
        "_channel",
        "_fd",
        "_finished",
        "_max_bytes",
        "_max_messages",
        "_owner",
        "_rest",
        "_sealed",
        "_senders",
        "_socket",
        "_waiting_messages",
        "behind",
        "broken",
        "waiting_bytes",
    )

    def __init__(
        self,
        socket: trio.socket.SocketType,
        senders: trio.Nursery,
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
        self._senders = senders
        self._channel: _Channel | None = None
        self._rest = _NOTHING
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
            written = write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:  # the peer is gone; the receive task is being told the same
            self._sealed = self.broken = True
            return
        if written < len(data):
            self.behind = True
            self._rest = memoryview(data)[written:]
            self.waiting_bytes = len(self._rest)
            self._senders.start_soon(self._drain)

    def pause(self) -> None:
        """Be behind until the other tasks have had their turn, even if nothing waits; then the owner hears of it."""
        if not self.behind:
            self.behind = True
            if not self._sealed:
                self._senders.start_soon(self._drain)

    def _queue(self, data: bytes, messages: int) -> None:
        # What has begun to be written does not count: a snapshot may be larger than what may wait behind it.
        waiting = self.waiting_bytes - len(self._rest) + len(data)
        if waiting > self._max_bytes or self._waiting_messages + messages > self._max_messages:
            self._sealed = True
            if self._owner is not None:
                self._owner.overflowed()
        else:
            self._put(data, messages)

    def _put(self, data: bytes, messages: int) -> None:
        self.waiting_bytes += len(data)
        self._waiting_messages += messages
        if self._channel is None:
            # One place more than there can be messages, for the last word.
            self._channel = trio.open_memory_channel(self._max_messages + 1)
        self._channel[0].send_nowait((data, messages))

    async def _drain(self) -> None:
        """Be the send task of the connection; a fault of it is its owner's, and must not end other connections."""
        try:
            await self._send()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the owner hears of it
            self._sealed = True
            # In the middle of a frame, nothing else can follow.
            self.broken = self.broken or bool(self._rest)
            if self._owner is not None:
                self._owner.failed(fault)

    async def _send(self) -> None:
        """Write what waits as the client takes it."""
        try:
            await self._write()
            while data := self._join():
                self._rest = memoryview(data)
                await self._write()
        except (OSError, trio.ClosedResourceError):
            self._sealed = self.broken = True
            return
        self.behind = False
        self._caught_up()

    def _join(self) -> bytes:
        """Take what is queued, up to `JOIN` bytes."""
        parts: list[bytes] = []
        size = 0
        while size < JOIN:
            queued = self._take()
            if queued is None:
                break
            data, messages = queued
            parts.append(data)
            size += len(data)
            self._waiting_messages -= messages
        return b"".join(parts)

    def _take(self) -> tuple[bytes, int] | None:
        if self._channel is None:
            return None
        try:
            return self._channel[1].receive_nowait()
        except trio.WouldBlock:
            return None

    async def _write(self) -> None:
        """Write all of what has begun to be written, however long the client takes."""
        while self._rest:
            try:
                written = os.write(self._fd, self._rest)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
                continue
            self._rest = self._rest[written:]
            self.waiting_bytes -= written

    def _caught_up(self) -> None:
        if self._finished:
            with suppress(OSError):  # the client is gone; the receive task is being told the same
                self._socket.shutdown(trio.socket.SHUT_WR)
        elif self._owner is not None:
            self._owner.idle()

    def drop(self) -> None:
        """Forget whatever has not begun to be written."""
        while self._take():
            pass
        self.waiting_bytes, self._waiting_messages = len(self._rest), 0

    def finish(self, last_word: bytes) -> None:
        """Write what waits, then `last_word`, and end the sending side of the connection."""
        if self._finished or self.broken:
            return
        self._sealed = False
        if self.behind:
            self._put(last_word, 0)
        else:
            self.offer(last_word, 1)
        self._finished = self._sealed = True
        if not self.behind and not self.broken:
            self._caught_up()

    def close(self) -> None:
        """Never touch the socket again: its descriptor may soon be another one's."""
        self._sealed = self.broken = True
        self._fd = -1
        self._owner = None  # which breaks a cycle: the garbage collector is not needed for it
