"""The two clocks: the time of day, which may be wrong and is set at any moment; and one that only goes forward.

Whatever lasts (a wait, an age, a turn) is measured by the second one. The first one is for what is told to people, and
what is written into the log.
"""

from time import time

import trio


def now_ms() -> int:
    """Return the time of day, in milliseconds since the epoch."""
    return round(time() * 1000)


def steady() -> int:
    """Return the time, in milliseconds, of a clock that nobody sets; only differences of it mean something."""
    return round(trio.current_time() * 1000)
