"""A session with the gateway: events of channels, across disconnects, without a gap and without a repetition.

program ◀── events ── `channels` ◀── `dialogue` ◀── messages ── `link`: the connection in use, or the next one
   └─── requests ───▶ `requests` ─── messages ─────────────────────▶┘
"""

import ssl
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

import trio
from attrs import define

from mesaya_ws.client.acknowledging import acknowledge
from mesaya_ws.client.channels import Channels
from mesaya_ws.client.chat import Chat
from mesaya_ws.client.connection import RefusedError, require_websocket_url
from mesaya_ws.client.credentials import Credentials, Token, require_token
from mesaya_ws.client.dialogue import Dialogue
from mesaya_ws.client.events import Acknowledged, Connected, Disconnected, Event, Notice, Subscribed
from mesaya_ws.client.holds import Hold, Holds
from mesaya_ws.client.link import Link
from mesaya_ws.client.requests import RequestError, Requests
from mesaya_ws.client.timings import DEFAULTS, Timings

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Hold",
    "Notice",
    "RefusedError",
    "RequestError",
    "Session",
    "Subscribed",
    "connect",
]


@define(eq=False)
class Session:
    """Subscriptions that outlive connections. Iterate over it, in one task, to receive events.

    What a program asks for besides, such as a message in a conversation, is in the file of its noun: it needs no more
    of the session than its requests.
    """

    _link: Link
    _channels: Channels
    _requests: Requests
    _holds: Holds

    @property
    def positions(self) -> dict[str, str]:
        """The position of the last event received on each channel."""
        return self._channels.positions

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link.connected

    async def subscribe(self, channel: str, *, snapshot: bool = False, presence: bool = False) -> None:
        """Subscribe now and after every reconnection: from the known position on, else with a snapshot if wanted.

        With `presence`, events of the type `presence` say who is on the channel, now and whenever that changes.

        On a channel that is subscribed already, nothing is sent, since all that is under way would arrive twice; with
        `snapshot`, the next reconnection without a known position brings one, and `presence` begins with the next one.
        """
        if self._channels.add(channel, snapshot=snapshot, presence=presence):
            await self._link.send(self._channels.request(channel), even_if_cancelled=True)
        else:
            await trio.lowlevel.checkpoint()

    async def unsubscribe(self, channel: str) -> None:
        """Receive nothing more of a channel, and forget the position on it."""
        self._channels.remove(channel)
        await self._link.send({"type": "unsubscribe", "channel": channel}, even_if_cancelled=True)

    def chat(self, restaurant: str, user: str) -> Chat:
        """Return the conversation of a user with a restaurant; to receive its events, subscribe to its `channel`."""
        return Chat(self._requests.ask, self._link.send, restaurant, user)

    async def ack(self, reservation: str) -> Acknowledged:
        """Take note of a reservation, for its restaurant; return who was the first to, and when.

        It is sent until it is answered, as by `chat`. Raises `RequestError` for refusals.
        """
        return await acknowledge(self._requests.ask, reservation)

    def hold(
        self,
        restaurant: str,
        tables: Sequence[str],
        start: datetime | str | None = None,
        end: datetime | str | None = None,
    ) -> AbstractAsyncContextManager[Hold]:
        """Return a context in which tables are held for the user; they are released at its end.

        For a slot from `start` to `end` (90 minutes later unless it is given); without, the tables as such. The claim
        is sent until it is answered, as by `chat`. Raises `RequestError` for refusals: `conflict`, `too_many`.
        """
        return self._holds.hold(self._requests.ask, restaurant, tables, start, end)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. Raises `RefusedError`, after which the session is over."""
        try:
            return await self._channels.take()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


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
    timings: Timings = DEFAULTS,
) -> AsyncIterator[Session]:
    """Open a session with the gateway at `url` (`ws://…/ws`), and keep it connected until the end of the context.

    `positions` are those of an earlier session, to resume from; `tls` is the context for `wss://`, by default the
    system's. `notify` is called with each `Notice` of the connection. `timings` say how long to wait for what.

    `token` is a token, or an async function that returns one: for each connection, and before the one in use ends. It
    may raise `OSError`, and is called again then; other exceptions end the session. With AUTH=off, a gateway believes
    that the client is `user`, with `roles`. Raises `ValueError` when `url` is not the URL of a WebSocket, or `token`
    cannot be one.
    """
    require_websocket_url(url)
    if isinstance(token, str):
        require_token(token)
    credentials = Credentials(token, user, tuple(roles), timings)
    link = Link(url, credentials, notify, timings, tls)
    channels = Channels(dict(positions or {}))
    requests = Requests(link.send, channels.wake, timings)
    holds = Holds()
    dialogue = Dialogue(link, channels, requests, holds, credentials, notify)

    async def stay_connected() -> None:
        refused = await link.run(dialogue.talk)
        if refused is not None:
            requests.end(refused)
        channels.end(refused)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay_connected)
        try:
            yield Session(link, channels, requests, holds)
        finally:
            await link.close()
            nursery.cancel_scope.cancel()
