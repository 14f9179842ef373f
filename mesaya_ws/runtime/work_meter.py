"""How much processor time the threads take that work for a task: they hold up others by the interpreter's lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import TypeVar

T = TypeVar("T")


class WorkMeter:
    """The processor time, in `seconds`, of threads that have ended."""

    def __init__(self) -> None:
        self.seconds = 0.0


_METER: ContextVar[WorkMeter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(meter: WorkMeter) -> Iterator[None]:
    """Have `meter` count what threads take for the tasks that are started in the context."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


def counted(work: Callable[[], T]) -> Callable[[], T]:
    """Return the `work` of a thread, which is entered into the meter of the task that starts it, if it has one."""
    meter = _METER.get()
    if meter is None:
        return work

    def run() -> T:
        began = thread_time()
        try:
            return work()
        finally:
            meter.seconds += thread_time() - began

    return run
