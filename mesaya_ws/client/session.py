"""A client of the gateway: events of channels, across disconnects, without a gap and without a repetition."""

import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import trio
from attrs import Factory, define, field
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import ProtocolError

from mesaya_ws.client.connection import NotConnectedError, RefusedError, open_connection, require_websocket_url
from mesaya_ws.client.events import Connected, Disconnected, Event, Notice, Subscribed
from mesaya_ws.core.wire.codes import CLOSE_CODES, NOT_SUBSCRIBED
from mesaya_ws.runtime.exceptions import first

__all__ = ["Connected", "Disconnected", "Event", "Notice", "RefusedError", "Session", "Subscribed", "connect"]

MAX_BACKOFF = 30.0
"""Seconds between attempts to connect, at the most."""

PING_INTERVAL = 20.0
"""How often, in seconds, the gateway is asked for the places on quiet channels. When nothing at all comes for twice as
long, the connection is given up: one whose other end has vanished looks like a quiet one."""

FAREWELL_PATIENCE = 2.0
"""Seconds in which a connection that has been given up, for another one or for good, is closed."""


@define(eq=False)
class Session:
    """Subscriptions that outlive connections. Iterate over it, in one task, to receive events.

    The place on each channel is kept in `positions`: that of the last event that was received.
    """

    url: str
    positions: dict[str, str]
    _tls: ssl.SSLContext | None
    _notify: Callable[[Notice], None]
    _deliver: trio.MemorySendChannel[Event | RefusedError]
    _events: trio.MemoryReceiveChannel[Event | RefusedError]
    _channels: dict[str, bool] = Factory(dict)
    _websocket: WebSocketConnection | None = None
    _listening: trio.Lock = Factory(trio.Lock)
    _turn: trio.CancelScope = Factory(trio.CancelScope)
    _runs: trio.Nursery = field(init=False)
    _failures: int = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._websocket is not None

    async def subscribe(self, channel: str, *, snapshot: bool = False) -> None:
        """Subscribe now, and again after every reconnection: from the known place on, or else with the state first.

        On a channel that is subscribed already, nothing is asked for again, since all that is under way would come
        twice; with `snapshot`, the next reconnection without a known place brings the state.
        """
        is_new = channel not in self._channels
        self._channels[channel] = snapshot or self._channels.get(channel, False)
        if is_new:
            await self._say(self._subscription(channel))
        else:
            await trio.lowlevel.checkpoint()

    async def unsubscribe(self, channel: str) -> None:
        """Receive nothing more of a channel, and forget the place on it."""
        self._channels.pop(channel, None)
        self.positions.pop(channel, None)
        await self._say({"type": "unsubscribe", "channel": channel})

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Raises `RefusedError`, after which there is nothing more."""
        try:
            event = await self._events.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(event, RefusedError):
            raise event
        if event.position is not None and event.channel in self._channels:
            self.positions[event.channel] = event.position
        return event

    async def _leave(self) -> None:
        """Say goodbye, so that nobody takes the end for a broken connection; at the end of the context."""
        if self._websocket is not None:
            with trio.CancelScope(shield=True):
                await _part(self._websocket)

    async def _stay(self) -> None:
        """Be connected, for as long as the gateway will have us."""
        refused = None
        try:
            async with trio.open_nursery() as self._runs:
                self._runs.start_soon(self._run)
        except* RefusedError as group:
            refused = first(group)
        async with self._deliver:
            if refused is not None:
                await self._deliver.send(refused)

    async def _run(self) -> None:
        """Be connected until another run has taken over. Raises `RefusedError` when trying again is of no use."""
        before = self._websocket
        while self._websocket in (None, before):
            try:
                async with open_connection(self.url, self._tls) as websocket:
                    await self._converse(websocket)
                    return
            except* RefusedError:
                # As long as there is another connection, it is not over.
                if self._websocket is None:
                    raise
            except* (NotConnectedError, ConnectionClosed, ProtocolError, OSError, trio.BrokenResourceError) as group:
                if self._websocket is None:
                    error = first(group)
                    reason = str(error) if isinstance(error, NotConnectedError) else "the connection broke"
                    self._notify(Disconnected(reason))
            # Full jitter, so that the clients of one instance do not come back all at once.
            longest = min(MAX_BACKOFF, 0.5 * 2 ** min(self._failures, 10))
            self._failures += 1
            await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets

    async def _converse(self, websocket: WebSocketConnection) -> None:
        """Take over from the WebSocket that was used before, and use this one until another one takes over."""
        self._turn.cancel()
        # Once the one before has let go, `positions` are those of all that it has handed over.
        async with self._listening:
            with trio.CancelScope() as turn:
                self._turn, self._websocket = turn, websocket
                try:
                    await self._listen(websocket)
                except* RefusedError:
                    await _part(websocket)
                    raise
                finally:
                    self._websocket = None
        await _part(websocket)

    async def _listen(self, websocket: WebSocketConnection) -> None:
        """Subscribe, and take what comes, until cancelled.

        Raises `NotConnectedError` at the end of the connection, `RefusedError` if there should be no other one.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pulse)
            try:
                # Others may come and go meanwhile; whoever comes now says so itself.
                for channel in list(self._channels):
                    if channel in self._channels:
                        await self._say(self._subscription(channel))
                while True:
                    with trio.fail_after(2 * PING_INTERVAL):
                        message = await websocket.get_message()
                    await self._take(_understood(message))
            except trio.TooSlowError:
                raise NotConnectedError(f"nothing has come for {2 * PING_INTERVAL:.0f} s") from None
            except ConnectionClosed as closed:
                raise _meaning(closed) from None

    async def _pulse(self) -> None:
        """Have the places on quiet channels move on, lest the log forgets them; and something come, in any case."""
        while True:
            await trio.sleep(PING_INTERVAL)
            await self._say({"type": "ping"})

    def _subscription(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "subscribe", "channel": channel}
        if channel in self.positions:
            message["position"] = self.positions[channel]
        elif self._channels[channel]:
            message["snapshot"] = True
        return message

    async def _say(self, message: dict[str, Any]) -> None:
        if self._websocket is not None:
            with suppress(ConnectionClosed):  # receiving hears of it, too, and connects again
                await self._websocket.send_message(orjson.dumps(message).decode())

    async def _take(self, message: dict[str, Any]) -> None:
        """Take a message of the gateway; it becomes an event, or is about the connection itself."""
        match message:
            case {"type": "welcome"}:
                self._failures = 0
                self._notify(Connected(str(message.get("connection"))))
            case {"type": "going_away"}:
                # While the next connection is being opened, this one is still listened to.
                self._runs.start_soon(self._run)
            case {"type": "pong", "positions": dict(positions)}:
                self.positions.update((name, at) for name, at in positions.items() if name in self._channels)
            case {"type": "error", "code": NOT_SUBSCRIBED.name}:
                pass  # left while the connection was lost, and so with it
            case {"type": "error", "code": str(code), "message": str(sentence)}:
                raise RefusedError(code, sentence)
            case {"channel": str(channel)} if channel not in self._channels:
                pass  # left meanwhile
            case {"type": "subscribed", "channel": str(channel), "position": str(position)}:
                await self._subscribed(channel, position, message)
            case {"type": str(kind), "channel": str(channel), "position": str(position), "data": data}:
                await self._tell_if_lost(channel, message)
                event = Event(channel, kind, data, message.get("timestamp"), position, message.get("complete"))
                await self._deliver.send(event)
            case _:
                pass  # an answer to what the session has left behind, or of a gateway that knows more than we do

    async def _subscribed(self, channel: str, position: str, message: dict[str, Any]) -> None:
        recovered = message.get("recovered")
        self._notify(Subscribed(channel, recovered))
        if recovered is False:
            # A snapshot follows. Should it not arrive any more, the old place brings it once more.
            await self._tell_if_lost(channel, message)
        elif channel in self.positions or not self._channels[channel]:
            # With the state to come, there is no place yet that one could go on from.
            self.positions[channel] = position

    async def _tell_if_lost(self, channel: str, message: dict[str, Any]) -> None:
        if message.get("recovered") is False:
            await self._deliver.send(Event(channel, "gap", message.get("reason")))


