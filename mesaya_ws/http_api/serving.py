"""HTTP on one accepted stream, by hypercorn. The only file that knows hypercorn.

Hypercorn serves whole ports; what serves one stream (`TCPServer`, `WorkerContext`) is internal to it, so its version is
pinned to 0.18 and a contract test watches over what is used here.
"""

import logging
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext


class HttpServer:
    """Serves an ASGI application; no lifespan events are sent to it."""

    def __init__(self, app: Any, *, max_head_bytes: int, idle_seconds: float) -> None:
        config = Config()
        # A second request could be an upgrade, and no acceptor would see it: one request a connection.
        config.keep_alive_max_requests = 0
        config.keep_alive_timeout = idle_seconds
        config.read_timeout = idle_seconds  # type: ignore[assignment]  # any number will do
        config.h11_max_incomplete_size = max_head_bytes
        config.include_server_header = False
        config.errorlog = logging.getLogger("hypercorn.error")
        self._config = config
        self._app = ASGIWrapper(app)
        self._context = WorkerContext(None)

    async def serve(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Answer the request on `stream`, a plain TCP stream with a `socket`, and close it.

        The stream must not have `do_handshake`: by that name hypercorn tells TLS.
        """
        await TCPServer(self._app, self._config, self._context, {}, stream)  # type: ignore[arg-type]

    async def terminate(self) -> None:
        """Close the connections that are idle; requests under way are answered."""
        await self._context.terminated.set()
