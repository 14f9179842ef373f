"""The place of a gateway process: by itself, or as one of several workers that share a port."""

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.settings import Settings
from mesaya_ws.workers.metrics_files import MetricsDirectory, Render

log = get_logger(__name__)

STDIN, STDOUT = 0, 1

ACCEPTING = b"accepting\n"
"""What a worker says to its parent when it begins to take connections."""


class Role:
    """A process by itself.

    It takes connections from the start, and goes at SIGTERM or SIGINT. While it goes it still answers HTTP, so that its
    health can be asked.
    """

    shares_port = False

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return what is to be listened on. Raises `OSError` when that cannot be."""
        return await trio.open_tcp_listeners(settings.port, host=settings.host)

    async def enter(self, live: trio.Event) -> None:
        """Return when connections may be taken; `live` is when the gateway has caught up with the log."""
        await trio.lowlevel.checkpoint()

    async def share(self, render: Render) -> None:
        """Let others tell of our metrics, which `render` returns, until cancelled."""

    async def tell(self, render: Render) -> bytes:
        """Return our metrics, and those of all who share the port."""
        await trio.lowlevel.checkpoint()
        return render()

    async def heed(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` when the gateway is to go; cancel `everything` at a second signal."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await anext(signals)
            stopping.set()
            await anext(signals)
            log.warning("ending at once")
            everything.cancel()


class WorkerRole(Role):
    """One process of several that share a port.

    It has of its parent (`supervisor`) the listening `sockets`, and two pipes, all by their descriptors. On `words` it
    says when it takes connections. `lifeline` ends when the parent lets go of the worker, or is no more: then it goes,
    and takes no more connections at once, since the others do. One that `relieves` another takes none before it has
    caught up with the log.
    """

    shares_port = True

    def __init__(
        self,
        sockets: Sequence[int],
        pool: MetricsDirectory,
        *,
        relieves: bool,
        lifeline: int = STDIN,
        words: int = STDOUT,
    ) -> None:
        self._sockets = sockets
        self._pool = pool
        self._relieves = relieves
        self._lifeline = lifeline
        self._words = words

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return the parent's."""
        await trio.lowlevel.checkpoint()
        sockets = [socket.socket(fileno=descriptor) for descriptor in self._sockets]
        return [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in sockets]

    async def enter(self, live: trio.Event) -> None:
        """Return when connections may be taken, having told the parent so."""
        if self._relieves:
            await live.wait()
        await trio.lowlevel.checkpoint()
        with suppress(BrokenPipeError):  # then `heed` hears of it, too
            os.write(self._words, ACCEPTING)

    async def share(self, render: Render) -> None:
        """Keep our metrics in the pool."""
        await self._pool.keep(render)

    async def tell(self, render: Render) -> bytes:
        """Return the metrics of all workers."""
        return await self._pool.tell(render)

    async def heed(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` when the parent lets go, or at a signal; a second one says nothing new."""

        async def wait_let_go() -> None:
            async with trio.lowlevel.FdStream(os.dup(self._lifeline)) as parent:
                while await parent.receive_some():
                    pass
            stopping.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_let_go)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    stopping.set()
