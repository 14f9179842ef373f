"""How clients are taken from the kernel's queue: all that wait, but not all to be served at once."""

import errno
import socket
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from mesaya_ws.logs import get_logger

log = get_logger(__name__)

TAKEN_AT_ONCE = 64
"""Connections that are taken in one turn of the event loop; each costs some 10 µs."""

BEGUN_AT_ONCE = 8
"""Connections that are begun with in one turn; each costs up to half a millisecond."""

WAITING = 16_384
"""Connections that wait to be begun with, at most, some 2 kB each; the kernel holds more (4,096 by default)."""

OVERLOADED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Why the system gives no more connections, but may again when some have ended (accept(2))."""

PAUSE = 0.1
"""Seconds until it is asked again then, as `trio.serve_listeners` has it."""


async def accept_clients(
    listener: trio.SocketListener, serve: Callable[[trio.SocketStream], Awaitable[None]], clients: trio.Nursery
) -> None:
    """Take connections from `listener` until cancelled, and close it; `serve` serves each in `clients`, and closes it.

    When thousands come back at the same time, the kernel's queue must not overflow: it forgets whoever comes then, who
    only tries again after 1, 3, 7 and 15 seconds (RFC 6298). And those who are there already must not wait until all
    of them have been let in. So they are taken at once, and begun with in their order, a few in each turn.
    """
    waiting: deque[socket.socket] = deque()
    # Trio's sockets have no public way to accept without awaiting.
    door = socket.socket(fileno=listener.socket.dup().detach())
    door.setblocking(False)
    async with listener:
        try:
            while True:
                if waiting:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(door)
                try:
                    _take(door, waiting)
                except OSError as error:
                    if error.errno not in OVERLOADED:
                        raise
                    log.warning("the system gives no more connections", reason=str(error), waiting=len(waiting))
                    await trio.sleep(PAUSE)
                for _ in range(min(BEGUN_AT_ONCE, len(waiting))):
                    stream = trio.SocketStream(trio.socket.from_stdlib_socket(waiting.popleft()))
                    clients.start_soon(serve, stream)
        finally:
            for each in (door, *waiting):
                each.close()


def _take(door: socket.socket, waiting: deque[socket.socket]) -> None:
    """Take some of the connections that the kernel holds. Raises `OSError`."""
    for _ in range(min(TAKEN_AT_ONCE, WAITING - len(waiting))):
        try:
            connection, _ = door.accept()
        except BlockingIOError:
            return
        except ConnectionAbortedError:
            continue  # it has hung up already
        waiting.append(connection)
