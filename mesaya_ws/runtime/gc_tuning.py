"""Python's garbage collector and switch interval, tuned for an event loop that must not pause for long."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

THRESHOLDS = (500, 5, 1_000_000_000)
"""Of the three generations (see `gc.set_threshold`).

A connection has some 100 long-lived objects, and the collector needs 0.3 to 0.6 µs to examine one. Generations 0 and 1
examine each object once, at most 3,000 at a time: 2 ms. Smaller steps cost no more, since young objects are still in
the processor's caches. Generation 2 examines everything; with Python's defaults (700, 10, 10) it runs again whenever
the heap has grown by a quarter, which took a third of the time of 8,000 handshakes, 0.65 s at once. Old garbage is rare
here, as reference counting frees nearly all, so generation 2 is to run practically never. Its threshold is a number of
collections of generation 1, those by `collect_young` included, however little they find: at a thousand a second, eleven
days.
"""

SWITCH_INTERVAL = 0.001
"""Seconds after which a thread yields to another (see `sys.setswitchinterval`).

While another thread reads the log, the event loop waits so long at each wake-up; by default 5 ms.
"""


@asynccontextmanager
async def tuned_gc() -> AsyncIterator[None]:
    """Keep pauses by collections and other threads to a few milliseconds, except in rare cases."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        freeze()
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)


def freeze() -> None:
    """Exclude all present objects from collections: modules, and the state, which only grows.

    Reference counting still frees them, unless they are in a cycle. It takes no time; while a long history is read it
    is called again and again.
    """
    gc.freeze()


def collect_young() -> None:
    """Collect young garbage now, before it is much.

    The collector counts allocations minus deallocations. While the window forgets as much as it gains, it would wait
    until 80,000 objects are examined at once, for 50 ms.
    """
    gc.collect(1)
