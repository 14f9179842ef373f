"""A client of the gateway: events of channels, across disconnects, without a gap and without a repetition."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
import trio
from attrs import Factory, define, frozen
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from mesaya_ws.core.closing import CLOSE_CODES

LONGEST_PAUSE = 30.0
"""Seconds between attempts to connect, at the most."""

LARGEST = 2**30
"""Characters that a message may have: a snapshot can be large."""

PULSE = 30.0
"""How often, in seconds, the places on quiet channels are asked for."""


_Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


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
    """Subscriptions that outlive connections. Iterate over it, in one task, to receive events.

    The place on each channel is kept in `positions`: that of the last event that was received.
    """

    url: str
    positions: dict[str, str]
    _deliver: trio.MemorySendChannel[Event | RefusedError]
    _events: trio.MemoryReceiveChannel[Event | RefusedError]
    _channels: dict[str, bool] = Factory(dict)
    _websocket: WebSocketConnection | None = None
    _failures: int = 0

    async def subscribe(self, channel: str, *, snapshot: bool = False) -> None:
        """Subscribe now, and again after every reconnection: from the known place on, or else with the state first."""
        self._channels[channel] = snapshot
        await self._say(self._subscription(channel))

    async def unsubscribe(self, channel: str) -> None:
        """Receive nothing more of a channel, and forget the place on it."""
        self._channels.pop(channel, None)
        self.positions.pop(channel, None)
        await self._say({"type": "unsubscribe", "channel": channel})

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Raises `RefusedError`, after which there is nothing more."""
        event = await self._events.receive()
        if isinstance(event, RefusedError):
            raise event
        if event.position is not None:
            self.positions[event.channel] = event.position
        return event

    async def _run(self) -> None:
        """Be connected, for as long as the gateway will have us."""
        while True:
            refused = None
            try:
                async with await _open_stream(self.url) as stream:
                    refused = await self._converse(stream)
            except* (OSError, trio.BrokenResourceError):
                pass  # nobody there, or no longer
            if refused is not None:
                await self._deliver.send(refused)
                return
            # Full jitter, so that the clients of one instance do not come back all at once.
            longest = min(LONGEST_PAUSE, 0.5 * 2 ** min(self._failures, 10))
            self._failures += 1
            await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets

    async def _converse(self, stream: _Stream) -> RefusedError | None:
        """Open a WebSocket on `stream` and use it to its end; return why there should not be another one."""
        parts = urlsplit(self.url)
        async with trio.open_nursery() as nursery:
            refused = None
            try:
                self._websocket = await wrap_client_stream(
                    nursery, stream, parts.netloc, parts.path or "/", max_message_size=LARGEST
                )
                for channel in self._channels:
                    await self._say(self._subscription(channel))
                while True:
                    await self._take(orjson.loads(await self._websocket.get_message()))
            except RefusedError as error:
                refused = error
            except ConnectionClosed as closed:
                close = CLOSE_CODES.get(closed.reason.code) if closed.reason else None
                if close is not None and not close.reconnect:
                    refused = RefusedError(close.name, close.meaning)
            except HandshakeError:
                pass
            finally:
                self._websocket = None
            nursery.cancel_scope.cancel()
        return refused

    async def _pulse(self) -> None:
        """Have the places on quiet channels move on, lest the log forgets them."""
        while True:
            await trio.sleep(PULSE)
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
        kind, channel = message["type"], message.get("channel", "")
        match kind:
            case "welcome":
                self._failures = 0
            case "pong":
                self.positions.update(message["positions"])
            case "error":
                raise RefusedError(message["code"], message["message"])
            case "subscribed":
                if message.get("recovered") is False:
                    await self._deliver.send(Event(channel, "lost", message["reason"]))
                self.positions[channel] = message["position"]
            case "unsubscribed":
                self.positions.pop(channel, None)
            case _:
                event = Event(channel, kind, message["data"], message.get("timestamp"), message["position"])
                await self._deliver.send(event)


async def _open_stream(url: str) -> _Stream:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "wss":
        return await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    return await trio.open_tcp_stream(host, parts.port or 80)


@asynccontextmanager
async def connect(url: str, positions: dict[str, str] | None = None) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`), and keep it connected until the end of the context.

    `positions` are those of an earlier session, to go on where it ended.
    """
    deliver, events = trio.open_memory_channel[Event | RefusedError](0)
    async with trio.open_nursery() as nursery:
        session = Session(url, dict(positions or {}), deliver, events)
        nursery.start_soon(session._run)
        nursery.start_soon(session._pulse)
        yield session
        nursery.cancel_scope.cancel()
