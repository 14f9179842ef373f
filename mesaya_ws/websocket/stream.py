"""The stream under a WebSocket: where all of its bytes pass, in and out."""

import os
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from mesaya_ws.core.frames import CLOSE, FrameWatch, Violation
from mesaya_ws.websocket.outbox import Outbox

RECEIVE = 65_536
"""Bytes that are received at once, at most."""


async def receive(socket: trio.socket.SocketType) -> bytes:
    """Return the next bytes that come to `socket`; `b""` at their end. Raises `BrokenResourceError`.

    A `trio.SocketStream` does the same, but it waits four coroutines and a context manager deeper, and waiting here is
    what a connection does nearly all of its time: 1.4 of its 15 kB.
    """
    while True:
        await trio.lowlevel.wait_readable(socket)
        try:
            # As in the outbox: Trio's sockets have no public way to do it without awaiting.
            return os.read(socket.fileno(), RECEIVE)
        except BlockingIOError:
            continue
        except OSError as error:
            raise trio.BrokenResourceError from error


class Owner(Protocol):
    """Whoever a stream works for."""

    def violated(self, violation: Violation) -> None:
        """Hear that the client has broken a limit, and is not listened to any more."""
        ...

    async def gone(self) -> None:
        """Hear that nothing more comes from the client; return when it is time to do something about it."""
        ...


class WatchedStream(trio.abc.Stream):
    """A client's socket as trio-websocket sees it, from the end of the handshake on.

    What it sends goes through the outbox, in order with the frames of events. What it receives, first `early` and then
    the socket's bytes, is watched: a client that breaks a limit is reported once to `owner`, and not listened to
    any more. `has_parted` says that trio-websocket has sent a close frame. Closing it ends what trio-websocket can do,
    and leaves the socket to its owner.
    """

    __slots__ = ("_closed", "_early", "_outbox", "_owner", "_receive", "_socket", "_watch", "has_parted", "heard_at")

    def __init__(
        self,
        socket: trio.socket.SocketType,
        early: bytes,
        outbox: Outbox,
        watch: FrameWatch,
        owner: Owner,
        receive: Callable[[trio.socket.SocketType], Awaitable[bytes]] = receive,
    ) -> None:
        self._socket = socket
        self._receive = receive
        self._early = early
        self._outbox = outbox
        self._watch: FrameWatch | None = watch
        self._owner: Owner | None = owner
        self._closed = False
        self.has_parted = False
        self.heard_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes of the client, however many; `b""` at their end."""
        if self._closed:
            raise trio.ClosedResourceError
        try:
            while data := self._early or await self._receive(self._socket):
                self._early = b""
                self.heard_at = trio.current_time()
                if self._watch is None:
                    continue
                violation = self._watch.feed(data, self.heard_at)
                if violation is None:
                    return data
                self._watch = None
                if self._owner is not None:
                    self._owner.violated(violation)
        except trio.BrokenResourceError:
            await self._gone()
            raise
        await self._gone()
        return b""

    async def _gone(self) -> None:
        if self._owner is not None:
            await self._owner.gone()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand `data` to the outbox. Raises `BrokenResourceError` when the client is gone."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        self.has_parted = data[0] == CLOSE
        self._outbox.offer(bytes(data), 1)
        if self._outbox.broken:
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: the outbox never blocks."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """End the use of the stream."""
        self._closed = True
        await trio.lowlevel.checkpoint()

    def abandon(self) -> None:
        """Tell the owner nothing any more."""
        self._owner = None  # which breaks a cycle: the garbage collector is not needed for it
