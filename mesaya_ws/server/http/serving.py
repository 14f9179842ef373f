"""HTTP for one accepted connection: hypercorn's ASGI, on a stream of ours. The only file that knows hypercorn.

Hypercorn serves whole ports; what is used here is internal to it, so its version is pinned to 0.18 and a contract test
watches over it: `HTTPStream`, which makes an ASGI conversation of a request, and the task group that it runs in. Its
HTTP/1.1 is not used. It parses heads and chunks with h11, whose regular expressions take a second for 16 kB of blanks;
what it makes of a client's fault, the log would show as ours; and it goes over to HTTP/2 when a client asks for that.
"""

import logging
import math
from http import HTTPStatus
from time import time

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.types import ASGIApp

from mesaya_ws.core.wire.body import BodyError, body_of
from mesaya_ws.core.wire.handshake import END, Head, refusal
from mesaya_ws.core.wire.http_errors import BAD_REQUEST
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

EXCHANGE_SECONDS = 60.0
"""Time for a request and its answer; the application has shorter limits of its own, and answers when they are over."""

LINGER_SECONDS = 2.0
"""Time for the client to hang up after the answer: unread bytes would reset the connection and may take the answer
with them (RFC 9112, 9.6)."""

RECEIVE = 16_384
"""Bytes of a body that are taken in one turn of the event loop, at most: as chunks of one byte, they take 2 ms."""

_STREAM_ID = 1


async def serve_http(
    app: ASGIApp, head: Head, stream: trio.abc.HalfCloseableStream, trailing_data: bytes = b""
) -> None:
    """Answer the request that begins with `head`, and close `stream`; `trailing_data` came after the head.

    It is one request a connection, as the next one could be a handshake (proxies re-use connections), which would have
    to be distinguished from it; and no lifespan.
    """
    try:
        with trio.move_on_after(EXCHANGE_SECONDS) as exchange:
            async with TaskGroup() as tasks:
                await _Exchange(stream, exchange).run(app, head, trailing_data, tasks)
        with trio.move_on_after(LINGER_SECONDS):
            await stream.send_eof()
            while await stream.receive_some(RECEIVE):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client is gone
    finally:
        await trio.aclose_forcefully(stream)


def _config() -> Config:
    config = Config()
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


_CONFIG = _config()


class _Exchange:
    """One request and its answer; when that is over, so is `scope`, and all that still waits in it."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, scope: trio.CancelScope) -> None:
        self._stream = stream
        self._scope = scope
        self._writing = trio.Lock()
        self._unsent = b""
        self._has_begun = self._is_refused = self._is_endless = False

    async def run(self, app: ASGIApp, head: Head, trailing_data: bytes, tasks: TaskGroup) -> None:
        """Run `app` in `tasks`, and receive from the client for as long as it may send something."""
        framework: ASGIFramework = app  # type: ignore[assignment]  # two names for the same
        http = HTTPStream(
            ASGIWrapper(framework),
            _CONFIG,
            WorkerContext(None),
            tasks,
            ssl=False,
            client=None,
            server=None,
            send=self._hear,
            stream_id=_STREAM_ID,
        )
        try:
            await http.handle(_request(head))
            if head.expects_continue and not self._has_begun:
                await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._take_body(http, head, trailing_data)
            while await self._stream.receive_some(RECEIVE):
                pass  # what follows the request is not listened to
            if self._is_endless:
                self._scope.cancel()  # the client has hung up
        except BodyError as error:
            if not self._has_begun:  # else the answer goes on: nobody needed the rest of the body
                self._is_refused = True
                log.info("request refused", code=BAD_REQUEST.code, status=int(BAD_REQUEST.status), reason=str(error))
                await self._write(refusal(time(), BAD_REQUEST, str(error)))
                self._scope.cancel()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._scope.cancel()

    async def _take_body(self, http: HTTPStream, head: Head, trailing_data: bytes) -> None:
        """Hand the body to the application, of which `trailing_data` is here already. Raises `BodyError`."""
        body, data = body_of(head.body_bytes), trailing_data
        while True:
            if part := body.feed(data):
                await http.handle(Body(_STREAM_ID, part))
            if body.is_complete:
                break
            data = bytes(await self._stream.receive_some(RECEIVE))
            if not data:
                raise BodyError("The body of the request breaks off.")
        await http.handle(EndBody(_STREAM_ID))

    async def _hear(self, event: Event) -> None:
        """Take what the application answers, unless the client has been refused meanwhile."""
        if self._is_refused:
            return
        match event:
            case Response():
                self._has_begun = True
                if _is_endless(event):
                    self._is_endless, self._scope.deadline = True, math.inf
                self._unsent = _head_of(event)  # which goes out with what follows it
            case Body(data=data):
                data, self._unsent = self._unsent + data, b""
                await self._write(data)
            case EndBody() if self._unsent:
                await self._write(self._unsent)
            case StreamClosed():
                self._scope.cancel()

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._scope.cancel()


def _request(head: Head) -> Request:
    fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in head.headers.items()]
    target = head.target.encode("ascii")
    return Request(_STREAM_ID, fields, f"1.{head.minor}", head.method, target, ConnectionState({}))


def _is_endless(response: Response) -> bool:
    """Return whether an answer is a stream of events, which ends when either side wishes it."""
    return (b"content-type", b"text/event-stream") in response.headers


def _head_of(response: Response) -> bytes:
    """Return the head of an answer, after which the connection ends. Raises `ValueError` when it would be another."""
    status = HTTPStatus(response.status_code)
    fields = [*response.headers, *_CONFIG.response_headers("h11"), (b"connection", b"close")]
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode("ascii"), *(b"%s: %s" % field for field in fields)]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise ValueError("A header of the answer holds a line end.")
    return b"\r\n".join(lines) + END
