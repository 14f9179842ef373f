"""A session with the gateway: events of channels, across disconnects, without a gap and without a repetition.

One connection is used at a time, by one task (`_connect`). The states of a session, and what changes them:

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

Events wait until they are taken from the session, and with them all that comes after. Only while a request of the same
program is to be answered, the connection is read on, so that the answer can come: then events are kept, some at most.

Who gets its tokens by a function is renewed on the connection in use, at `token_expiring`; and if it was too late for
that, what had ended begins again from where it was. A token that is refused is followed by another one, once.
"""

import math
import random
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import trio
from attrs import Factory, define, field
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import ProtocolError

from mesaya_ws.client.chat import Chat
from mesaya_ws.client.connection import NotConnectedError, RefusedError, open_connection, require_websocket_url
from mesaya_ws.client.credentials import Credentials, Token, require_token
from mesaya_ws.client.events import Acknowledged, Connected, Disconnected, Event, Notice, Subscribed
from mesaya_ws.client.requests import RequestError, Requests
from mesaya_ws.core.wire.codes import BAD_TOKEN, CLOSE_CODES, NOT_SUBSCRIBED, UNAVAILABLE
from mesaya_ws.runtime.exceptions import first

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Notice",
    "RefusedError",
    "RequestError",
    "Session",
    "Subscribed",
    "connect",
]

MAX_BACKOFF = 30.0
"""Seconds between two attempts to connect, at most."""

PING_INTERVAL = 20.0
"""Seconds between two pings. Their answers move the positions of quiet channels on, before the log removes what they
point to. If nothing at all is received for twice as long, the connection counts as broken."""

MAX_KEPT = 10_000
"""Events that are kept while a request is to be answered; past that, the connection waits until they are taken."""

CLOSE_TIMEOUT = 2.0
"""Seconds that the closing handshake of a connection may take."""

SEND_TIMEOUT = 0.1
"""Seconds that the close frame of a session that is cancelled may take."""


