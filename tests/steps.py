"""How much work something is, counted and not timed: a machine that is busy changes nothing of it."""

import gc
import sys
from collections.abc import Callable, Iterator


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


def most_calls_in_a_step(steps: Iterator[object]) -> int:
    """Go through all `steps`; return how many calls the one with the most takes."""
    most, over = 0, False

    def step() -> None:
        nonlocal over
        over = next(steps, steps) is steps

    while not over:
        most = max(most, calls(step))
    return most
