"""One client's connection: its tasks, and its end."""

from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import field, frozen
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from mesaya_ws.core import closing
from mesaya_ws.core.closing import CloseCode
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.frames import PING, FrameWatch, Violation, close_frame
from mesaya_ws.core.session import Limits, Session
from mesaya_ws.core.window import Overtaken
from mesaya_ws.logs import get_logger
from mesaya_ws.metrics import Metrics
from mesaya_ws.settings import Settings
from mesaya_ws.websocket.outbox import Outbox
from mesaya_ws.websocket.stream import WatchedStream

log = get_logger(__name__)

ABNORMAL = 1006
"""What RFC 6455, 7.1.5 calls a connection that broke without a close frame."""

_VERDICTS = {
    Violation.TOO_BIG: closing.TOO_BIG,
    Violation.FLOOD: closing.FLOOD,
    Violation.BINARY: closing.UNSUPPORTED_DATA,
}


@frozen
class Surroundings:
    """What all connections share.

    Sessions in `holding` have subscriptions that wait for the feed to move on; `ask` has the past read for a session.
    """

    settings: Settings
    limits: Limits
    feed: Feed
    metrics: Metrics
    ask: Callable[[Session], None]
    connections: "set[Connection]" = field(factory=set)
    holding: set[Session] = field(factory=set)


class Connection:
    """A client, from its accepted handshake to the end of its socket.

    Three tasks of ours live in it: one receives, one drains the outbox, one tells whether the client is still there.
    """

    __slots__ = ("_around", "_outbox", "_scope", "_stream", "_verdict", "session")

    def __init__(self, id: str, stream: trio.SocketStream, head: bytes, early: bytes, around: Surroundings) -> None:
        settings = around.settings
        self._around = around
        self._scope = trio.CancelScope()
        self._verdict: CloseCode | None = None
        self._outbox = Outbox(stream.socket, settings.outbox_messages, settings.outbox_bytes, self)
        watch = FrameWatch(settings.max_message_bytes, settings.messages_per_second)
        self._stream = WatchedStream(stream, head, early, self._outbox, watch, self)
        self.session = Session(id, around.feed, self._outbox, around.limits)

    def close(self, verdict: CloseCode) -> None:
        """End the connection, telling the client why; the first reason counts."""
        if self._verdict is None:
            self._verdict = verdict
            self._scope.cancel()

    def overflowed(self) -> None:
        """End the connection of a client that reads too slowly; the log still has what it misses."""
        self.close(closing.SLOW)

    def idle(self) -> None:
        """Hand over more of what the client missed while it was away."""
        try:
            self.session.go_on()
        except Overtaken:
            self.close(closing.SLOW)

    def violated(self, violation: Violation) -> None:
        """End the connection of a client that breaks a limit."""
        self.close(_VERDICTS[violation])

    async def run(self) -> None:
        """Serve the client until either side ends the connection."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._outbox.drain)
                websocket = await self._shake_hands(nursery)
                if websocket is not None:
                    nursery.start_soon(self._watch_over)
                    await self._serve(websocket)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _shake_hands(self, nursery: trio.Nursery) -> WebSocketConnection | None:
        settings = self._around.settings
        with trio.move_on_after(settings.handshake_timeout), suppress(ConnectionClosed):
            request = await wrap_server_stream(
                nursery, self._stream, message_queue_size=1, max_message_size=settings.max_message_bytes
            )
            return await request.accept()
        return None

    async def _serve(self, websocket: WebSocketConnection) -> None:
        metrics = self._around.metrics
        metrics.connections_open += 1
        metrics.connections_total += 1
        self._around.connections.add(self)
        self.session.welcome()
        code = ABNORMAL
        try:
            with self._scope:
                code = await self._receive(websocket)
            if self._verdict is not None:
                code = self._verdict.code
                await self._part(websocket, self._verdict)
        finally:
            self.session.leave()
            self._around.connections.discard(self)
            self._around.holding.discard(self.session)
            metrics.connections_open -= 1
            metrics.closes[str(code)] = metrics.closes.get(str(code), 0) + 1
            log.debug("closed", connection=self.session.id, code=code)

    async def _receive(self, websocket: WebSocketConnection) -> int:
        """Obey the client's messages until it closes; return the close code."""
        counts = self._around.metrics.client_messages
        try:
            while True:
                text = str(await websocket.get_message())  # never bytes: the stream lets no binary frame pass
                kind = self.session.receive(text)
                counts[kind] = counts.get(kind, 0) + 1
                if self.session.holding:
                    self._around.holding.add(self.session)
                if self.session.asking:
                    self._around.ask(self.session)
        except ConnectionClosed as closed:
            return closed.reason.code if closed.reason else ABNORMAL

    async def _watch_over(self) -> None:
        """Ping a client that has been silent, and give it up when it stays so (RFC 6455, 5.5.2)."""
        settings, stream = self._around.settings, self._stream
        while True:
            heard_at = stream.heard_at
            await trio.sleep_until(heard_at + settings.ping_interval)
            if stream.heard_at == heard_at:
                self._outbox.offer(PING, 1)
                await trio.sleep(settings.ping_timeout)
                if stream.heard_at == heard_at:
                    self.close(closing.SILENT)
                    return

    async def _part(self, websocket: WebSocketConnection, verdict: CloseCode) -> None:
        """Send the close frame, and wait a little for the client to take its leave."""
        self.session.leave()
        self._outbox.finish(close_frame(verdict.code, verdict.name))
        with trio.move_on_after(self._around.settings.close_timeout), suppress(ConnectionClosed):
            while True:
                await websocket.get_message()
