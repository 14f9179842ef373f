"""How long the event loop is held: the processor time of the longest step that any task has made."""

from collections.abc import Awaitable, Callable
from time import thread_time
from typing import Any

import trio

LONGEST = 0.010
"""Seconds that no step may take, whatever comes from outside."""


class Steps(trio.abc.Instrument):
    """Measures all steps of all tasks, for as long as it is in a `with`."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.where = ""
        self._start = 0.0

    def __enter__(self) -> "Steps":
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.remove_instrument(self)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._start = thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = thread_time() - self._start if self._start else 0.0
        if took > self.longest:
            self.longest, self.where = took, task.name

    def check(self, seconds: float = LONGEST) -> None:
        """Fail when a step took longer; once all tasks rest."""
        assert self.longest <= seconds, f"A step of {self.where} took {self.longest * 1000:.1f} ms."


async def check_best_of(do: Callable[[], Awaitable[object]], times: int = 5, seconds: float = LONGEST) -> None:
    """Fail when a step of `do` takes longer every time: what is slow by itself is slow again.

    A step that the machine or the garbage collector happened to make longer, or that was the first of its kind, is not.
    """
    for _ in range(times):
        with Steps() as steps:
            await do()
        if steps.longest <= seconds:
            return
    steps.check(seconds)


def take(do: Any, *arguments: Any) -> float:
    """Return the processor time that a call takes: the lesser of two, as something else may come between."""

    def once() -> float:
        start = thread_time()
        do(*arguments)
        return thread_time() - start

    return min(once(), once())


class Clock:
    """Returns the seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
