"""The metrics of several workers as one: each writes its own to a file, and whoever is asked tells those of all.

Every sample has the number of its worker as a label. The counts of a worker stay when it has ended, until another one
has its number, and begins with 0, as Prometheus expects of what was restarted; gauges are only told of the living. A
worker tells of itself what it has written before, so that no count goes back when it is killed.
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

PERIOD = 1.0
"""Seconds between two writings."""

STALE_AFTER = 5.0
"""Seconds after which a worker that has written nothing counts as gone."""

Render = Callable[[], bytes]
"""Returns the metrics of this process as they are now, in Prometheus' text format."""


class Page(NamedTuple):
    """What a worker has written, and whether it still does."""

    worker: str
    text: str
    lives: bool


class MetricsDirectory:
    """The metrics of all that have the same `folder`, as seen by the worker with the number `worker`.

    When the folder cannot be used, that is logged, and each worker tells of itself alone.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._path = folder / f"{worker}.prom"
        self._thread = trio.CapacityLimiter(1)  # so that two writings never meet
        self._failing = Alarm(log, "the metrics cannot be shared with the other workers")

    async def keep(self, render: Render) -> None:
        """Write the metrics of this worker now and every second, for ever, and once more in the end."""
        try:
            while True:
                await trio.to_thread.run_sync(self._write, render(), limiter=self._thread)
                await trio.sleep(PERIOD)
        finally:
            self._write(render())

    async def tell(self, render: Render) -> bytes:
        """Write the metrics of this worker, and return those of all."""
        return await trio.to_thread.run_sync(self._exchange, render(), limiter=self._thread)

    def _exchange(self, page: bytes) -> bytes:
        self._write(page)
        own = Page(self._path.stem, page.decode(), True)
        pages = [own, *(self._read(path) for path in self._folder.glob("*.prom") if path != self._path)]
        return merged(sorted(pages, key=lambda page: int(page.worker))).encode()

    def _read(self, path: Path) -> Page:
        # What a clock that has been set back since wrote is no fresher.
        age = abs(time() - path.stat().st_mtime)
        return Page(path.stem, path.read_bytes().decode(), age < STALE_AFTER)

    def _write(self, page: bytes) -> None:
        fresh = self._path.with_suffix(".fresh")
        try:
            fresh.write_bytes(page)
            os.replace(fresh, self._path)  # at once: nobody reads half a page
        except OSError as error:
            self._failing.set(reason=str(error))
        else:
            self._failing.clear()


def merged(pages: Iterable[Page]) -> str:
    """Return one page of all, with the worker's number in each sample, and each family in one place."""
    families: dict[str, list[str]] = {}
    for worker, text, lives in pages:
        for family in f"\n{text}".split("\n# HELP ")[1:]:
            help, type, *samples = family.rstrip("\n").split("\n")
            name, kind = type.removeprefix("# TYPE ").split()
            told = families.setdefault(name, [f"# HELP {help}", type])
            if lives or kind != "gauge":
                told += [_labelled(sample, worker) for sample in samples]
    return "".join(f"{line}\n" for told in families.values() for line in told)


def _labelled(sample: str, worker: str) -> str:
    """Add the label to a line `name value` or `name{label="text",…} value`."""
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
