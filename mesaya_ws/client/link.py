"""How a session stays connected: one WebSocket is in use at a time, by one task (`_connect`).

    state         event                            next state    what happens
    connecting    the WebSocket is open            connected     subscribe to all channels from their positions
    connecting    refused for good                 over          `RefusedError` is delivered
    connecting    anything else fails              connecting    `Disconnected`, then a retry after the backoff
    connected     `going_away`                     moving        a second task connects while this one goes on
    connected     closed, or silent for too long   connecting    `Disconnected`, then a retry after the backoff
    connected     refused for good                 over          `RefusedError` is delivered
    moving        the second WebSocket is open     connected     the first is cancelled, and closed once it is done
    moving        the first one is closed          connecting    the second task goes on trying
    any           the context ends                 over          the WebSocket is closed with 1000

What is said on a WebSocket while it is in use is in `dialogue`.
"""

import math
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import trio
from attrs import Factory, define, field
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import ProtocolError

from mesaya_ws.client.connection import NotConnectedError, RefusedError, open_connection
from mesaya_ws.client.credentials import Credentials
from mesaya_ws.client.events import Disconnected, Notice
from mesaya_ws.client.timings import Timings
from mesaya_ws.runtime.exceptions import first

Talk = Callable[[WebSocketConnection], Awaitable[None]]
"""Uses a WebSocket until cancelled; raises `NotConnectedError` at its end, `RefusedError` if that is for good."""


@define(eq=False)
class Link:
    """The connection to the gateway at `url`, which is replaced by another one as long as that is of use."""

    url: str
    credentials: Credentials
    notify: Callable[[Notice], None]
    timings: Timings
    tls: ssl.SSLContext | None
    _talk: Talk = field(init=False)
    _websocket: WebSocketConnection | None = None
    """The one in use."""
    _in_use: trio.Lock = Factory(trio.Lock)
    """Held by the task whose WebSocket is in use."""
    _scope: trio.CancelScope = Factory(trio.CancelScope)
    """Cancelled to take the WebSocket in use from its task."""
    _closed: trio.Event = Factory(trio.Event)
    """Set when the WebSocket in use has been closed."""
    _tasks: trio.Nursery = field(init=False)
    """The tasks that connect: one, and a second one while the session moves."""
    _is_connecting: bool = False
    """Whether one of them does, from before its first attempt until its WebSocket is in use: then no other one does."""
    _latest: WebSocketConnection | None = None
    """The one that took over last, whether it is in use or has ended: only who opened that reconnects."""
    _is_torn: bool = False
    """Whether a message was not sent whole on the WebSocket in use, on which nothing can be sent after that."""
    _failures: int = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._websocket is not None

    async def run(self, talk: Talk) -> RefusedError | None:
        """Stay connected, and `talk` on each WebSocket, until the gateway refuses for good; return how it does."""
        self._talk = talk
        try:
            async with trio.open_nursery() as self._tasks:
                self.move()
        except* RefusedError as group:
            refused = first(group)
        else:
            return None
        return refused

    async def send(self, message: dict[str, Any], *, even_if_cancelled: bool = False) -> None:
        """Send a message, if there is a connection; if it breaks, whoever reads it notices that, and reconnects.

        Where the connection does not take it, or the caller is cancelled before it does, another connection takes the
        place of this one: what is missing on it, or is there in part, cannot be made good. A caller that is cancelled
        already sends nothing, `even_if_cancelled` it has a moment to do so: one that leaves a channel at its end.
        """
        if (websocket := self._websocket) is None:
            return
        if (is_cancelled := _is_cancelled()) and not even_if_cancelled:
            await trio.lowlevel.checkpoint_if_cancelled()
        is_sent = False
        timeout = self.timings.cancelled_close_timeout if is_cancelled else 2 * self.timings.ping_interval
        try:
            with trio.move_on_after(timeout, shield=is_cancelled):
                with suppress(ConnectionClosed, ProtocolError):
                    await websocket.send_message(orjson.dumps(message).decode())
                is_sent = True
        finally:
            if not is_sent and websocket is self._websocket and not self._scope.cancel_called:
                self._websocket, self._is_torn = None, True
                self._scope.cancel()

    def move(self) -> None:
        """Open a connection, unless that is under way; one that is in use still is, until the other one is open."""
        if not self._is_connecting:
            self._is_connecting = True
            self._tasks.start_soon(self._connect)

    def on_welcome(self) -> None:
        """Retry soon after this connection: the gateway has answered."""
        self._failures = 0

    async def close(self) -> None:
        """Close the connection in order: the gateway need not wait for a timeout.

        The task that uses the connection closes it, since the answer of the gateway must still be read there. That task
        is cancelled with the context if that was: then the close frame is sent, and its answer is not awaited.
        """
        if (websocket := self._websocket) is None:
            return
        is_cancelled = _is_cancelled()
        with trio.CancelScope(shield=True):
            if is_cancelled:
                with trio.move_on_after(self.timings.cancelled_close_timeout):
                    await websocket.aclose()
            else:
                self._scope.cancel()
                await self._closed.wait()

    async def _connect(self) -> None:
        """Connect, and reconnect, until another task has taken over, or does so already.

        Raises `RefusedError` when another attempt is pointless.
        """
        while True:
            was_in_use = False
            try:
                token = await self.credentials.token_now()
                timeout = self.timings.connect_timeout
                async with open_connection(self.url, self.tls, token, timeout=timeout) as websocket:
                    was_in_use = True
                    await self._use(websocket)
                    return
            except* RefusedError as group:
                # While another connection is in use, the session is not over.
                if self._websocket is None:
                    if self.credentials.is_final(refusal := first(group)):
                        raise
                    self.notify(Disconnected(str(refusal).rstrip(".")))
            except* (NotConnectedError, ConnectionClosed, ProtocolError, OSError, trio.BrokenResourceError) as group:
                if self._websocket is None:
                    error = first(group)
                    reason = str(error) if isinstance(error, NotConnectedError) else "the connection broke"
                    self.notify(Disconnected(reason))
            if was_in_use and (self._is_connecting or self._latest is not websocket):
                return
            self._is_connecting = True
            # Full jitter: the clients of one instance must not come back all at once.
            longest = min(self.timings.max_backoff, 0.5 * 2 ** min(self._failures, 10))
            self._failures += 1
            await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets

    async def _use(self, websocket: WebSocketConnection) -> None:
        """Take over from the WebSocket in use, and use this one until another one takes over."""
        self._scope.cancel()
        closed = trio.Event()
        try:
            # Once the lock is free, positions include everything that the previous WebSocket has delivered.
            async with self._in_use:
                with trio.CancelScope() as scope:
                    self._scope, self._websocket, self._closed = scope, websocket, closed
                    self._latest, self._is_connecting, self._is_torn = websocket, False, False
                    try:
                        await self._talk(websocket)
                    except* RefusedError:
                        await self._close(websocket)
                        raise
                    finally:
                        self._websocket = None
                if self._is_torn:
                    raise NotConnectedError("the connection does not take what is sent")
            await self._close(websocket)
        finally:
            closed.set()

    async def _close(self, websocket: WebSocketConnection) -> None:
        """Close a WebSocket, with the closing handshake if that is quick."""
        with trio.move_on_after(self.timings.close_timeout):
            await websocket.aclose()


def _is_cancelled() -> bool:
    """Return whether the task is cancelled, and will learn that where it next waits."""
    return trio.current_effective_deadline() == -math.inf
