"""The supervisor of the workers: it holds the listening sockets, and keeps WORKERS workers accepting on them.

A worker is a process of its own: a new interpreter, which reads `.env` and the program as they are by then, and shares
nothing with the supervisor but the sockets (see `role.WorkerRole`). The supervisor accepts no connections itself.

What happens to a worker:

    cause                                   then
    it ends by itself                       another one, after the delay of `restart_policy`
      … before any worker ever served       the supervisor gives up
      … once more, too soon and too often   the supervisor gives up
      … as a candidate of a reload          none; the reload is given up, the old workers stay
    SIGHUP                                  for each worker in turn: a candidate starts, catches up and accepts;
                                            only then the old one is asked to stop
      … the candidate is not ready in time  the candidate is asked to stop; the reload is given up
    SIGTERM, SIGINT                         all are asked to stop, and killed after the stop timeout
      … a second one                        all are killed
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import count

import trio

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.workers.errors import GaveUpError
from mesaya_ws.workers.metrics_files import MetricsDirectory
from mesaya_ws.workers.process import Worker
from mesaya_ws.workers.resident import Resident, Serve
from mesaya_ws.workers.restart_policy import DELAYS, RestartPolicy
from mesaya_ws.workers.shared_directory import SharedDirectory

log = get_logger(__name__)

COMMAND = (sys.executable, "-m", "mesaya_ws", "worker")

SUPERVISOR = 0
"""The supervisor's number among the workers in the metrics."""

STDERR = 2

STOP_TIMEOUT = 10.0
"""Seconds that a worker has to end, beside DRAIN_SECONDS and CLOSE_TIMEOUT for its clients."""


