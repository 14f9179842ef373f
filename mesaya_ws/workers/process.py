"""A worker as its parent sees it: a process, and the two pipes to it."""

import signal
import subprocess
from collections.abc import Sequence

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.workers.role import ACCEPTING

log = get_logger(__name__)


class Worker:
    """A worker process, as its parent sees it.

    It is `settled` when it has begun to take connections, or has ended. One that is `on_trial` is not replaced when it
    ends; one that was `let_go` is on its way out, and `relieved` if others take connections meanwhile.
    """

    def __init__(self, number: int, *, on_trial: bool = False) -> None:
        self.number = number
        self.on_trial = on_trial
        self.settled, self.let_go, self.ended = trio.Event(), trio.Event(), trio.Event()
        self.relieved = False
        self._accepts_since: float | None = None

    @property
    def accepts(self) -> bool:
        """Whether it takes connections."""
        return self._accepts_since is not None and not self.let_go.is_set() and not self.ended.is_set()

    @property
    def served(self) -> float:
        """For how many seconds it has taken connections."""
        return 0.0 if self._accepts_since is None else trio.current_time() - self._accepts_since

    async def run(self, command: Sequence[str], sockets: Sequence[int], patience: float) -> str:
        """Run the process to its end, and return how it ended; when `let_go`, it has `patience` seconds for that."""
        try:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=sockets,
                # What is typed on a terminal is for the parent alone.
                start_new_session=True,
            )
        except OSError as error:
            end = f"it could not be started: {error.strerror}"
        else:
            log.info("worker started", worker=self.number, pid=process.pid)
            end = await self._attend(process, patience)
        self.end()
        return end

    def accept(self) -> None:
        """Take note that it has begun to take connections."""
        self._accepts_since = trio.current_time()
        self.settled.set()

    def end(self) -> None:
        """Take note that it has ended."""
        self.ended.set()
        self.settled.set()

    async def _attend(self, process: trio.Process, patience: float) -> str:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, process)
                nursery.start_soon(self._part, process, patience)
                code = await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    async def _listen(self, process: trio.Process) -> None:
        """Hear when it takes connections."""
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        said = b""
        async with process.stdout:
            async for words in process.stdout:
                said = (said + words)[-len(ACCEPTING) :]
                if said == ACCEPTING:
                    self.accept()
                    log.info("worker ready", worker=self.number)

    async def _part(self, process: trio.Process, patience: float) -> None:
        """Tell it when it is let go, and kill it if it does not heed that."""
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        async with process.stdin:
            await self.let_go.wait()
        await trio.sleep(patience)
        log.error("worker killed, as it does not end", worker=self.number, seconds=patience)
        process.kill()
