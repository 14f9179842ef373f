"""What receives for all connections: however many clients send at once, it serves a few in each turn."""

import os
import select

import trio

from mesaya_ws.server.fairness import LONG_TURN, AdaptiveBatch

RECEIVE_BATCH = 32
"""Clients that are served in one turn of the event loop, at most: to answer one, or to end its connection, takes some
0.3 ms."""

MIN_RECEIVE_BATCH = 16
"""How many it is at least: however busy the loop is, pongs must be received in time."""

RECEIVE = 65_536
"""Bytes that are received at once, at most."""


class ReadPoller:
    """Receives from any number of sockets, while `run` runs.

    Trio would wake up all whose sockets are readable in the same turn. Thousands who say something at once, or whose
    connections are cut, would hold up everybody else for hundreds of milliseconds, or seconds. So they wait at a poll
    of their own, which is asked for a few at a time. To wait there takes three coroutines less, too: waiting here is
    what a connection does nearly all of its time. Of `long_turn`, see `fairness`.
    """

    def __init__(self, long_turn: float = LONG_TURN) -> None:
        self._long_turn = long_turn
        # Never closed: connections that end later than `run` still wait here until they are cancelled.
        self._poll = select.epoll()
        self._waiting: dict[int, trio.lowlevel.Task] = {}

    async def run(self) -> None:
        """Wake up those who can receive something, until cancelled; who waits then can only be cancelled, too."""
        share = AdaptiveBatch(RECEIVE_BATCH, MIN_RECEIVE_BATCH, self._long_turn)
        more = False
        while True:
            await trio.lowlevel.wait_readable(self._poll)
            most = share.next(follows=more)
            ready = self._poll.poll(0, most)
            more = len(ready) == most
            for fd, _ in ready:
                trio.lowlevel.reschedule(self._waiting.pop(fd))

    async def receive(self, socket: trio.socket.SocketType) -> bytes:
        """Return the next bytes that come to `socket`; `b""` at their end. Raises `BrokenResourceError`."""
        fd = socket.fileno()

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._waiting[fd]
            self._poll.unregister(fd)
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            try:
                self._poll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
            except FileNotFoundError:  # it has not waited here yet
                self._poll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)
            self._waiting[fd] = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)
            try:
                # As in the send queue: Trio's sockets have no public way to do it without awaiting.
                return os.read(fd, RECEIVE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error
