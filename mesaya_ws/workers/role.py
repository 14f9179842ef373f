"""The role of a gateway process: it runs alone, or as one of several workers that share a port."""

import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.settings import Settings
from mesaya_ws.workers.metrics_files import MetricsDirectory, Render

log = get_logger(__name__)

STDIN, STDOUT = 0, 1

WaitPrepared = Callable[[], Awaitable[None]]
"""Returns once a gateway has read what it needs to serve clients as well as one that has been running for long."""

ACCEPTING = b"accepting\n"
"""Written by a worker to its supervisor when it begins to accept connections."""


class Role:
    """A process that runs alone.

    It accepts connections from the start, and stops at SIGTERM or SIGINT. While it stops it still answers HTTP, so that
    its health can be checked.
    """

    shares_port = False
    """Whether other processes accept connections on the port while this one stops."""

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return the listeners. Raises `OSError` when the address cannot be listened on."""
        return await trio.open_tcp_listeners(settings.port, host=settings.host)

    async def wait_ready(self, wait_prepared: WaitPrepared) -> None:
        """Return when connections may be accepted."""
        await trio.lowlevel.checkpoint()

    async def wait_shutdown(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` when the gateway must stop; cancel `everything` at a second signal."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await anext(signals)
            stopping.set()
            await anext(signals)
            log.warning("ending at once")
            everything.cancel()

    async def export_metrics(self, render: Render) -> None:
        """Let the other processes on the port read the metrics that `render` returns, until cancelled."""

    async def render_metrics(self, render: Render) -> bytes:
        """Return the metrics of all processes on the port; those of this one come from `render`."""
        await trio.lowlevel.checkpoint()
        return render()


class WorkerRole(Role):
    """A process of several that share a port.

    It inherits from the supervisor, as file descriptors: the listening `sockets`; `ready_pipe`, to which it writes that
    it accepts connections; and `parent_pipe`, whose end means that it must stop, or that the supervisor has died. Then
    it stops accepting at once, for its siblings accept. A worker that `relieves` another one accepts only after it has
    read all that it needs for clients: others serve them until then.
    """

    shares_port = True

    def __init__(
        self,
        sockets: Sequence[int],
        metrics: MetricsDirectory,
        *,
        relieves: bool,
        parent_pipe: int = STDIN,
        ready_pipe: int = STDOUT,
    ) -> None:
        self._sockets = sockets
        self._metrics = metrics
        self._relieves = relieves
        self._parent_pipe = parent_pipe
        self._ready_pipe = ready_pipe

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return the supervisor's listeners."""
        await trio.lowlevel.checkpoint()
        sockets = [socket.socket(fileno=descriptor) for descriptor in self._sockets]
        return [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in sockets]

    async def wait_ready(self, wait_prepared: WaitPrepared) -> None:
        """Return when connections may be accepted, after reporting it to the supervisor."""
        if self._relieves:
            await wait_prepared()
        await trio.lowlevel.checkpoint()
        with suppress(BrokenPipeError):  # the supervisor has died, which `wait_shutdown` notices
            os.write(self._ready_pipe, ACCEPTING)

    async def wait_shutdown(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` at the end of `parent_pipe`, or at a signal; a second signal has no further effect."""

        async def wait_end_of_pipe() -> None:
            async with trio.lowlevel.FdStream(os.dup(self._parent_pipe)) as parent:
                while await parent.receive_some():
                    pass
            stopping.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_end_of_pipe)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    stopping.set()

    async def export_metrics(self, render: Render) -> None:
        """Write the metrics of this worker to the shared directory."""
        await self._metrics.export(render)

    async def render_metrics(self, render: Render) -> bytes:
        """Return the metrics of all workers."""
        return await self._metrics.render(render)
