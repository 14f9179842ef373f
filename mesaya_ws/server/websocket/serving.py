"""Serving WebSockets: each connection from the answer that opens it to its end, and its metrics."""

from collections.abc import Callable
from functools import partial
from logging import DEBUG, INFO
from time import time

import trio
from attrs import field, frozen

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import error_frame
from mesaya_ws.runtime.logs import bind_context, get_logger, level_check
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.admission import Admitted, Caller
from mesaya_ws.server.clients import Client
from mesaya_ws.server.websocket.connection import ABNORMAL, CLIENT, NOBODY, Connection, ConnectionConfig
from mesaya_ws.server.websocket.receiver import ReadPoller
from mesaya_ws.server.websocket.traffic import carried

log = get_logger(__name__)
is_logged = level_check(__name__)


@frozen
class WebSocketServer:
    """Serves WebSockets, each with a session of its own, which `open_session` makes from an id and a send queue.

    All connections are in `registry` while they are open. Who comes while the `status` is draining is sent on at once.
    What clients send comes through the `receiver`, which whoever owns this runs.
    """

    config: ConnectionConfig
    open_session: Callable[[str, SendQueue], Session]
    registry: SessionRegistry[Client]
    metrics: Metrics
    status: Status
    receiver: ReadPoller = field(factory=ReadPoller)

    async def serve(
        self,
        writers: trio.Nursery,
        id: str,
        stream: trio.SocketStream,
        admitted: Admitted,
        trailing_data: bytes,
        address: str | None = None,
    ) -> None:
        """Serve a client on `stream` until either side ends the connection; to close the stream is up to the caller.

        It is at `address`, as the log says it. `admitted` is the result of its handshake, and `trailing_data` what it
        sent after that. A client whose token is bad receives an error, and is closed. The task that this runs in is the
        receiving one; while the client lags, there is a writer task in `writers`, which ends with the stream.
        """
        metrics = self.metrics
        began_at = trio.current_time()
        code, by = ABNORMAL, NOBODY
        connection = Connection(
            stream,
            trailing_data,
            self.config,
            writers=writers,
            receive=self.receiver.receive,
            open_session=partial(self.open_session, id),
            registry=self.registry,
            counts=metrics.client_messages,
            violations=metrics.violations,
            address=address,
        )
        self.registry.add(connection)
        metrics.connections_open += 1
        metrics.connections_total += 1
        try:
            if self.status.draining:
                connection.close(codes.SERVICE_RESTART)
            serving = connection.run(admitted.answer, self._identify(connection, admitted.caller))
            del admitted, trailing_data  # as in `Dispatcher`
            code, by = await serving
            await connection.finish()
        finally:
            connection.leave()
            connection.detach()
            metrics.connections_open -= 1
            metrics.closes[str(code), by] = metrics.closes.get((str(code), by), 0) + 1
            _log_end(stream, code, by, trio.current_time() - began_at)

    def _identify(self, connection: Connection, caller: Caller) -> bytes:
        """Take note of who a client is, or have it closed; return the error to send."""
        session = connection.session
        match caller:
            case None:
                session.identities.connected(session, time())
            case Identity(user):
                bind_context(user=user)
                if not identify(session, caller, time()):
                    self.metrics.violations["connections_per_user"] += 1
            case BadToken():
                connection.close(codes.UNAUTHENTICATED)
                return error_frame(codes.BAD_TOKEN, caller.sentence)
            case Unavailable():
                connection.close(codes.TRY_AGAIN_LATER)
                return error_frame(codes.UNAVAILABLE, caller.sentence)
        return b""


def _log_end(stream: trio.SocketStream, code: int, by: str, seconds: float) -> None:
    """Log how a connection ended; at INFO unless the client wished it."""
    if not is_logged(DEBUG if by == CLIENT else INFO):
        return
    meaning = codes.CLOSE_CODES.get(code)
    sent, received = carried(stream.socket) or (None, None)
    emit = log.debug if by == CLIENT else log.info
    emit(
        "connection closed",
        code=code,
        reason="" if meaning is None else meaning.name,
        by=by,
        seconds=round(seconds, 3),
        sent_bytes=sent,
        received_bytes=received,
    )
