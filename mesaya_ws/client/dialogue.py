"""What is said on a connection while it is in use: subscriptions, pings, tokens; and what the gateway's messages mean.

Who gets its tokens by a function is renewed on the connection in use, at `token_expiring`; and if it was too late for
that, what had ended begins again from where it was. A token that is refused is followed by another one, once.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import trio
from attrs import Factory, define
from trio_websocket import ConnectionClosed, WebSocketConnection

from mesaya_ws.client.channels import Channels
from mesaya_ws.client.connection import NotConnectedError, RefusedError
from mesaya_ws.client.credentials import Credentials
from mesaya_ws.client.events import Connected, Event, Notice, Subscribed
from mesaya_ws.client.holds import Holds
from mesaya_ws.client.link import Link
from mesaya_ws.client.requests import Requests
from mesaya_ws.core.wire.codes import (
    BAD_TOKEN,
    CLOSE_CODES,
    NOT_SUBSCRIBED,
    RIGHTS_CHANGED,
    UNAUTHORIZED,
    UNAVAILABLE,
)


@define(eq=False)
class Dialogue:
    """Talks on each WebSocket of the `link`, for all that belongs to a session."""

    link: Link
    channels: Channels
    requests: Requests
    holds: Holds
    credentials: Credentials
    notify: Callable[[Notice], None]
    _renewal: trio.Event = Factory(trio.Event)
    """Set when another token is needed for the connection in use."""

    async def talk(self, websocket: WebSocketConnection) -> None:
        """Subscribe, and handle what is received, until cancelled.

        Raises `NotConnectedError` at the end of the connection, `RefusedError` if the next one would be refused, too.
        """
        self.channels.start_over()
        self._renewal = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping)
            if self.credentials.can_renew:
                nursery.start_soon(self._renew)
            try:
                await self._introduce()
                while True:
                    await self._on_message(_decoded(await self._receive(websocket)))
            except ConnectionClosed as closed:
                raise _error_of_close(closed) from None

    async def _receive(self, websocket: WebSocketConnection) -> str | bytes:
        """Return the next message. Raises `NotConnectedError` when none comes for the time of two pings.

        Each of the two begins when it is this task's turn: what came while the machine was too busy to read it is found
        in the second one, and does not count as silence.
        """
        interval = self.link.timings.ping_interval
        for _ in range(2):
            with trio.move_on_after(interval):
                return await websocket.get_message()
        raise NotConnectedError(f"nothing has come for {2 * interval:.0f} s")

    # What the client says by itself

    async def _introduce(self) -> None:
        """Say who the client is, what it is subscribed to, and what it has asked for already."""
        # `subscribe` and `unsubscribe` may be called from now on; they send for themselves.
        if self.credentials.user is not None:
            await self.link.send({"type": "auth", "user": self.credentials.user, "roles": self.credentials.roles})
        await self._subscribe()
        await self.requests.send_again()
        for question in list(self.holds.questions()):
            await self.link.send(question)

    async def _subscribe(self) -> None:
        for message in self.channels.unsent():
            await self.link.send(message)

    async def _ping(self) -> None:
        """Ping at intervals."""
        while True:
            await trio.sleep(self.link.timings.ping_interval)
            await self.link.send({"type": "ping"})

    async def _renew(self) -> None:
        """Bring another token whenever one is needed; one that cannot be had now is tried again."""
        while True:
            await self._renewal.wait()
            self._renewal = trio.Event()
            try:
                await self.link.send({"type": "auth", "token": await self.credentials.renewed()})
            except NotConnectedError:
                self._renewal.set()

    # What the gateway says

    async def _on_message(self, message: dict[str, Any]) -> None:
        """Handle a message of the gateway: deliver it as an event, or act on what it says of the connection."""
        if self.requests.take(message) or self.holds.take(message):
            return
        match message:
            case {"type": "welcome"}:
                self.link.on_welcome()
                if "user" in message:
                    self.credentials.accepted()
                self.notify(Connected(str(message.get("connection"))))
            case {"type": "going_away"}:
                self.link.move()
            case {"type": "pong", "positions": dict(positions)}:
                self.channels.advance(positions)
            case {"type": "token_expiring"}:
                self._renewal.set()
            case {"type": "authenticated"}:
                self.credentials.accepted()
                await self._subscribe()
            case {"type": "error", "id": str()}:
                pass  # the answer to what nobody waits for any more
            case {"type": "error", "code": str(code), "message": str(sentence)}:
                self._on_error(code, sentence, message.get("channel"), message.get("id"))
            case {"channel": str(channel)} if channel not in self.channels.subscribed:
                pass  # unsubscribed meanwhile
            case {"type": "unsubscribed", "channel": str(channel), "reason": str(reason)}:
                self._on_ended(channel, reason, message.get("position"))
            case {"type": "subscribed", "channel": str(channel), "position": str(position)}:
                await self._on_subscribed(channel, position, message)
            case {"channel": str(channel)} if not self.channels.subscribed[channel].is_live:
                pass  # of a subscription before this one
            case {"type": str(kind), "channel": str(channel), "position": str(position), "data": data}:
                await self._deliver_gap(channel, message)
                event = Event(channel, kind, data, message.get("timestamp"), position, message.get("complete"))
                await self._deliver(event)
            case {"type": "presence", "channel": str(channel)}:
                who = {name: message[name] for name in ("viewers", "guest", "restaurant") if name in message}
                await self._deliver(Event(channel, "presence", who))
            case {"type": "chat.typing", "channel": str(channel), "data": data}:
                await self._deliver(Event(channel, "chat.typing", data))
            case _:
                pass  # an answer that is out of date, or a message of a newer gateway

    def _on_error(self, code: str, sentence: str, channel: str | None, id: object) -> None:
        """Act on an error, unless it answers a request. Raises `RefusedError` where it would come again."""
        subscribed = self.channels.subscribed
        subscription = subscribed.get(channel or "")
        if id is not None:  # where the channel is not one, the error does not name it
            subscription = next((each for each in subscribed.values() if each.id == id), None)
            if subscription is None:
                return  # it answers a `subscribe` that does not count any more
        if code == UNAVAILABLE.name and channel is None:
            self._renewal.set()  # whether the token is good could not be said
        elif code == UNAUTHORIZED.name and subscription and self.credentials.can_renew and not subscription.was_refused:
            # The token may just have ended, which is only said of what is subscribed.
            subscription.was_refused = True
            subscription.end()
            self._renewal.set()
        elif code == BAD_TOKEN.name and not self.credentials.is_final(RefusedError(code, sentence)):
            self._renewal.set()
        elif code != NOT_SUBSCRIBED.name:  # on a new connection, nothing may have been subscribed yet
            raise RefusedError(code, sentence)

    def _on_ended(self, channel: str, reason: str, position: str | None) -> None:
        """Keep the position where the gateway has ended a subscription; have it begin again with another token.

        Raises `RefusedError` where there is none, or the user has no right to the channel any more.
        """
        if position is not None:
            self.channels.on_ended(channel, position)
        if reason == RIGHTS_CHANGED or not self.credentials.can_renew:
            raise RefusedError(reason, f"The gateway has ended the subscription to {channel!r}: {reason}.")
        self.channels.subscribed[channel].end()
        self._renewal.set()

    async def _on_subscribed(self, channel: str, position: str, message: dict[str, Any]) -> None:
        subscription, recovered = self.channels.subscribed[channel], message.get("recovered")
        if message.get("id") != subscription.id:
            return
        subscription.is_live, subscription.was_refused = True, False
        self.notify(Subscribed(channel, recovered))
        if recovered is False:
            # A snapshot follows. If the connection breaks before, the old position brings it on the next one.
            await self._deliver_gap(channel, message)
        else:
            self.channels.on_subscribed(channel, position)

    async def _deliver_gap(self, channel: str, message: dict[str, Any]) -> None:
        if message.get("recovered") is False:
            await self._deliver(Event(channel, "gap", message.get("reason")))

    async def _deliver(self, event: Event) -> None:
        await self.channels.deliver(event, lambda: self.requests.are_pending or self.holds.are_live)


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
