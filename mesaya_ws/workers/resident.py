"""The only worker, which lives in its parent's process until a reload; others are processes of their own.

So a gateway with one worker is one process, and SIGHUP replaces it without a gap all the same: its successor is a
process that shares the port, and the first one stays as the parent that it has been from the start.
"""

import gc
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from mesaya_ws.settings import Settings
from mesaya_ws.workers.process import Worker
from mesaya_ws.workers.role import Role

Serve = Callable[[Settings, Role], Awaitable[None]]
"""Runs a gateway at its post, until it is to go."""


class Resident(Worker):
    """A worker in its parent's process: it serves by `serve`. What that raises ends the parent, too."""

    def __init__(self, number: int, settings: Settings, serve: Serve) -> None:
        super().__init__(number)
        self._settings = settings
        self._serve = serve

    async def run(self, command: Sequence[str], sockets: Sequence[int], patience: float) -> str:
        """Serve until `let_go`; there is nobody to kill who does not heed that."""
        await self._serve(self._settings, ResidentPost(self, sockets))
        # What it knew is of no use to the parent, which serves nobody from now on.
        gc.collect()
        self.end()
        return "in order"


class ResidentPost(Role):
    """The place of a gateway in its parent's process: it goes when it is let go."""

    def __init__(self, worker: Resident, sockets: Sequence[int]) -> None:
        self._worker = worker
        self._sockets = sockets

    @property
    def shares_port(self) -> bool:  # type: ignore[override]
        """Whether others take connections there when it goes; otherwise it answers HTTP to the end."""
        return self._worker.relieved

    async def listeners(self, settings: Settings) -> list[trio.SocketListener]:
        """Return the parent's, which it may close before."""
        await trio.lowlevel.checkpoint()
        sockets = [socket.socket(fileno=os.dup(descriptor)) for descriptor in self._sockets]
        return [trio.SocketListener(trio.socket.from_stdlib_socket(listening)) for listening in sockets]

    async def enter(self, live: trio.Event) -> None:
        """Return when connections may be taken, which is at once."""
        await trio.lowlevel.checkpoint()
        self._worker.accept()

    async def heed(self, stopping: trio.Event, everything: trio.CancelScope) -> None:
        """Set `stopping` when it is let go; signals are for the parent."""
        await self._worker.let_go.wait()
        stopping.set()