async def supervise(
    settings: Settings,
    load: Callable[[], Settings],
    command: Sequence[str] = COMMAND,
    serve: Serve | None = None,
    *,
    delays: Sequence[float] = DELAYS,
    stop_timeout: float = STOP_TIMEOUT,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run WORKERS workers that serve the port, until SIGTERM or SIGINT; a second signal kills them.

    SIGHUP replaces them, one by one, by new ones with the settings that `load` returns then. With `serve`, the only
    worker runs in this process until the first reload. Workers that end at once are followed by others after the
    `delays`; beside the time for its clients, a worker has `stop_timeout` seconds to end. Reports the port. Raises
    `OSError` when it cannot be listened on, `GaveUpError`, and what `serve` raises.
    """
    with ExitStack() as stack:
        folder = SharedDirectory(stack)
        if serve is None:
            folder.path()
        listeners = await trio.open_tcp_listeners(settings.port, host=settings.host)
        port = listeners[0].socket.getsockname()[1]
        supervisor = Supervisor(settings, load, command, listeners, folder, delays, stop_timeout)
        if serve is None:
            log.info("listening", host=settings.host, port=port, workers=settings.workers)
        task_status.started(port)
        await supervisor.run(None if serve is None else Resident(1, settings, serve))


class Supervisor:
    """Starts, replaces and stops workers; made by `supervise`."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        command: Sequence[str],
        listeners: Sequence[trio.SocketListener],
        folder: SharedDirectory,
        delays: Sequence[float],
        stop_timeout: float,
    ) -> None:
        self._settings = settings
        self._load = load
        self._command = command
        self._listeners = listeners
        self._sockets = [listener.socket.fileno() for listener in listeners]
        self._folder = folder
        self._workers: dict[int, Worker] = {}
        self._restarts = RestartPolicy(delays)
        self._spare_time = stop_timeout
        self._has_served = False
        self._ended_by_themselves = 0
        self._failure: str | None = None
        self._reload_requested, self._stopping = trio.Event(), trio.Event()

    async def run(self, resident: Resident | None = None) -> None:
        """See `supervise`; a `resident` is the first worker."""
        async with AsyncExitStack() as port, trio.open_nursery() as services:
            for listener in self._listeners:
                await port.enter_async_context(listener)
            services.start_soon(self._handle_signals, services.cancel_scope)
            services.start_soon(self._share_metrics)
            async with trio.open_nursery() as workers:
                if resident is not None:
                    self._workers[resident.number] = resident
                    workers.start_soon(self._keep_running, resident)
                for _ in range(self._settings.workers - len(self._workers)):
                    workers.start_soon(self._keep_running, self._new_worker())
                services.start_soon(self._reload_when_requested, workers)
                await self._stopping.wait()
                await port.aclose()
                for worker in self._workers.values():
                    worker.stop_requested.set()
            services.cancel_scope.cancel()
        if self._failure:
            raise GaveUpError(self._failure)

    async def _share_metrics(self) -> None:
        """Export the supervisor's own metrics, once there are workers that share a directory."""
        await self._folder.made.wait()
        await MetricsDirectory(self._folder.path(), SUPERVISOR).export(self._render)

    def _render(self) -> bytes:
        """Return the supervisor's own metrics in Prometheus' text format."""
        name, text = "mesaya_worker_restarts_total", "Workers that ended by themselves, and had to be replaced."
        return f"# HELP {name} {text}\n# TYPE {name} counter\n{name} {self._ended_by_themselves}\n".encode()

    def _new_worker(self, *, is_candidate: bool = False) -> Worker:
        """Return a new worker with the lowest free number."""
        number = next(number for number in count(1) if number not in self._workers)
        worker = self._workers[number] = Worker(number, is_candidate=is_candidate)
        return worker

    def _active(self) -> list[Worker]:
        """Return the workers that are neither candidates nor stopping, the oldest first."""
        return [
            worker
            for worker in self._workers.values()
            if not worker.is_candidate and not worker.stop_requested.is_set()
        ]

    async def _keep_running(self, worker: Worker) -> None:
        """Run a worker, and another one each time that it ends by itself, as long as one is needed."""
        while True:
            end = await worker.run(self._command_for(worker), self._sockets, self._stop_timeout)
            served = worker.served
            del self._workers[worker.number]
            if worker.stop_requested.is_set():
                log.info("worker ended", worker=worker.number, how=end)
                return
            self._ended_by_themselves += 1
            log.error("worker ended by itself", worker=worker.number, how=end, seconds=round(served, 1))
            if worker.is_candidate or not await self._needs_another(served, end):
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
    def _stop_timeout(self) -> float:
        return self._settings.drain_seconds + self._settings.close_timeout + self._spare_time

    async def _needs_another(self, served: float, end: str) -> bool:
        """Wait for the delay of `restart_policy`, and return whether another worker is needed then."""
        self._has_served = self._has_served or served > 0 or any(other.served > 0 for other in self._workers.values())
        if not self._has_served:
            self._give_up(f"The worker ended before it could serve anybody ({end}); what it said is above.")
            return False
        delay = self._restarts.delay(served)
        if delay is None:
            self._give_up(f"The workers keep ending as soon as they have been started (the last one: {end}).")
            return False
        with trio.move_on_after(delay):
            await self._stopping.wait()
        return not self._stopping.is_set() and len(self._active()) < self._settings.workers

    def _give_up(self, sentence: str) -> None:
        self._failure = self._failure or sentence
        self._stopping.set()

    async def _handle_signals(self, everything: trio.CancelScope) -> None:
        """Reload at SIGHUP; stop at the first other signal, and cancel everything at the second.

        A terminal that is closed sends SIGHUP, too: that means stop.
        """
        has_terminal = os.isatty(STDERR)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP and os.isatty(STDERR) == has_terminal:
                    self._reload_requested.set()
                elif not self._stopping.is_set():
                    log.info("ending", workers=len(self._workers))
                    self._stopping.set()
                else:
                    log.warning("ending at once")
                    everything.cancel()

    async def _reload_when_requested(self, workers: trio.Nursery) -> None:
        while True:
            await self._reload_requested.wait()
            self._reload_requested = trio.Event()
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
        """Replace all workers, one by one, as long as the new ones get ready."""
        if (settings.host, settings.port) != (self._settings.host, self._settings.port):
            log.warning("HOST and PORT stay as they were: they need a restart")
        self._settings = settings
        log.info("reloading", workers=settings.workers)
        old = self._active()
        while len(set(self._active()).difference(old)) < settings.workers:
            if self._stopping.is_set():
                return
            new = self._new_worker(is_candidate=True)
            workers.start_soon(self._keep_running, new)
            with trio.move_on_after(settings.reload_timeout):
                await new.started_or_ended.wait()
            if not new.accepts:
                new.stop_requested.set()
                if not self._stopping.is_set():
                    log.error("reload given up: the new worker did not get ready, the others stay", worker=new.number)
                return
            new.is_candidate = False
            if old:
                await self._replace(old.pop(0))
        for worker in old:
            await self._replace(worker)
        log.info("reloaded")

    async def _replace(self, worker: Worker) -> None:
        worker.is_replaced = True
        worker.stop_requested.set()
        await worker.ended.wait()
