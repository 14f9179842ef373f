"""Open files: each connection needs one, and most systems allow a process 1,024, unless it asks for more."""

import resource

RESERVED = 180
"""Open files beside those of MAX_CONNECTIONS: of the log, the listeners, libraries, and of some spare connections on
which a full instance answers health checks."""


def allow_connections(wanted: int) -> int:
    """Raise the limit of open files for `wanted` connections, and return how many connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return max(soft - RESERVED, soft // 2)
