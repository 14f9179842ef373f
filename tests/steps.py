"""How much work something is, counted and not timed: a machine that is busy changes nothing of it."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio


def calls(act: Callable[[], object]) -> int:
    """Return how many calls of functions, in Python or C, `act` takes."""
    count = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before, collects = sys.getprofile(), gc.isenabled()
    # What the collector finalizes is the work of whoever made that garbage.
    gc.disable()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return count


class TaskSteps(trio.abc.Instrument):
    """Counts the steps of all tasks: so many have been `taken`."""

    taken = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += 1


@contextmanager
def counted_task_steps() -> Iterator[TaskSteps]:
    """Count the steps of tasks for the time of the context."""
    steps = TaskSteps()
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)


def most_calls_in_a_step(steps: Iterator[object]) -> int:
    """Go through all `steps`; return how many calls the one with the most takes."""
    most, over = 0, False

    def step() -> None:
        nonlocal over
        over = next(steps, steps) is steps

    while not over:
        most = max(most, calls(step))
    return most
