"""The two clocks: the time of day, which may be wrong or be set at any moment, and one that only goes forward.

Durations (a wait, an age, a turn) are measured by the second one. The first one is for what people read, and for what
is written into the log.
"""

from time import time

import trio


def now_ms() -> int:
    """Return the time of day, in milliseconds since the epoch."""
    return round(time() * 1000)


def steady() -> int:
    """Return the time of a clock that is never set, in milliseconds; only differences of it have a meaning."""
    return round(trio.current_time() * 1000)
