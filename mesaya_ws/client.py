"""A client of the gateway: events of channels, across disconnects, without a gap and without a repetition."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import trio
from attrs import Factory, define, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from mesaya_ws.core.closing import CLOSE_CODES, NOT_SUBSCRIBED

LONGEST_PAUSE = 30.0
"""Seconds between attempts to connect, at the most."""

CONNECT_PATIENCE = 15.0
"""Seconds in which a WebSocket must be open, from the look-up of the name to the end of the handshake."""

LARGEST = 2**30
"""Characters that a message may have: a snapshot can be large."""

PULSE = 20.0
"""How often, in seconds, the gateway is asked for the places on quiet channels. When nothing at all comes for twice as
long, the connection is given up: one whose other end has vanished looks like a quiet one."""

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""The refusals of a handshake that are not the client's fault for good, below 500."""

_Error = TypeVar("_Error", bound=Exception)
_Socket = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class RefusedError(Exception):
    """The gateway will not have this client: a subscription was refused, or the connection, for good.

    `code` is an error code, the name of a close code, or the code of an HTTP answer.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@frozen
class Event:
    """Something that arrived on a channel.

    `type` is that of the event, or `snapshot`, or, when events may have been missed, `lost` with the reason in `data`,
    and a snapshot follows. `complete` is that of a snapshot: false when the log does not reach back far enough.
    """

    channel: str
    type: str
    data: Any
    timestamp: str | None = None
    position: str | None = None
    complete: bool | None = None


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
        try:
            event = await self._events.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(event, RefusedError):
            raise event
        if event.position is not None and event.channel in self._channels:
            self.positions[event.channel] = event.position
        return event

    async def _run(self) -> None:
        """Be connected, for as long as the gateway will have us."""
        refused: RefusedError | None = None
        while refused is None:
            try:
                with trio.fail_after(CONNECT_PATIENCE):
                    stream = _Stream(await _open_socket(self.url))
                async with stream:
                    await self._converse(stream)
            except* RefusedError as group:
                refused = _first(group)
            except* ConnectionRejected as group:
                refused = _refusal(_first(group))
            except* (OSError, trio.BrokenResourceError, trio.TooSlowError, HandshakeError):
                pass  # nobody there, or no longer
            if refused is None:
                # Full jitter, so that the clients of one instance do not come back all at once.
                longest = min(LONGEST_PAUSE, 0.5 * 2 ** min(self._failures, 10))
                self._failures += 1
                await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets
        async with self._deliver:
            await self._deliver.send(refused)

    async def _converse(self, stream: "_Stream") -> None:
        """Open a WebSocket on `stream` and use it to its end. Raises `RefusedError` if there should be no other one."""
        parts = urlsplit(self.url)
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(CONNECT_PATIENCE):
                    self._websocket = await wrap_client_stream(
                        nursery,
                        stream,  # type: ignore[arg-type]  # any stream will do
                        parts.netloc,
                        parts.path or "/",
                        max_message_size=LARGEST,
                    )
                stream.opened = True
                nursery.start_soon(self._pulse)
                # Others may come and go meanwhile; whoever comes now says so itself.
                for channel in list(self._channels):
                    if channel in self._channels:
                        await self._say(self._subscription(channel))
                while True:
                    with trio.fail_after(2 * PULSE):
                        message = await self._websocket.get_message()
                    await self._take(orjson.loads(message))
            except ConnectionClosed as closed:
                close = CLOSE_CODES.get(closed.reason.code) if closed.reason else None
                if close is not None and not close.reconnect:
                    raise RefusedError(close.name, close.meaning) from None
            finally:
                self._websocket = None
            nursery.cancel_scope.cancel()

    async def _pulse(self) -> None:
        """Have the places on quiet channels move on, lest the log forgets them; and something come, in any case."""
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
                self.positions.update((name, at) for name, at in message["positions"].items() if name in self._channels)
            case "error" if message["code"] == NOT_SUBSCRIBED.name:
                pass  # left while the connection was lost, and so with it
            case "error":
                raise RefusedError(message["code"], message["message"])
            case "moving":
                pass  # the close that follows is as good a moment
            case _ if channel not in self._channels:
                pass  # left meanwhile
            case "subscribed" if message.get("recovered") is False:
                # A snapshot follows. Should it not arrive any more, the old place brings it once more.
                await self._deliver.send(Event(channel, "lost", message["reason"]))
            case "subscribed":
                # With the state to come, there is no place yet that one could go on from.
                if channel in self.positions or not self._channels[channel]:
                    self.positions[channel] = message["position"]
            case _:
                event = Event(
                    channel,
                    kind,
                    message["data"],
                    message.get("timestamp"),
                    message["position"],
                    message.get("complete"),
                )
                await self._deliver.send(event)


class _Stream(trio.abc.Stream):
    """A stream whose end is an error until it is `opened`: trio-websocket would wait for its answer for ever."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self.opened = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what comes."""
        with self._end_told():
            data = await self._socket.receive_some(max_bytes)
            if not data and not self.opened:
                raise trio.BrokenResourceError
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`."""
        with self._end_told():
            await self._socket.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending makes sense."""
        await self._socket.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close it, without a farewell."""
        await trio.aclose_forcefully(self._socket)

    @contextmanager
    def _end_told(self) -> Iterator[None]:
        try:
            yield
        except trio.BrokenResourceError as error:
            if self.opened:
                raise
            raise HandshakeError("the connection ended before it was open") from error


async def _open_socket(url: str) -> _Socket:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if parts.scheme == "wss":
        return await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    return await trio.open_tcp_stream(host, parts.port or 80)


def _refusal(rejection: ConnectionRejected) -> RefusedError | None:
    """Return why a handshake was refused, when it would be the next time, too."""
    status = rejection.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN:
        return None
    code, sentence = f"http_{status}", f"The gateway answers {status} instead of opening a WebSocket."
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        error = orjson.loads(rejection.body or b"")["error"]
        code, sentence = error["code"], error["message"]
    return RefusedError(code, sentence)


def _first(group: BaseExceptionGroup[_Error]) -> _Error:
    error: _Error | BaseExceptionGroup[_Error] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def connect(url: str, positions: dict[str, str] | None = None) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`), and keep it connected until the end of the context.

    `positions` are those of an earlier session, to go on where it ended.
    """
    deliver, events = trio.open_memory_channel[Event | RefusedError](0)
    async with trio.open_nursery() as nursery:
        session = Session(url, dict(positions or {}), deliver, events)
        nursery.start_soon(session._run)
        yield session
        nursery.cancel_scope.cancel()