@define(eq=False)
class Session:
    """Subscriptions that outlive connections. Iterate over it, in one task, to receive events.

    `positions` holds the position of the last event received on each channel.
    """

    url: str
    positions: dict[str, str]
    _tls: ssl.SSLContext | None
    _notify: Callable[[Notice], None]
    _deliver: trio.MemorySendChannel[Event | RefusedError]
    _events: trio.MemoryReceiveChannel[Event | RefusedError]
    _channels: dict[str, bool] = Factory(dict)
    """The channels that are subscribed, each with whether a snapshot is wanted when there is no position."""
    _websocket: WebSocketConnection | None = None
    """The connection in use."""
    _in_use: trio.Lock = Factory(trio.Lock)
    """Held by the task whose connection is in use."""
    _scope: trio.CancelScope = Factory(trio.CancelScope)
    """Cancelled to take the connection in use from its task."""
    _closed: trio.Event = Factory(trio.Event)
    """Set when the connection in use has been closed."""
    _connecting: trio.Nursery = field(init=False)
    """The tasks that connect: one, and a second one while the session moves."""
    _failures: int = 0
    _credentials: Credentials = Factory(Credentials)
    _ended: set[str] = Factory(set)
    """The channels whose subscriptions ended with a token; they begin again with the next one."""
    _renewal: trio.Event = Factory(trio.Event)
    """Set when another token is needed for the connection in use."""
    _requests: Requests = field(init=False)
    _kept: dict[str, str] = Factory(dict)
    """By channel, the position of the last event that is kept and has not been taken."""
    _moved: trio.Event = Factory(trio.Event)
    """Set when an event was taken, or a request begins."""

    def __attrs_post_init__(self) -> None:
        self._requests = Requests(self._send, self._wake)

    # Public attributes and methods

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._websocket is not None

    async def subscribe(self, channel: str, *, snapshot: bool = False) -> None:
        """Subscribe now and after every reconnection: from the known position on, else with a snapshot if wanted.

        On a channel that is subscribed already, nothing is sent, since all that is under way would arrive twice; with
        `snapshot`, the next reconnection without a known position brings one.
        """
        is_new = channel not in self._channels
        self._channels[channel] = snapshot or self._channels.get(channel, False)
        if is_new:
            await self._send(self._subscription(channel))
        else:
            await trio.lowlevel.checkpoint()

    async def unsubscribe(self, channel: str) -> None:
        """Receive nothing more of a channel, and forget the position on it."""
        self._channels.pop(channel, None)
        self.positions.pop(channel, None)
        self._kept.pop(channel, None)
        await self._send({"type": "unsubscribe", "channel": channel})

    def chat(self, restaurant: str, user: str) -> Chat:
        """Return the conversation of a user with a restaurant; to receive its events, subscribe to its `channel`."""
        return Chat(self._requests.ask, restaurant, user)

    async def ack(self, reservation: str) -> Acknowledged:
        """Take note of a reservation, for its restaurant; return who was the first to, and when.

        It is sent until it is answered, as by `chat`. Raises `RequestError` for refusals.
        """
        answer = await self._requests.ask({"type": "reservation.ack", "reservationId": reservation})
        return Acknowledged(answer["reservationId"], answer["by"], answer["at"])

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Raises `RefusedError`, after which the session is over."""
        try:
            event = await self._events.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        self._wake()
        if isinstance(event, RefusedError):
            raise event
        if event.position is not None and event.channel in self._channels:
            self.positions[event.channel] = event.position
            if self._kept.get(event.channel) == event.position:
                del self._kept[event.channel]
        return event

    # The connection

    async def _run(self) -> None:
        """Stay connected until the gateway refuses for good, which is delivered."""
        refused = None
        try:
            async with trio.open_nursery() as self._connecting:
                self._connecting.start_soon(self._connect)
        except* RefusedError as group:
            refused = first(group)
        async with self._deliver:
            if refused is not None:
                self._requests.end(refused)
                self._deliver.send_nowait(refused)

    async def _close(self) -> None:
        """Close the connection in order, at the end of the context: the gateway need not wait for a timeout.

        The task that uses the connection closes it, since the answer of the gateway must still be read there. That task
        is cancelled with the context if that was: then the close frame is sent, and its answer is not awaited.
        """
        if (websocket := self._websocket) is None:
            return
        is_cancelled = trio.current_effective_deadline() == -math.inf
        with trio.CancelScope(shield=True):
            if is_cancelled:
                with trio.move_on_after(SEND_TIMEOUT):
                    await websocket.aclose()
            else:
                self._scope.cancel()
                await self._closed.wait()

    async def _connect(self) -> None:
        """Connect, and reconnect, until another task has taken over.

        Raises `RefusedError` when another attempt is pointless.
        """
        before = self._websocket
        while self._websocket in (None, before):
            try:
                token = await self._credentials.token_now()
                async with open_connection(self.url, self._tls, token) as websocket:
                    await self._use(websocket)
                    return
            except* RefusedError as group:
                # While another connection is in use, the session is not over.
                if self._websocket is None:
                    if self._credentials.is_final(refusal := first(group)):
                        raise
                    self._notify(Disconnected(str(refusal).rstrip(".")))
            except* (NotConnectedError, ConnectionClosed, ProtocolError, OSError, trio.BrokenResourceError) as group:
                if self._websocket is None:
                    error = first(group)
                    reason = str(error) if isinstance(error, NotConnectedError) else "the connection broke"
                    self._notify(Disconnected(reason))
            # Full jitter: the clients of one instance must not come back all at once.
            longest = min(MAX_BACKOFF, 0.5 * 2 ** min(self._failures, 10))
            self._failures += 1
            await trio.sleep(random.uniform(0, longest))  # noqa: S311 - not for secrets

    async def _use(self, websocket: WebSocketConnection) -> None:
        """Take over from the WebSocket in use, and use this one until another one takes over."""
        self._scope.cancel()
        closed = trio.Event()
        try:
            # Once the lock is free, `positions` include everything that the previous WebSocket has delivered.
            async with self._in_use:
                with trio.CancelScope() as scope:
                    self._scope, self._websocket, self._closed = scope, websocket, closed
                    try:
                        await self._receive_all(websocket)
                    except* RefusedError:
                        await _close(websocket)
                        raise
                    finally:
                        self._websocket = None
            await _close(websocket)
        finally:
            closed.set()

    async def _receive_all(self, websocket: WebSocketConnection) -> None:
        """Subscribe, and handle what is received, until cancelled.

        Raises `NotConnectedError` at the end of the connection, `RefusedError` if the next one would be refused, too.
        """
        self._ended.clear()
        self._renewal = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping)
            if self._credentials.can_renew:
                nursery.start_soon(self._renew)
            try:
                if self._credentials.user is not None:
                    await self._send({"type": "auth", "user": self._credentials.user, "roles": self._credentials.roles})
                # `subscribe` and `unsubscribe` may be called meanwhile; they send for themselves.
                for channel in list(self._channels):
                    if channel in self._channels:
                        await self._send(self._subscription(channel))
                await self._requests.send_again()
                while True:
                    with trio.fail_after(2 * PING_INTERVAL):
                        message = await websocket.get_message()
                    await self._on_message(_decoded(message))
            except trio.TooSlowError:
                raise NotConnectedError(f"nothing has come for {2 * PING_INTERVAL:.0f} s") from None
            except ConnectionClosed as closed:
                raise _error_of_close(closed) from None

    async def _ping(self) -> None:
        """Ping every PING_INTERVAL."""
        while True:
            await trio.sleep(PING_INTERVAL)
            await self._send({"type": "ping"})

    async def _renew(self) -> None:
        """Bring another token whenever one is needed; one that cannot be had now is tried again."""
        while True:
            await self._renewal.wait()
            self._renewal = trio.Event()
            try:
                await self._send({"type": "auth", "token": await self._credentials.renewed()})
            except NotConnectedError:
                self._renewal.set()

    async def _send(self, message: dict[str, Any]) -> None:
        if self._websocket is not None:
            with suppress(ConnectionClosed):  # the receiving task notices it, too, and reconnects
                await self._websocket.send_message(orjson.dumps(message).decode())

    # Messages

    def _subscription(self, channel: str) -> dict[str, Any]:
        message: dict[str, Any] = {"type": "subscribe", "channel": channel}
        position = self._kept.get(channel, self.positions.get(channel))
        if position is not None:
            message["position"] = position
        elif self._channels[channel]:
            message["snapshot"] = True
        return message

    async def _on_message(self, message: dict[str, Any]) -> None:
        """Handle a message of the gateway: deliver it as an event, or act on what it says of the connection."""
        if self._requests.take(message):
            return
        match message:
            case {"type": "welcome"}:
                self._failures = 0
                if "user" in message:
                    self._credentials.accepted()
                self._notify(Connected(str(message.get("connection"))))
            case {"type": "going_away"}:
                # While the next connection is being opened, this one is still used.
                self._connecting.start_soon(self._connect)
            case {"type": "pong", "positions": dict(positions)}:
                self.positions.update((name, at) for name, at in positions.items() if self._has_taken_all(name))
            case {"type": "token_expiring"}:
                self._renewal.set()
            case {"type": "authenticated"}:
                self._credentials.accepted()
                ended, self._ended = self._ended, set()
                for channel in ended & self._channels.keys():
                    await self._send(self._subscription(channel))
            case {"type": "unsubscribed", "channel": str(channel), "reason": str(reason)}:
                self._on_ended(channel, reason, message.get("position"))
            case {"type": "error", "code": UNAVAILABLE.name} if "channel" not in message:
                self._renewal.set()  # whether the token is good could not be said
            case {"type": "error", "code": BAD_TOKEN.name, "message": str(sentence)}:
                if self._credentials.is_final(refusal := RefusedError(BAD_TOKEN.name, sentence)):
                    raise refusal
                self._renewal.set()
            case {"type": "error", "code": NOT_SUBSCRIBED.name}:
                pass  # unsubscribed on a new connection, where nothing was subscribed yet
            case {"type": "error", "code": str(code), "message": str(sentence)}:
                raise RefusedError(code, sentence)
            case {"channel": str(channel)} if channel not in self._channels:
                pass  # unsubscribed meanwhile
            case {"type": "subscribed", "channel": str(channel), "position": str(position)}:
                await self._on_subscribed(channel, position, message)
            case {"type": str(kind), "channel": str(channel), "position": str(position), "data": data}:
                await self._deliver_gap(channel, message)
                event = Event(channel, kind, data, message.get("timestamp"), position, message.get("complete"))
                await self._keep(event)
            case _:
                pass  # an answer that is out of date, or a message of a newer gateway

    def _on_ended(self, channel: str, reason: str, position: str | None) -> None:
        """Keep the position where the gateway has ended a subscription; have it begin again with another token.

        Raises `RefusedError` where there is none, or the user has no right to the channel any more.
        """
        if channel not in self._channels:
            return
        if position is not None and channel in self.positions and self._has_taken_all(channel):
            self.positions[channel] = position
        if reason == "rights_changed" or not self._credentials.can_renew:
            raise RefusedError(reason, f"The gateway has ended the subscription to {channel!r}: {reason}.")
        self._ended.add(channel)
        self._renewal.set()

    async def _on_subscribed(self, channel: str, position: str, message: dict[str, Any]) -> None:
        recovered = message.get("recovered")
        self._notify(Subscribed(channel, recovered))
        if recovered is False:
            # A snapshot follows. If the connection breaks before, the old position brings it on the next one.
            await self._deliver_gap(channel, message)
        elif self._has_taken_all(channel) and (channel in self.positions or not self._channels[channel]):
            # Before its snapshot has arrived, a channel has no position to resume from.
            self.positions[channel] = position

    async def _deliver_gap(self, channel: str, message: dict[str, Any]) -> None:
        if message.get("recovered") is False:
            await self._keep(Event(channel, "gap", message.get("reason")))

    async def _keep(self, event: Event) -> None:
        """Keep an event until it is taken; wait for that, unless a request is to be answered."""
        self._deliver.send_nowait(event)
        if event.position is not None:
            self._kept[event.channel] = event.position
        while (kept := self._deliver.statistics().current_buffer_used) and not (
            self._requests.are_pending and kept < MAX_KEPT
        ):
            await self._moved.wait()

    def _has_taken_all(self, channel: str) -> bool:
        """Return whether a channel is subscribed, and no event of it waits to be taken."""
        return channel in self._channels and channel not in self._kept

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


async def _close(websocket: WebSocketConnection) -> None:
    """Close a connection, with the closing handshake if that is quick."""
    with trio.move_on_after(CLOSE_TIMEOUT):
        await websocket.aclose()


def _decoded(text: str | bytes) -> dict[str, Any]:
    """Return a message of the gateway. Raises `NotConnectedError` when it cannot be one."""
    with suppress(orjson.JSONDecodeError):
        message = orjson.loads(text)
        if isinstance(message, dict) and isinstance(message.get("type"), str):
            return message
    raise NotConnectedError("what answers there is not the gateway: it sends something else")


def _error_of_close(closed: ConnectionClosed) -> RefusedError | NotConnectedError:
    """Return the error that the end of a connection stands for."""
    code = closed.reason.code if closed.reason else None
    close = CLOSE_CODES.get(code) if code is not None else None
    if close is None:
        return NotConnectedError("the connection broke" if code is None else f"the connection was closed with {code}")
    if not close.reconnect:
        return RefusedError(close.name, close.meaning)
    return NotConnectedError(close.meaning.partition(". ")[0].rstrip("."))


def _ignore(_: Notice) -> None:
    """Ignore a notice."""


@asynccontextmanager
async def connect(
    url: str,
    positions: dict[str, str] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    notify: Callable[[Notice], None] = _ignore,
    token: Token | None = None,
    user: str | None = None,
    roles: Collection[str] = (),
) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`), and keep it connected until the end of the context.

    `positions` are those of an earlier session, to resume from; `tls` is the context for `wss://`, by default the
    system's. `notify` is called with each `Notice` of the connection.

    `token` is a token, or an async function that returns one: for each connection, and before the one in use ends. It
    may raise `OSError`, and is called again then; other exceptions end the session. With AUTH=off, a gateway believes
    that the client is `user`, with `roles`. Raises `ValueError` when `url` is not the URL of a WebSocket, or `token`
    cannot be one.
    """
    require_websocket_url(url)
    if isinstance(token, str):
        require_token(token)
    deliver, events = trio.open_memory_channel[Event | RefusedError](math.inf)
    async with trio.open_nursery() as nursery:
        credentials = Credentials(token, user, tuple(roles))
        session = Session(url, dict(positions or {}), tls, notify, deliver, events, credentials=credentials)
        nursery.start_soon(session._run)
        try:
            yield session
        finally:
            await session._close()
            nursery.cancel_scope.cancel()
