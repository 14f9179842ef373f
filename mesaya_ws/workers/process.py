"""A worker as its supervisor sees it: a process, and the two pipes to it.

    starting ──"accepting"──▶ accepting ──`stop_requested`──▶ stopping ──▶ ended
        └──────────────────────────┴──── ends by itself ───────────────────▶ ended

`started_or_ended` is set on leaving `starting`. The end of the first pipe asks the process to stop; on the second one
it reports that it accepts connections.
"""

import signal
import subprocess
from collections.abc import Sequence

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.workers.role import ACCEPTING

log = get_logger(__name__)

LAST_WORDS = 1.0
"""Seconds for which what a worker has said is read when it has ended: others may still have the pipe."""


class Worker:
    """A worker process, with its `number` among the workers.

    A worker that `is_candidate` was started by a reload and is not replaced when it ends. One that `is_replaced` stops
    because others accept connections instead.
    """

    def __init__(self, number: int, *, is_candidate: bool) -> None:
        self.number = number
        self.is_candidate = is_candidate
        self.is_replaced = False
        self.started_or_ended, self.stop_requested, self.ended = trio.Event(), trio.Event(), trio.Event()
        self._accepts_since: float | None = None

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections."""
        return self._accepts_since is not None and not self.stop_requested.is_set() and not self.ended.is_set()

    @property
    def served(self) -> float:
        """For how many seconds it has accepted connections."""
        return 0.0 if self._accepts_since is None else trio.current_time() - self._accepts_since

    async def run(self, command: Sequence[str], sockets: Sequence[int], stop_timeout: float) -> str:
        """Run the process until it ends, and return how it ended.

        After `stop_requested` it has `stop_timeout` seconds; then it is killed.
        """
        try:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=sockets,
                # Signals that are typed on a terminal are for the supervisor alone.
                start_new_session=True,
            )
        except OSError as error:
            end = f"it could not be started: {error.strerror}"
        else:
            log.info("worker started", worker=self.number, pid=process.pid)
            end = await self._run(process, stop_timeout)
        self.on_ended()
        return end

    def on_accepting(self) -> None:
        """Note that the worker accepts connections."""
        self._accepts_since = trio.current_time()
        self.started_or_ended.set()

    def on_ended(self) -> None:
        """Note that the worker has ended."""
        self.ended.set()
        self.started_or_ended.set()

    async def _run(self, process: trio.Process, stop_timeout: float) -> str:
        all_read = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_accepting, process, all_read)
                nursery.start_soon(self._stop_when_requested, process, stop_timeout)
                code = await process.wait()
                # That it has accepted connections may have been said right before it ended.
                with trio.move_on_after(LAST_WORDS):
                    await all_read.wait()
                nursery.cancel_scope.cancel()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    async def _wait_accepting(self, process: trio.Process, all_read: trio.Event) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        received = b""
        async with process.stdout:
            async for data in process.stdout:
                received = (received + data)[-len(ACCEPTING) :]
                if received == ACCEPTING:
                    self.on_accepting()
                    log.info("worker ready", worker=self.number)
        all_read.set()

    async def _stop_when_requested(self, process: trio.Process, stop_timeout: float) -> None:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        async with process.stdin:
            await self.stop_requested.wait()
        await trio.sleep(stop_timeout)
        log.error("worker killed, as it does not end", worker=self.number, seconds=stop_timeout)
        process.kill()
