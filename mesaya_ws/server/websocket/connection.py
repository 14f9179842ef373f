"""One client's connection: what it does, and its end.

    serving ── `close` (a limit, a timeout, a fault, a shutdown) ──▶ closing: the close frame comes last in the send
       │                                                             queue, after what waits (not with `slow`)
       ├── the client's close frame, which is answered ──▶ answered: `close_sent`; perhaps the client has not taken it
       │                                                       │
       └── the end of its stream                               ▼  its end of the stream, or CLOSE_TIMEOUT, in both
             └───────────────────────────────────────────▶ detached: socket and send queue are not used any more

The first reason to close counts. A connection that is closed before it is served begins as closing.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from logging import DEBUG
from time import time

import trio
from attrs import fields_dict, frozen

from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Session, Unfinished
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.codes import CloseCode
from mesaya_ws.core.wire.frame_limits import FrameLimiter, FrameLimits, Violation
from mesaya_ws.core.wire.frames import PING, close_frame
from mesaya_ws.runtime.logs import get_logger, level_check
from mesaya_ws.server.clients import Client
from mesaya_ws.server.websocket.send_queue import SendQueue
from mesaya_ws.server.websocket.stream import ClientStream, Receive
from mesaya_ws.server.websocket.trio_websocket import WebSocket
from mesaya_ws.settings import Settings

log = get_logger(__name__)
is_logged = level_check(__name__)

ABNORMAL = 1006
"""What RFC 6455, 7.1.5 calls a connection that broke without a close frame."""

_PROTOCOL_ERRORS = (1002, 1007)
"""What trio-websocket finds wrong; it leaves it to us to say so."""

CLIENT, SERVICE, NOBODY = "client", "service", "nobody"
"""Who closed a connection: whoever sent the first close frame, or nobody, when it broke without one."""

_CODE_OF_VIOLATION = {
    Violation.TOO_BIG: codes.MESSAGE_TOO_BIG,
    Violation.BINARY: codes.UNSUPPORTED_DATA,
    Violation.MESSAGE_TIME: codes.MESSAGE_TIMEOUT,
}
"""With what a client is closed that breaks a limit; all others are limits of a rate."""


@frozen
class ConnectionConfig:
    """What one connection may cost, and how long it may be silent: settings of the same names.

    No setting is `handle_message`: what the client sends is for it, and it returns what kind of message that was.
    """

    frame_limits: FrameLimits
    message_timeout: float
    send_queue_messages: int
    send_queue_bytes: int
    ping_interval: float
    ping_timeout: float
    close_timeout: float
    handle_message: Callable[[Session, str], str] = handle


def connection_config(settings: Settings) -> ConnectionConfig:
    """Return what `settings` say of each connection."""
    own = fields_dict(ConnectionConfig).keys() - {"frame_limits", "handle_message"}
    limits = {name: getattr(settings, name) for name in fields_dict(FrameLimits)}
    return ConnectionConfig(FrameLimits(**limits), **{name: getattr(settings, name) for name in own})


class Connection:
    """A client, from the answer that opens its WebSocket to the end of its socket.

    What it sends is received by `receive`; what kinds of messages those were is counted in `counts`, and which limit it
    broke, in `violations`. While it lags, there is a writer task in `writers`, which ends with the stream.
    `address` is where the client is, as the log says it.
    """

    __slots__ = (
        "_close_code",
        "_config",
        "_counts",
        "_pinged_at",
        "_registry",
        "_scope",
        "_send_queue",
        "_stream",
        "_tcp",
        "_violation",
        "_violations",
        "address",
        "opened_at",
        "session",
    )

    transport = "websocket"

    def __init__(
        self,
        stream: trio.SocketStream,
        trailing_data: bytes,
        config: ConnectionConfig,
        *,
        writers: trio.Nursery,
        receive: Receive,
        open_session: Callable[[SendQueue], Session],
        registry: "SessionRegistry[Client]",
        counts: Counter[str],
        violations: Counter[str],
        address: str | None = None,
    ) -> None:
        self.address = address
        self.opened_at = trio.current_time()
        self._config = config
        self._registry = registry
        self._counts = counts
        self._violations = violations
        self._tcp = stream
        self._scope = trio.CancelScope()
        self._pinged_at = -math.inf
        self._close_code: CloseCode | None = None
        self._violation: Violation | None = None
        self._send_queue = SendQueue(
            stream.socket, writers, self, max_messages=config.send_queue_messages, max_bytes=config.send_queue_bytes
        )
        limiter = FrameLimiter(config.frame_limits)
        self._stream = ClientStream(stream.socket, trailing_data, self._send_queue, limiter, self, receive)
        self.session = open_session(self._send_queue)

    def close(self, close_code: CloseCode) -> None:
        """End the connection, telling the client why; the first reason counts."""
        if self._close_code is None:
            self._close_code = close_code
            self._scope.cancel()

    def announce(self, within: float) -> None:
        """Announce to the client that it will be closed in so many seconds, because this instance is going away."""
        self.session.announce(within)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for the client to take them."""
        return self._send_queue.waiting_bytes

    def on_overflow(self) -> None:
        """End the connection of a client that reads too slowly; the log still has what it misses."""
        self.close(codes.SLOW)

    def on_drained(self) -> None:
        """Hand over more of what the client missed while it was away."""
        self.session.delivery.resume()

    def on_error(self, fault: Exception) -> None:
        """End the connection by a fault of ours; no other one may come to harm by it."""
        log.error("a connection ended by a fault of ours", connection=self.session.id, exc_info=fault)
        self.close(codes.INTERNAL_ERROR)

    def on_violation(self, violation: Violation) -> None:
        """End the connection of a client that breaks a limit."""
        if self._close_code is None:
            self._violations[violation.value] += 1
            self._violation = violation
        self.close(_CODE_OF_VIOLATION.get(violation, codes.RATE_LIMITED))

    def check(self, now: float) -> None:
        """Ping a client that has been silent, and give it up when it stays so (RFC 6455, 5.5.2).

        A client that takes nothing of what waits for it is given up as well, whatever it sends. One that takes some is
        there: the ping may be on its way to it, after much else. One that waits for an answer is sent `pending`.
        """
        config, received_at, send_queue = self._config, self._stream.received_at, self._send_queue
        if self.session.has_unanswered:
            self.session.send_pending()
        if send_queue.backlogged and now - send_queue.took_at(now) >= config.ping_timeout:
            self.close(codes.SLOW)
        elif self._pinged_at > received_at:
            if now - max(self._pinged_at, send_queue.took_at(now)) >= config.ping_timeout:
                self.close(codes.PING_TIMEOUT)
        elif (began_at := self._stream.incomplete_since) is not None and now - began_at >= config.message_timeout:
            self.on_violation(Violation.MESSAGE_TIME)
        elif now - received_at >= config.ping_interval:
            self._pinged_at = now
            send_queue.offer(PING, 1)
            send_queue.took_at(now)

    async def run(self, answer: bytes, error: bytes = b"") -> tuple[int, str]:
        """Send the `answer` that opens the WebSocket, and serve the client; return how that is closed, and by whom.

        An `error` follows the greeting, for a client that is closed already. What is left to do then is to `finish`.
        """
        self._send_queue.offer(answer + self.session.greeting(time()) + error, 1)
        del answer, error  # a connection may last for days
        websocket = WebSocket(self._stream, self._on_message)
        with self._scope:
            try:
                if self._close_code is None:  # else nothing that it sent is answered
                    await websocket.run()
            except Exception as fault:  # noqa: BLE001 - whatever it is, the client receives an error
                self.on_error(fault)
        if self._violation is not None:
            # Not where it is noticed: the task that looks after all connections does not know whose this one is.
            log.info("client broke a limit", reason=self._violation.value)
        code = int(websocket.closed.code) if websocket.closed else ABNORMAL
        if code in _PROTOCOL_ERRORS and not self._stream.close_sent:
            self.close(codes.CLOSE_CODES[code])
        if self._close_code is not None:
            return self._close_code.code, SERVICE
        return code, NOBODY if code == ABNORMAL else CLIENT

    def _on_message(self, text: str) -> Unfinished | None:
        counts, session = self._counts, self.session
        kind = self._config.handle_message(session, text)
        counts[kind] += 1
        if kind in codes.ERROR_CODES:
            log.info("message refused", code=kind)
        elif kind == "subscribe" and is_logged(DEBUG):
            log.debug("subscribed", channel=json.loads(text)["channel"])
        return None if session.unfinished is None else session.take_unfinished()

    async def finish(self) -> None:
        """Send the close frame, and give the client time to read it: a reset would take it away (RFC 9112, 9.6).

        A client that closed by itself has been answered, unless that waits for it to take what was sent before.
        """
        if self._close_code is not None:
            self.leave()
            if self._close_code is codes.SLOW:
                self._send_queue.drop()  # it comes back for more than that
            self._send_queue.send_close(close_frame(self._close_code.code, self._close_code.name))
        elif self._stream.close_sent and self._send_queue.backlogged:
            self.leave()
        else:
            return
        with trio.move_on_after(self._config.close_timeout), suppress(trio.BrokenResourceError):
            async for _ in self._tcp:
                pass

    def leave(self) -> None:
        """Give up all subscriptions, and be known to nobody."""
        self.session.leave()
        self._registry.remove(self)

    def detach(self) -> None:
        """Give up the socket and the send queue: neither is used again."""
        self._send_queue.close()
        self._stream.detach()
