"""HTTP for one accepted connection: hypercorn's HTTP/1.1, on a stream of ours. The only file that knows hypercorn.

Hypercorn serves whole ports; what is used here is internal to it, so its version is pinned to 0.18 and a contract test
watches over it. Its `TCPServer`, which serves one stream, is not used: it goes over to HTTP/2 when a client asks for
that; it shields its writes from cancellation, so that a client that reads nothing keeps the service from ending; and a
connection whose request has a long body that nobody reads never ends.
"""

import logging
from http import HTTPStatus

import h11
import trio
from attrs import evolve
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.types import ASGIApp

from mesaya_ws.core.head import refusal
from mesaya_ws.core.http_errors import BAD_REQUEST

EXCHANGE_SECONDS = 60.0
"""Time for a request and its answer; the application has shorter limits of its own, and tells of them."""

LINGER_SECONDS = 2.0
"""Time for the client to hang up after the answer: unread bytes would reset the connection and may take the answer
with them (RFC 9112, 9.6)."""


async def serve_http(app: ASGIApp, stream: trio.abc.HalfCloseableStream) -> None:
    """Answer the request that `stream` brings, and close it: one request a connection, and no lifespan.

    A second request on a connection could be a handshake (proxies re-use them), and no acceptor would see it.
    """
    try:
        with trio.move_on_after(EXCHANGE_SECONDS) as exchange:
            async with TaskGroup() as tasks:
                await _Exchange(app, tasks, stream, exchange).listen()
        with trio.move_on_after(LINGER_SECONDS):
            await stream.send_eof()
            while await stream.receive_some():
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client is gone
    finally:
        await trio.aclose_forcefully(stream)


def _config() -> Config:
    config = Config()
    config.keep_alive_max_requests = 0
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


_CONFIG = _config()


class _OneRequest(h11.Connection):
    """HTTP/1.1 that takes no notice of what comes behind a request."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        return h11.PAUSED if self.their_state in (h11.DONE, h11.MUST_CLOSE) else super().next_event()


class _Exchange(H11Protocol):
    """One request and its answer; when that is over, so is `scope`, and all that still waits in it."""

    def __init__(
        self, app: ASGIApp, tasks: TaskGroup, stream: trio.abc.HalfCloseableStream, scope: trio.CancelScope
    ) -> None:
        framework: ASGIFramework = app  # type: ignore[assignment]  # two names for the same
        super().__init__(
            ASGIWrapper(framework),
            _CONFIG,
            WorkerContext(None),
            tasks,
            ConnectionState({}),
            ssl=False,
            client=None,
            server=None,
            send=self._emit,
        )
        self.connection = _OneRequest(h11.SERVER)
        self._stream = stream
        self._scope = scope
        self._writing = trio.Lock()
        self._is_over = False

    async def listen(self) -> None:
        """Take what the client sends until it has sent all, or the exchange is over."""
        try:
            while True:
                data = await self._stream.receive_some()
                await self.handle(RawData(bytes(data)))
                if not data:
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()

    async def _emit(self, event: Event) -> None:
        # `Closed` follows a fault of the client: it has been refused, or its answer is under way and goes on.
        if isinstance(event, RawData):
            await self._write(event.data)

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        async with self._writing:
            if not self._is_over:
                self._is_over = last
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._end()

    def _end(self) -> None:
        self._is_over = True
        self._scope.cancel()

    # What hypercorn does otherwise.

    async def _check_protocol(self, event: object) -> None:
        """Go on in HTTP/1.1, whatever the client would rather speak (RFC 9110, 7.8)."""

    async def _maybe_recycle(self) -> None:
        """End the exchange, now that the answer is complete, even if the request is not."""
        self._end()

    async def _send_error_response(self, status_code: int) -> None:
        """Refuse what is not HTTP as the rest of the service does."""
        sentence = "The request is not well-formed HTTP/1.1."
        await self._write(refusal(evolve(BAD_REQUEST, status=HTTPStatus(status_code)), sentence), last=True)
        self._end()
