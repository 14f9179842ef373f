"""A client that reads events by HTTP: it has a session like any other, and what that sends is written as events.

serving ── `close` (a limit, a timeout, a fault, a shutdown) ──▶ what waits is written (not with `slow`), then the
   │                                                            event `close`, and the answer ends
   └── the client hangs up ──▶ the task is cancelled, and the session leaves
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from time import time

import orjson
import trio
from attrs import frozen

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.codes import CloseCode
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.event_stream import COMMENT, MOST_ID_BYTES, UNREADABLE, Places, event, mark
from mesaya_ws.server.http.event_queue import EventQueue

COMMENT_INTERVAL = 15.0
"""Seconds between two comments: proxies give up what is silent for 30 or 60. With them come the positions of quiet
channels, and how fresh all are."""

WRITE_BYTES = 16_384
"""Bytes that are written at once; a client that does not take them within PING_TIMEOUT has gone."""

_ID = re.compile(r"[A-Za-z0-9._-]*")
"""What an id consists of. It stands in the stream until the positions of the client are others, so no other one may: a
line end in it would begin an event of whoever has chosen it."""

Write = Callable[[bytes], Awaitable[None]]


@frozen
class Page:
    """One page of events, and the id to come back with."""

    events: list[bytes]
    id: str


class EventClient:
    """One client of `GET /events`: of a stream, or of a page that it asks for.

    `most_messages` and `most_bytes` bound what waits for it. A stream that exceeds them is closed with `slow`, a page
    `ends_when_full`. `address` is where the client is, as the log says it, `opened_at` when it came, by Trio's clock,
    and `close_code` why the service ends it, if it does.
    """

    transport = "events"

    def __init__(
        self,
        open_session: Callable[[SendQueue], Session],
        channels: Sequence[str],
        since: str | None,
        *,
        snapshot: bool,
        most_messages: int,
        most_bytes: int,
        write_timeout: float,
        ends_when_full: bool,
        address: str | None,
        opened_at: float,
    ) -> None:
        self.address = address
        self.opened_at = opened_at
        self._channels = channels
        self._wants_snapshot = snapshot
        if since is not None and not _ID.fullmatch(since):
            since = UNREADABLE
        self._places = Places(channels, since, snapshot=snapshot)
        self._queue = EventQueue(self, max_messages=most_messages, max_bytes=most_bytes)
        self._write_timeout = write_timeout
        self._ends_when_full = ends_when_full
        self.close_code: CloseCode | None = None
        self._commented_at = -inf
        self.session = open_session(self._queue)

    # What those call who look after all connections

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for the client to take them."""
        return self._queue.waiting_bytes

    def close(self, close_code: CloseCode) -> None:
        """End the stream, saying why; the first reason counts."""
        if self.close_code is None:
            self.close_code = close_code
            self._queue.wake()

    def announce(self, within: float) -> None:
        """Say that the stream will be closed in so many seconds, because this instance is going away."""
        self.session.announce(within)

    def on_overflow(self) -> None:
        """End the stream of a client that reads too slowly; of a page, that is its end."""
        if not self._ends_when_full:
            self.close(codes.SLOW)
        self._queue.wake()

    def check(self, now: float) -> None:
        """Inform a client that waits for an answer that it does; have something sent to one that receives nothing."""
        if self.session.has_unanswered:
            self.session.send_pending()
        if now - self._commented_at >= COMMENT_INTERVAL:
            self._queue.wake()

    # What the answer to its request calls

    def sign_in(self, identity: Identity | None) -> CloseCode | None:
        """Note who the client is; return the reason why that cannot be."""
        session = self.session
        if identity is None:
            session.identities.connected(session, time())
        elif not identify(session, identity, time()):
            return codes.TOO_MANY_CONNECTIONS
        return None

    def greet(self) -> None:
        """Send the client who it is, and how fresh the channels are."""
        self._queue.offer(self.session.greeting(time()), 1)

    def subscribe(self, *, partial: bool = False, presence: bool = False) -> codes.ErrorCode | CloseCode | None:
        """Subscribe to the client's channels; return the first reason why that cannot be.

        With `partial`, a channel that is refused is none: the client is sent the error, and what it may see. With
        `presence`, it is also sent who is on each channel.
        """
        session = self.session
        for channel in self._channels:
            request = {"type": "subscribe", "channel": channel, "snapshot": self._wants_snapshot, "presence": presence}
            if (position := self._places.of(channel)) is not None:
                request["position"] = position
            answer = handle(session, orjson.dumps(request).decode())
            if answer in codes.ERROR_CODES and not partial:
                return codes.ERROR_CODES[answer]
        return None

    async def stream(self, write: Write) -> None:
        """Write events until the stream is closed; returns early when the client takes nothing for too long."""
        self._commented_at = trio.current_time()
        while True:
            await self._queue.wait()
            if not await self._write_waiting(write):
                return
            if self.close_code is not None:
                await self._write_text(write, _closing(self.close_code))
                return
            if trio.current_time() - self._commented_at >= COMMENT_INTERVAL and self._queue.is_empty:
                self._commented_at = trio.current_time()
                if not await self._write_text(write, COMMENT + self._pong()):
                    return
            self._on_drained()

    def _pong(self) -> bytes:
        """Return where the client is on each channel, which it keeps, and an event that says how fresh they are."""
        positions = self.session.positions()
        self._places.move(positions)
        pong = encode("pong", **self.session.feed.freshness(), positions=positions)
        return mark(self._places.id) + event(pong, name="pong")

    async def _write_waiting(self, write: Write) -> bool:
        """Write all that waits; return False if the client has not taken it."""
        if self.close_code is codes.SLOW:
            self._queue.drop()  # it comes back for more than that
        gathered = bytearray()
        try:
            while messages := await self._queue.take():
                gathered += b"".join(map(self._event, messages))
                if len(gathered) >= WRITE_BYTES:
                    if not await self._write_text(write, bytes(gathered)):
                        return False
                    gathered.clear()
        except PositionEvicted:
            self._queue.drop()
            self.close(codes.SLOW)
        return not gathered or await self._write_text(write, bytes(gathered))

    def _event(self, payload: bytes) -> bytes:
        id = self._places.id if self._places.note(payload) else None
        if id is not None and len(id) > MOST_ID_BYTES:
            self.close(codes.MESSAGE_TOO_BIG)
        name = "going_away" if payload.startswith(b'{"type":"going_away"') else None
        return event(payload, id, name)

    async def _write_text(self, write: Write, text: bytes) -> bool:
        """Write some bytes at a time; return False if the client has not taken them in time."""
        for first in range(0, len(text), WRITE_BYTES):
            with trio.move_on_after(self._write_timeout) as patience:
                await write(text[first : first + WRITE_BYTES])
            if patience.cancelled_caught:
                return False
        return True

    def _on_drained(self) -> None:
        """Hand over more of what the client missed, if nothing has come meanwhile."""
        if not self._queue.is_empty:
            return
        self._queue.backlogged = False
        self.session.delivery.resume()

    async def page(self, wait: float, most_messages: int) -> Page:
        """Return the next events, waiting so many seconds for the first one, and the id after them.

        What was asked for is waited for in any case (the snapshot, what was missed), for a while.
        """
        taken: list[bytes] = []
        id = self._places.id
        with trio.move_on_after(max(wait, self._write_timeout)):
            deadline = trio.current_time() + wait
            while self.close_code is None and not self._queue.is_full and len(taken) < most_messages:
                if self.session.is_settled and self._queue.is_empty:
                    if taken or trio.current_time() >= deadline:
                        break
                    with trio.move_on_at(deadline):
                        await self._queue.wait()
                else:
                    await self._queue.wait()
                id = await self._take_for_page(taken, most_messages, id)
                if len(taken) < most_messages:
                    self._on_drained()
        if self._queue.is_empty and not self._queue.is_full and self.close_code is None:
            self._places.move(self.session.positions())
            id = self._places.id
        return Page(taken, id)

    async def _take_for_page(self, taken: list[bytes], most_messages: int, id: str) -> str:
        """Take what waits, as far as there is room; return the id after it."""
        try:
            while len(taken) < most_messages and (messages := await self._queue.take()):
                for payload in messages:
                    if self._places.note(payload):
                        id = self._places.id
                    if not _is_expected_answer(payload):
                        taken.append(payload)
        except PositionEvicted:
            self.close(codes.SLOW)
        return id

    def leave(self) -> None:
        """Give up all subscriptions."""
        self.session.leave()


def _is_expected_answer(payload: bytes) -> bool:
    """Return whether a message says only what the answer to the request says anyway."""
    return payload.startswith(b'{"type":"subscribed"') and b'"recovered":false' not in payload


def _closing(code: CloseCode) -> bytes:
    said = {"type": "close", "code": code.code, "name": code.name, "reconnect": code.reconnect}
    return event(orjson.dumps(said), name="close")
