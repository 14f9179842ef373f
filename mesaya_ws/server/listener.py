"""How clients are taken from the kernel's queue: all that wait, but not all to be served at once."""

import errno
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from mesaya_ws.runtime.gc_tuning import collect_young
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.server.fairness import LONG_TURN, AdaptiveBatch

log = get_logger(__name__)

ACCEPT_BATCH = 64
"""Connections that are taken in one turn of the event loop; each costs some 10 µs."""

START_BATCH = 8
"""Connections that are begun with in one turn, at most; each costs up to half a millisecond, then and in the turns that
follow."""

COLLECT_EVERY = 16
"""Connections after whose beginning young garbage is collected. The collector does not come by itself while as many end
as begin: of 4,000 that were cut and came back, it then took 30 ms."""

HUNG_UP = frozenset(
    getattr(errno, name)
    for name in (
        *("EPERM", "ECONNABORTED", "ECONNRESET", "ETIMEDOUT", "EPROTO", "ENOPROTOOPT", "EOPNOTSUPP", "EPROTONOSUPPORT"),
        *("ENETDOWN", "ENETUNREACH", "ENONET", "EHOSTDOWN", "EHOSTUNREACH", "ENOSR", "ESOCKTNOSUPPORT"),
    )
)
"""What accept(2) reports of a connection that has failed already; the others are well, as Trio has it, too."""

OVERLOADED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Why the system gives no more connections, but may again when some have ended (accept(2))."""

PAUSE = 0.1
"""Seconds until it is asked again then, as `trio.serve_listeners` has it."""

DEFERENCE = 0.01
"""Seconds that a worker without free slots leaves to the others to take who comes: it could only refuse them."""


Serve = Callable[[trio.SocketStream, str, int], Awaitable[None]]
"""Serves a connection, given where its other end is: a host and a port. Later, one that has been reset has none."""

_Accepted = tuple[socket.socket, tuple[Any, ...]]


def accept(listening: socket.socket, waiting: deque[_Accepted], most: float) -> None:
    """Take some of the connections that the kernel holds. Raises `OSError`."""
    for _ in range(int(min(ACCEPT_BATCH, most))):
        try:
            accepted = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in HUNG_UP:
                raise
        else:
            waiting.append(accepted)


async def serve_listeners(
    listener: trio.SocketListener,
    serve: Serve,
    clients: trio.Nursery,
    free_slots: Callable[[], float],
    *,
    is_shared: bool = False,
    long_turn: float = LONG_TURN,
    pause: float = PAUSE,
    accept: Callable[[socket.socket, deque[_Accepted], float], None] = accept,
) -> None:
    """Take connections from `listener` until cancelled, and close it; `serve` serves each in `clients`, and closes it.

    `free_slots` says how many more there may be; past that, only so many are taken as are begun with, which may refuse
    them, and other processes with which the listener `is_shared` are given the time to take them first.

    When thousands come back at the same time, a full accept queue drops their SYNs, and they retry only after 1, 3, 7
    and 15 seconds (RFC 6298). So all are accepted at once; but those who are connected must not wait for all of them,
    so handlers are started in order, a few in each turn (see `fairness`, also of `long_turn`). When the system gives
    no more connections, it is asked again after `pause` seconds.
    """
    waiting: deque[_Accepted] = deque()
    share = AdaptiveBatch(START_BATCH, 1, long_turn)
    complaints = LogLimiter(clock=trio.current_time)
    begun = 0

    def begin(connection: socket.socket, address: tuple[Any, ...]) -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        clients.start_soon(serve, stream, *address[:2])

    # Trio's sockets have no public way to accept without awaiting.
    listening = socket.socket(fileno=listener.socket.dup().detach())
    listening.setblocking(False)
    async with listener:
        try:
            while True:
                if follows := bool(waiting):
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(listening)
                if is_shared and not waiting and free_slots() <= 0:
                    await trio.sleep(DEFERENCE)
                begin_now = share.next(follows=follows)
                try:
                    accept(listening, waiting, max(START_BATCH, free_slots()) - len(waiting))
                except OSError as error:
                    if error.errno not in OVERLOADED:
                        raise
                    if not waiting:
                        if complaints.admit() is not None:
                            log.warning("the system gives no more connections", reason=str(error))
                        await trio.sleep(pause)
                for _ in range(min(begin_now, len(waiting))):
                    begin(*waiting.popleft())
                    begun += 1
                if begun >= COLLECT_EVERY:
                    begun = 0
                    collect_young()
        finally:
            listening.close()
            # They have been taken from the kernel, which would have kept them for another worker, or refused them.
            for accepted in waiting:
                begin(*accepted)
