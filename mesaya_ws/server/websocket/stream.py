"""The stream under a WebSocket: where all of its bytes pass, in and out."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from mesaya_ws.core.wire.frame_limits import FrameLimiter, Violation
from mesaya_ws.core.wire.frames import CLOSE
from mesaya_ws.server.websocket.send_queue import SendQueue

Receive = Callable[[trio.socket.SocketType], Awaitable[bytes]]
"""Returns the next bytes that come to a socket; `b""` at their end."""


class Owner(Protocol):
    """Whoever a stream works for."""

    def on_violation(self, violation: Violation) -> None:
        """End a client that has broken a limit; nothing more is received from it."""
        ...


class ClientStream(trio.abc.Stream):
    """A client's socket as trio-websocket sees it, from the end of the handshake on.

    What trio-websocket sends goes through the send queue, in order with the frames of events. What it receives is first
    the `trailing_data` of the handshake, then the socket's bytes, all checked by the `limiter`: a client that breaks a
    limit is reported once to `owner`, and nothing more of it is received. `close_sent` says that trio-websocket has
    sent a close frame. Closing the stream ends what trio-websocket can do, and leaves the socket to its owner.
    """

    __slots__ = (
        "_closed",
        "_limiter",
        "_owner",
        "_receive",
        "_send_queue",
        "_socket",
        "_trailing_data",
        "close_sent",
        "received_at",
    )

    def __init__(
        self,
        socket: trio.socket.SocketType,
        trailing_data: bytes,
        send_queue: SendQueue,
        limiter: FrameLimiter,
        owner: Owner,
        receive: Receive,
    ) -> None:
        self._socket = socket
        self._receive = receive
        self._trailing_data = trailing_data
        self._send_queue = send_queue
        self._limiter: FrameLimiter | None = limiter
        self._owner: Owner | None = owner
        self._closed = False
        self.close_sent = False
        self.received_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes of the client, however many; `b""` at their end."""
        if self._closed:
            raise trio.ClosedResourceError
        while data := self._trailing_data or await self._receive(self._socket):
            self._trailing_data = b""
            self.received_at = trio.current_time()
            if self._limiter is None:
                continue
            violation = self._limiter.feed(data, self.received_at)
            if violation is None:
                return data
            self._limiter = None
            if self._owner is not None:
                self._owner.on_violation(violation)
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand `data` to the send queue. Raises `BrokenResourceError` when the client is gone."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if data[0] == CLOSE:
            self.close_sent = True
            self._send_queue.drop()  # who closes wants nothing of it any more
            self._send_queue.send_close(bytes(data))
        else:
            self._send_queue.offer(bytes(data), 1)
        if self._send_queue.broken:
            raise trio.BrokenResourceError

    @property
    def incomplete_since(self) -> float | None:
        """When the client began a message whose end has not come yet; None: there is no such message."""
        return None if self._limiter is None else self._limiter.incomplete_since

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: the send queue never blocks."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """End the use of the stream."""
        self._closed = True
        await trio.lowlevel.checkpoint()

    def detach(self) -> None:
        """Call the owner no more."""
        self._owner = None  # which breaks a cycle: the garbage collector is not needed for it
