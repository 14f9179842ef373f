"""The parent of several workers: it holds the listening sockets, and sees to it that enough workers serve them.

A worker is a process of its own: a new interpreter, which reads `.env` and the program as they are by then, and shares
nothing with its parent but the sockets (see `role.WorkerRole`). The parent takes no connection itself.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.workers.metrics_files import MetricsDirectory
from mesaya_ws.workers.process import Worker
from mesaya_ws.workers.resident import Resident, Serve
from mesaya_ws.workers.restart_policy import RestartPolicy

log = get_logger(__name__)

COMMAND = (sys.executable, "-m", "mesaya_ws", "worker")

PARENT = 0
"""The parent's number among those of the workers, where metrics are told by it."""

STDERR = 2

LAST_PATIENCE = 10.0
"""Seconds, over those for its clients, that a worker has to end."""


class GaveUpError(Exception):
    """The workers do not stay alive; the message is a sentence."""


async def supervise(
    settings: Settings,
    load: Callable[[], Settings],
    command: Sequence[str] = COMMAND,
    serve: Serve | None = None,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have WORKERS workers serve the port, until SIGTERM or SIGINT; a second signal ends them without farewell.

    SIGHUP replaces them, one by one, by new ones with the settings that `load` returns now. With `serve`, the first
    worker lives in this process, and is the only one until then. Reports the port. Raises `OSError` when it cannot
    listen there, `GaveUpError`, and whatever `serve` raises.
    """
    with ExitStack() as stack:
        folder = Folder(stack)
        if serve is None:
            folder.path()
        listeners = await trio.open_tcp_listeners(settings.port, host=settings.host)
        port = listeners[0].socket.getsockname()[1]
        supervisor = Supervisor(settings, load, command, listeners, folder)
        if serve is None:
            log.info("listening", host=settings.host, port=port, workers=settings.workers)
        task_status.started(port)
        await supervisor.run(None if serve is None else Resident(1, settings, serve))


class Folder:
    """A directory that workers share; it is there from when it is first needed, until `stack` is closed."""

    def __init__(self, stack: ExitStack) -> None:
        self.made = trio.Event()
        self._stack = stack
        self._path: Path | None = None

    def path(self) -> Path:
        """Return where it is. Raises `GaveUpError` when there can be none."""
        if self._path is None:
            try:
                self._path = Path(self._stack.enter_context(TemporaryDirectory(prefix="mesaya-ws-")))
            except OSError as error:
                raise GaveUpError(
                    f"The workers need a directory for temporary files (TMPDIR): {error.strerror}."
                ) from error
            self.made.set()
        return self._path


class Supervisor:
    """Keeps workers at work; made by `supervise`."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        command: Sequence[str],
        listeners: Sequence[trio.SocketListener],
        folder: Folder,
    ) -> None:
        self._settings = settings
        self._load = load
        self._command = command
        self._listeners = listeners
        self._sockets = [listener.socket.fileno() for listener in listeners]
        self._folder = folder
        self._workers: dict[int, Worker] = {}
        self._restarts = RestartPolicy()
        self._has_served = False
        self._ended_by_themselves = 0
        self._failure: str | None = None
        self._reload_asked, self._ending = trio.Event(), trio.Event()

    async def run(self, resident: Resident | None = None) -> None:
        """See `supervise`; a `resident` is there before all others."""
        async with AsyncExitStack() as port, trio.open_nursery() as services:
            for listener in self._listeners:
                await port.enter_async_context(listener)
            services.start_soon(self._heed_signals, services.cancel_scope)
            services.start_soon(self._share_metrics)
            async with trio.open_nursery() as workers:
                if resident is not None:
                    self._workers[resident.number] = resident
                    workers.start_soon(self._employ, resident)
                for _ in range(self._settings.workers - len(self._workers)):
                    workers.start_soon(self._employ, self._new_worker())
                services.start_soon(self._reload_when_asked, workers)
                await self._ending.wait()
                await port.aclose()
                for worker in self._workers.values():
                    worker.let_go.set()
            services.cancel_scope.cancel()
        if self._failure:
            raise GaveUpError(self._failure)

    async def _share_metrics(self) -> None:
        """Keep what the parent counts in the pool, from when there are workers that share one."""
        await self._folder.made.wait()
        await MetricsDirectory(self._folder.path(), PARENT).keep(self._render)

    def _render(self) -> bytes:
        """Return what the parent knows better than its workers, in Prometheus' text format."""
        name, text = "mesaya_worker_restarts_total", "Workers that ended by themselves, and had to be replaced."
        return f"# HELP {name} {text}\n# TYPE {name} counter\n{name} {self._ended_by_themselves}\n".encode()

    def _new_worker(self, *, on_trial: bool = False) -> Worker:
        """Return a worker with the lowest number that is free."""
        number = next(number for number in count(1) if number not in self._workers)
        worker = self._workers[number] = Worker(number, on_trial=on_trial)
        return worker

    def _staff(self) -> list[Worker]:
        """Return the workers that are to stay, those first that have been there longest."""
        return [worker for worker in self._workers.values() if not worker.on_trial and not worker.let_go.is_set()]

    async def _employ(self, worker: Worker) -> None:
        """Have a worker, and when it ends by itself another one, for as long as one is needed."""
        while True:
            end = await worker.run(self._command_for(worker), self._sockets, self._patience)
            served = worker.served
            del self._workers[worker.number]
            if worker.let_go.is_set():
                log.info("worker ended", worker=worker.number, how=end)
                return
            self._ended_by_themselves += 1
            log.error("worker ended by itself", worker=worker.number, how=end, seconds=round(served, 1))
            if worker.on_trial or not await self._needs_another(served, end):
                return
            worker = self._new_worker()

    def _command_for(self, worker: Worker) -> list[str]:
        if isinstance(worker, Resident):
            return []
        options = [f"--number={worker.number}", f"--folder={self._folder.path()}"]
        options += [f"--socket={descriptor}" for descriptor in self._sockets]
        if any(other.accepts for other in self._workers.values()):
            options.append("--relieves")
        return [*self._command, *options]

    @property
    def _patience(self) -> float:
        return self._settings.drain_seconds + self._settings.close_timeout + LAST_PATIENCE

    async def _needs_another(self, served: float, end: str) -> bool:
        """Return, when the time for it has come, whether a worker is needed after one that served for so long."""
        self._has_served = self._has_served or served > 0 or any(other.served > 0 for other in self._workers.values())
        if not self._has_served:
            self._give_up(f"The worker ended before it could serve anybody ({end}); what it said is above.")
            return False
        delay = self._restarts.delay(served)
        if delay is None:
            self._give_up(f"The workers keep ending as soon as they have been started (the last one: {end}).")
            return False
        with trio.move_on_after(delay):
            await self._ending.wait()
        return not self._ending.is_set() and len(self._staff()) < self._settings.workers

    def _give_up(self, sentence: str) -> None:
        self._failure = self._failure or sentence
        self._ending.set()

    async def _heed_signals(self, everything: trio.CancelScope) -> None:
        """Reload at SIGHUP; begin the end at the first other signal, and cancel everything at the second.

        A terminal that is closed sends SIGHUP, too: then there is nobody who wants this to go on.
        """
        has_terminal = os.isatty(STDERR)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP and os.isatty(STDERR) == has_terminal:
                    self._reload_asked.set()
                elif not self._ending.is_set():
                    log.info("ending", workers=len(self._workers))
                    self._ending.set()
                else:
                    log.warning("ending at once")
                    everything.cancel()

    async def _reload_when_asked(self, workers: trio.Nursery) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked = trio.Event()
            try:
                settings = self._load()
                self._folder.path()
            except SettingsError as error:
                log.error("no reload: the settings cannot be used", problems=error.problems)  # noqa: TRY400
            except GaveUpError as error:
                log.error("no reload: there can be no other worker", reason=str(error))  # noqa: TRY400
            else:
                await self._reload(settings, workers)

    async def _reload(self, settings: Settings, workers: trio.Nursery) -> None:
        """Let new workers relieve all there are, one by one, as long as the new ones get ready."""
        if (settings.host, settings.port) != (self._settings.host, self._settings.port):
            log.warning("HOST and PORT stay as they were: they need a restart")
        self._settings = settings
        log.info("reloading", workers=settings.workers)
        old = self._staff()
        while len(set(self._staff()).difference(old)) < settings.workers:
            if self._ending.is_set():
                return
            new = self._new_worker(on_trial=True)
            workers.start_soon(self._employ, new)
            with trio.move_on_after(settings.reload_timeout):
                await new.settled.wait()
            if not new.accepts:
                new.let_go.set()
                if not self._ending.is_set():
                    log.error("reload given up: the new worker did not get ready, the others stay", worker=new.number)
                return
            new.on_trial = False
            if old:
                await self._relieve(old.pop(0))
        for worker in old:
            await self._relieve(worker)
        log.info("reloaded")

    async def _relieve(self, worker: Worker) -> None:
        worker.relieved = True
        worker.let_go.set()
        await worker.ended.wait()
