"""A client of the gateway: events of channels, across disconnects, without a gap and without a repetition."""

import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import trio
from attrs import Factory, define, field, frozen
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, connect_websocket_url

from mesaya_ws.core.closing import CLOSE_CODES

LONGEST_PAUSE = 30.0
"""Seconds between attempts to connect, at the most."""

PULSE = 30.0
"""How often, in seconds, the places on quiet channels are asked for."""


class RefusedError(Exception):
    """The gateway will not have this client: a subscription was refused, or the connection closed for good.

    `code` is an error code, or the name of a close code.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@frozen
class Event:
    """Something that arrived on a channel.

    `type` is that of the event, or `snapshot`, or, when events may have been missed, `lost` with the reason in `data`.
    """

    channel: str
    type: str
    data: Any
    timestamp: str | None = None
    position: str | None = None


@define(eq=False)
class Session:
    """Subscriptions that outlive connections. Iterate over it to receive events, in one task.

    The place on each channel is kept in `positions`, which may be given to a later session.
    """

    url: str
    positions: dict[str, str] = Factory(dict)
    _nursery: trio.Nursery = field(kw_only=True)
    _channels: dict[str, bool] = Factory(dict)
    _websocket: WebSocketConnection | None = None
    _ready: deque[Event] = Factory(deque)
    _failures: int = 0

    async def subscribe(self, channel: str, *, snapshot: bool = False) -> None:
        """Subscribe now, and again after every reconnection: from the known place on, or else with the state first."""
        self._channels[channel] = snapshot
        if self._websocket is not None:
            await self._say(self._websocket, self._subscription(channel))

    async def unsubscribe(self, channel: str) -> None:
        """Receive nothing more of a channel, and forget the place on it."""
        self._channels.pop(channel, None)
        self.positions.pop(channel, None)
        if self._websocket is not None:
            await self._say(self._websocket, {"type": "unsubscribe", "channel": channel})

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event, connecting and reconnecting as needed. Raises `RefusedError`."""
        while not self._ready:
            try:
                if self._websocket is None:
                    self._websocket = await self._connect()
                await self._receive(self._websocket)
            except ConnectionClosed as closed:
                self._websocket = None
                close = CLOSE_CODES.get(closed.reason.code if closed.reason else 1006)
                if close is not None and not close.reconnect:
                    raise RefusedError(close.name, close.meaning) from None
                await self._pause()
            except (HandshakeError, OSError, trio.BrokenResourceError):
                self._websocket = None
                await self._pause()
        return self._ready.popleft()

    async def _pause(self) -> None:
        """Wait before the next attempt: full jitter, so that clients of one instance do not come back all at once."""
        longest = min(LONGEST_PAUSE, 0.5 * 2**self._failures)
        self._failures += 1
        await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets

    async def _connect(self) -> WebSocketConnection:
        websocket = await connect_websocket_url(self._nursery, self.url, max_message_size=2**30)
        for channel in self._channels:
            await self._say(websocket, self._subscription(channel))
        return websocket

    def _subscription(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "subscribe", "channel": channel}
        if channel in self.positions:
            message["position"] = self.positions[channel]
        elif self._channels[channel]:
            message["snapshot"] = True
        return message

    async def _say(self, websocket: WebSocketConnection, message: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):  # receiving hears of it, too, and connects again
            await websocket.send_message(orjson.dumps(message).decode())

    async def _receive(self, websocket: WebSocketConnection) -> None:
        """Take the next message; it becomes an event, or is about the connection itself."""
        message = orjson.loads(await websocket.get_message())
        kind, channel = message["type"], message.get("channel", "")
        match kind:
            case "welcome":
                self._failures = 0
            case "pong":
                self.positions.update(message["positions"])
            case "error":
                raise RefusedError(message["code"], message["message"])
            case "subscribed":
                self.positions[channel] = message["position"]
                if message.get("recovered") is False:
                    self._ready.append(Event(channel, "lost", message["reason"]))
            case "unsubscribed":
                pass
            case _:
                self.positions[channel] = message["position"]
                event = Event(channel, kind, message["data"], message.get("timestamp"), message["position"])
                self._ready.append(event)

    async def _pulse(self) -> None:
        """Have the places on quiet channels move on, lest the log forgets them."""
        while True:
            await trio.sleep(PULSE)
            if self._websocket is not None:
                await self._say(self._websocket, {"type": "ping"})


@asynccontextmanager
async def connect(url: str, positions: dict[str, str] | None = None) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`); it connects when it is first asked for an event.

    `positions` are those of an earlier session, to go on where it ended.
    """
    async with trio.open_nursery() as nursery:
        session = Session(url, dict(positions or {}), nursery=nursery)
        nursery.start_soon(session._pulse)
        yield session
        nursery.cancel_scope.cancel()
