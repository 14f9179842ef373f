"""How long the event loop is held: the processor time of the longest step that any task has made."""

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from time import thread_time
from typing import Any

import orjson
import trio

from mesaya_ws.runtime.gc_tuning import THRESHOLDS

PATIENCE = 120.0
"""Seconds for what must happen, and mostly does so at once; a busy machine is no fault of what is tested."""

LONGEST = 0.010
"""Seconds that no step may take, whatever comes from outside, on a machine as fast as `KNOWN` says."""

KNOWN = 0.001
"""Processor time that `_work` takes on the machine by which the limits were set."""


def _work() -> int:
    """Do what steps mostly do: make small objects, write and read JSON, look something up."""
    rows = [{"id": f"t{n}", "capacity": n, "names": [str(n)]} for n in range(2_000)]
    known = {row["id"]: row for row in orjson.loads(orjson.dumps(rows))}
    return sum(len(known[row["id"]]["names"]) for row in rows)


def slowness(work: Callable[[], object] = _work, times: int = 9) -> float:
    """Return how many times as long as `KNOWN` this machine takes for `work` now, with all else that it does.

    It is the median: a single one may have been held up, and so may what is compared with it.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return median(seconds(work) for _ in range(times)) / KNOWN
    finally:
        if collects:
            gc.enable()


def seconds(do: Callable[[], object]) -> float:
    """Return the processor time that a call takes."""
    start = thread_time()
    do()
    return thread_time() - start


def is_long(took: float, limit: float = LONGEST, slower: Callable[[], float] = slowness) -> bool:
    """Return whether something took longer than `limit`, which is more on a slower machine, and never less.

    How much slower it is, is only found out when that matters: while it is as busy as it just was.
    """
    return took > limit and took > limit * slower()


class Steps(trio.abc.Instrument):
    """Measures all steps of all tasks, for as long as it is in a `with`; garbage is collected as in the service."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.where = ""
        self._start = 0.0
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> "Steps":
        # Or all that the tests have made would be looked through, within some step.
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*THRESHOLDS)
        gc.freeze()
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.remove_instrument(self)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._start = thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = thread_time() - self._start if self._start else 0.0
        if took > self.longest:
            self.longest, self.where = took, task.name

    def check(self, limit: float = LONGEST) -> None:
        """Fail when a step took longer; once all tasks rest."""
        assert not is_long(self.longest, limit), f"A step of {self.where} took {self.longest * 1000:.1f} ms."


async def check_best_of(do: Callable[[], Awaitable[object]], times: int = 5, limit: float = LONGEST) -> None:
    """Fail when a step of `do` takes longer every time: what is slow by itself is slow again.

    A step that the machine or the garbage collector happened to make longer, or that was the first of its kind, is not.
    """
    best: Steps | None = None
    for _ in range(times):
        with Steps() as steps:
            await do()
        if best is None or steps.longest < best.longest:
            best = steps
        if best.longest <= limit:
            break
    if best is not None:
        best.check(limit)


def take(do: Any, *arguments: Any) -> float:
    """Return the processor time that a call takes: the lesser of two, as something else may come between."""

    do = partial(do, *arguments)
    return min(seconds(do), seconds(do))


class Clock:
    """Returns the seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
