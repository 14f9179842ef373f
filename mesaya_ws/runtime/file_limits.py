"""Open files: every connection is one, and most systems allow a process a thousand, unless it asks for more."""

import resource

RESERVED = 180
"""Open files for all but the connections that there may be: the log, the listeners, what libraries hold, and some
connections more, on which an instance that is full answers its probes."""


def allow_connections(wanted: int) -> int:
    """Have the limit of open files raised for `wanted` connections, and return how many the system lets there be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return max(soft - RESERVED, soft // 2)
