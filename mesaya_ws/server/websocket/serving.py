"""Serving WebSockets: each connection from the answer that opens it, with the books, to its end."""

from collections.abc import Callable
from functools import partial
from logging import DEBUG, INFO

import trio
from attrs import field, frozen

from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.websocket.connection import ABNORMAL, CLIENT, NOBODY, Connection, ConnectionConfig
from mesaya_ws.server.websocket.receiver import ReadPoller
from mesaya_ws.server.websocket.traffic import carried

log = get_logger(__name__)


@frozen
class WebSocketServer:
    """Serves WebSockets, each with a session of its own, which `open_session` makes from an id and a send queue.

    All connections are in `registry` while they are open. Who comes while the `status` is draining is sent on at once.
    What clients send comes through the `receiver`, which whoever owns this runs.
    """

    config: ConnectionConfig
    open_session: Callable[[str, SendQueue], Session]
    registry: SessionRegistry[Connection]
    metrics: Metrics
    status: Status = field(factory=Status)
    receiver: ReadPoller = field(factory=ReadPoller)

    async def serve(
        self, senders: trio.Nursery, id: str, stream: trio.SocketStream, answer: bytes, early: bytes
    ) -> None:
        """Serve a client on `stream` until either side ends the connection; to close the stream is up to the caller.

        `answer` opens the WebSocket, and `early` is what the client sent after its handshake. The task that this runs
        in is the receiving one; while the client lags, there is a send task in `senders`, which ends with the stream.
        """
        metrics = self.metrics
        began_at = trio.current_time()
        code, by = ABNORMAL, NOBODY
        connection = Connection(
            stream,
            early,
            self.config,
            senders=senders,
            receive=self.receiver.receive,
            open_session=partial(self.open_session, id),
            registry=self.registry,
            counts=metrics.client_messages,
            violations=metrics.violations,
        )
        self.registry.add(connection)
        metrics.connections_open += 1
        metrics.connections_total += 1
        if self.status.draining:
            connection.close(codes.SERVICE_RESTART)
        try:
            code, by = await connection.run(answer)
            await connection.part()
        finally:
            connection.leave()
            connection.abandon()
            metrics.connections_open -= 1
            metrics.closes[str(code), by] = metrics.closes.get((str(code), by), 0) + 1
            _log_end(stream, code, by, trio.current_time() - began_at)


def _log_end(stream: trio.SocketStream, code: int, by: str, seconds: float) -> None:
    """Log how a connection ended; at INFO unless the client wished it."""
    if not log.is_enabled_for(DEBUG if by == CLIENT else INFO):
        return
    meaning = codes.CLOSE_CODES.get(code)
    sent, received = carried(stream.socket) or (None, None)
    tell = log.debug if by == CLIENT else log.info
    tell(
        "connection closed",
        code=code,
        reason="" if meaning is None else meaning.name,
        by=by,
        seconds=round(seconds, 3),
        sent_bytes=sent,
        received_bytes=received,
    )
