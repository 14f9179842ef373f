"""How Python's garbage collector and its lock are set, for a loop that must not stop for long."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

THRESHOLDS = (500, 5, 50_000)
"""Of the three generations (see `gc.set_threshold`).

A connection is some 100 objects that stay, and the collector needs 0.3 to 0.6 µs for each that it looks at. Generations
0 and 1 look at each object once, and at no more than 3,000 of them at a time: 2 ms. Smaller steps are not dearer, since
what is young is still in the processor's caches. Generation 2 looks at everything, and by Python's own thresholds (700,
10, 10) it does so again with every quarter that is added: of 8,000 handshakes it took a third of the time, 0.65 s at
once. It is for garbage that has become old, of which there is hardly any: what lives long here is freed when its last
user lets go, without a collector. So it comes after some hundred million more objects, which is hours or days.
"""

SWITCH_INTERVAL = 0.001
"""Seconds after which a thread gives way to another (see `sys.setswitchinterval`).

While a thread reads the log, that is how long the loop waits each time that it wakes up; by default it would be 5 ms.
"""


@asynccontextmanager
async def tuned_gc() -> AsyncIterator[None]:
    """Let neither collections nor other threads stop the loop for more than a few milliseconds, but in rare cases."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        keep()
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)


def keep() -> None:
    """Have the collector never look again at what there is now: modules, and a state that only grows.

    What of it is let go is freed nevertheless, unless it is part of a cycle. It takes no time at all, and in a long
    history it is done again and again.
    """
    gc.freeze()


def look() -> None:
    """Have the collector look at what has been made since the last time, before it is much.

    It counts what is made less what is freed. So while the window lets go of as much as comes, it would wait until
    there are 16,000 young objects, and look at 80,000 of them together, for 50 ms.
    """
    gc.collect(1)
