"""The only worker, which runs in the supervisor's process until a reload; its successors are processes of their own.

So a gateway with one worker is one process, and SIGHUP still replaces it without a gap: the successor is a process that
shares the port, and the first process stays as the supervisor that it has been from the start.
"""

import gc
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from mesaya_ws.settings import Settings
from mesaya_ws.workers.process import Worker
from mesaya_ws.workers.role import Role, WaitPrepared

Serve = Callable[[Settings, Role], Awaitable[None]]
"""Runs a gateway in its role until it must stop."""


class Resident(Worker):
    """A worker in the supervisor's process, run by `serve`. An exception of `serve` ends the supervisor, too."""

    def __init__(self, number: int, settings: Settings, serve: Serve) -> None:
        super().__init__(number, is_candidate=False)
        self._settings = settings
        self._serve = serve

    async def run(self, command: Sequence[str], sockets: Sequence[int], stop_timeout: float) -> str:
        """Serve until `stop_requested`. `stop_timeout` is not enforced: there is no process to kill."""
        await self._serve(self._settings, ResidentRole(self, sockets))
        # The gateway's state is garbage now, and the supervisor serves nobody that a full collection could delay.
        gc.collect()
        self.on_ended()
        return "in order"


class ResidentRole(Role):
    """The role of a gateway in the supervisor's process: it stops when its worker's `stop_requested` is set."""

    def __init__(self, worker: Resident, sockets: Sequence[int]) -> None:
        self._worker = worker
        self._sockets = sockets

    @property
    def shares_port(self) -> bool:  # type: ignore[override]
        """Whether other workers accept connections while it stops; otherwise it answers HTTP to the end."""
        return self._worker.is_replaced

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return duplicates of the supervisor's listeners, which the supervisor may close earlier."""
        await trio.lowlevel.checkpoint()
        sockets = [socket.socket(fileno=os.dup(descriptor)) for descriptor in self._sockets]
        return [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in sockets]

    async def wait_ready(self, wait_prepared: WaitPrepared) -> None:
        """Return at once: connections may be accepted from the start."""
        await trio.lowlevel.checkpoint()
        self._worker.on_accepting()

    async def wait_shutdown(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` when the supervisor requests it; signals are for the supervisor."""
        await self._worker.stop_requested.wait()
        stopping.set()