async def _part(websocket: WebSocketConnection) -> None:
    """Close a connection, in order if that can be done soon."""
    with trio.move_on_after(FAREWELL_PATIENCE):
        await websocket.aclose()


def _understood(text: str | bytes) -> dict[str, Any]:
    """Return a message of the gateway. Raises `NotConnectedError` when it is none."""
    with suppress(orjson.JSONDecodeError):
        message = orjson.loads(text)
        if isinstance(message, dict) and isinstance(message.get("type"), str):
            return message
    raise NotConnectedError("what answers there is not the gateway: it sends something else")


def _meaning(closed: ConnectionClosed) -> RefusedError | NotConnectedError:
    """Return what the end of a connection means."""
    code = closed.reason.code if closed.reason else None
    close = CLOSE_CODES.get(code) if code is not None else None
    if close is None:
        return NotConnectedError("the connection broke" if code is None else f"the connection was closed with {code}")
    if not close.reconnect:
        return RefusedError(close.name, close.meaning)
    return NotConnectedError(close.meaning.partition(". ")[0].rstrip("."))


def _nobody_listens(_: Notice) -> None:
    """Hear of a notice, and do nothing."""


@asynccontextmanager
async def connect(
    url: str,
    positions: dict[str, str] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    notify: Callable[[Notice], None] = _nobody_listens,
) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`), and keep it connected until the end of the context.

    `positions` are those of an earlier session, to go on where it ended; `tls` are the rules for `wss://`, by default
    the system's. `notify` is told when there is a connection, when there is none, and why. Raises `ValueError` when
    `url` is none of a WebSocket.
    """
    require_websocket_url(url)
    deliver, events = trio.open_memory_channel[Event | RefusedError](0)
    async with trio.open_nursery() as nursery:
        session = Session(url, dict(positions or {}), tls, notify, deliver, events)
        nursery.start_soon(session._stay)
        try:
            yield session
        finally:
            await session._leave()
            nursery.cancel_scope.cancel()
