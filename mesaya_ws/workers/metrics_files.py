"""The metrics of several workers as one: each writes its own to a file, and any of them can render those of all.

Each sample has the number of its worker as a label. When a worker has ended, its counters are kept until the next
worker with its number starts at 0, as Prometheus expects of a restart; its gauges are left out. A worker writes its own
metrics before it renders, so that no counter goes back if it is killed afterwards.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time
from typing import NamedTuple

import trio

from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

EXPORT_INTERVAL = 1.0
"""Seconds between two writes."""

STALE_AFTER = 5.0
"""Seconds without a write after which a worker counts as ended."""

Render = Callable[[], bytes]
"""Returns the present metrics of this process in Prometheus' text format."""


class Exposition(NamedTuple):
    """The metrics that a worker has written as `text`, and whether the worker still runs."""

    worker: str
    text: str
    is_alive: bool


class MetricsDirectory:
    """The metrics of all workers in `folder`, for the worker with the number `worker`.

    While the folder cannot be used, which is logged, each worker renders only its own metrics.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._path = folder / f"{worker}.prom"
        self._thread = trio.CapacityLimiter(1)  # so that two writes never meet
        self._failing = Alarm(log, "the metrics cannot be shared with the other workers")

    async def export(self, render: Render, interval: float = EXPORT_INTERVAL) -> None:
        """Write the metrics of this worker every `interval` seconds until cancelled, and a last time then."""
        try:
            while True:
                await trio.to_thread.run_sync(self._write, render(), limiter=self._thread)
                await trio.sleep(interval)
        finally:
            self._write(render())

    async def render(self, render: Render) -> bytes:
        """Write the metrics of this worker, and return those of all."""
        return await trio.to_thread.run_sync(self._write_and_merge, render(), limiter=self._thread)

    def _write_and_merge(self, text: bytes) -> bytes:
        self._write(text)
        own = Exposition(self._path.stem, text.decode(), True)
        others = (self._read(path) for path in self._folder.glob("*.prom") if path != self._path)
        return merged(sorted([own, *others], key=lambda exposition: int(exposition.worker))).encode()

    def _read(self, path: Path) -> Exposition:
        # After the clock has been set back, a file may be from the future.
        age = abs(time() - path.stat().st_mtime)
        return Exposition(path.stem, path.read_bytes().decode(), age < STALE_AFTER)

    def _write(self, text: bytes) -> None:
        fresh = self._path.with_suffix(".fresh")
        try:
            fresh.write_bytes(text)
            os.replace(fresh, self._path)  # atomic: readers never see half a file
        except OSError as error:
            self._failing.set(reason=str(error))
        else:
            self._failing.clear()


def merged(expositions: Iterable[Exposition]) -> str:
    """Return one exposition of all, with the worker's number in each sample, and each family in one place."""
    families: dict[str, list[str]] = {}
    for worker, text, is_alive in expositions:
        for family in f"\n{text}".split("\n# HELP ")[1:]:
            help, type, *samples = family.rstrip("\n").split("\n")
            name, kind = type.removeprefix("# TYPE ").split()
            lines = families.setdefault(name, [f"# HELP {help}", type])
            if is_alive or kind != "gauge":
                lines += [_labelled(sample, worker) for sample in samples]
    return "".join(f"{line}\n" for lines in families.values() for line in lines)


def _labelled(sample: str, worker: str) -> str:
    """Add the label to a line `name value` or `name{label="text",…} value`."""
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
