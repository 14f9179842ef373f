"""Connections are taken from the kernel at once, and begun with a few at a time."""

import errno
import gc
import math
import socket
import struct
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import pytest
import trio
import trio.testing

from mesaya_ws.runtime.gc_tuning import tuned_gc
from mesaya_ws.runtime.log_limiter import INTERVAL
from mesaya_ws.server.listener import ACCEPT_BATCH, HUNG_UP, PAUSE, START_BATCH, accept, serve_listeners
from tests.timing import PATIENCE


class Port:
    """Clients of a listener; `served` holds their addresses in the order in which they were begun with."""

    def __init__(self, listener):
        self.address = listener.socket.getsockname()
        self.served = []
        self._clients = []
        self._all = trio.Event()
        self._wanted = 0

    def connect(self, count):
        """Let clients connect, and return their addresses."""
        connected = []
        for _ in range(count):
            client = socket.socket()
            self._clients.append(client)
            client.connect(self.address)
            connected.append(client.getsockname())
        return connected

    async def serve(self, stream, host, port):
        async with stream:
            self.served.append((host, port))
            if len(self.served) >= self._wanted:
                self._all.set()
            await trio.sleep_forever()

    async def until_served(self, count):
        self._wanted, self._all = count, trio.Event()
        if len(self.served) < count:
            with trio.fail_after(PATIENCE):
                await self._all.wait()

    def close(self):
        for client in self._clients:
            client.close()


@asynccontextmanager
async def opened(nursery, free_slots=lambda: math.inf, **options):
    """Yield a door, and the scope in which its connections are taken."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1000)
    port, scope = Port(listener), trio.CancelScope()

    async def accept():
        with scope:
            await serve_listeners(listener, port.serve, nursery, free_slots, **options)

    nursery.start_soon(accept)
    try:
        yield port, scope
    finally:
        port.close()


async def test_all_are_served_in_their_order(nursery):
    async with opened(nursery, long_turn=inf) as (port, _):
        connected = port.connect(3 * ACCEPT_BATCH)
        await port.until_served(len(connected))
        # Those who are begun with in one turn come in any order, as Trio has it.
        for first in range(0, len(connected), START_BATCH):
            together = slice(first, first + START_BATCH)
            assert sorted(port.served[together]) == sorted(connected[together])
        [late] = port.connect(1)
        await port.until_served(len(connected) + 1)
        assert port.served[-1] == late


@asynccontextmanager
async def counting(port):
    """Yield a list to which is added, turn by turn of the loop, how many were begun with."""
    begun = []
    seen = len(port.served)

    class Watch(trio.abc.Instrument):
        def after_io_wait(self, timeout):
            nonlocal seen
            if len(port.served) > seen:
                begun.append(len(port.served) - seen)
                seen = len(port.served)

    trio.lowlevel.add_instrument(watch := Watch())
    yield begun
    trio.lowlevel.remove_instrument(watch)


async def test_others_have_their_turn_between(nursery):
    async with opened(nursery) as (port, _), counting(port) as begun:
        port.connect(3 * ACCEPT_BATCH)
        await port.until_served(3 * ACCEPT_BATCH)
    assert max(begun) == START_BATCH


async def test_while_turns_are_long_there_are_fewer_newcomers_in_each(nursery):
    async with opened(nursery, long_turn=-1) as (port, _), counting(port) as begun:
        port.connect(ACCEPT_BATCH)
        await port.until_served(ACCEPT_BATCH)
    assert begun[:5] == [8, 4, 2, 1, 1]
    assert set(begun[5:]) == {1}


async def test_nobody_is_let_in_after_the_end(nursery):
    async with opened(nursery) as (port, scope):
        port.connect(1)
        await port.until_served(1)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ConnectionRefusedError):
            port.connect(1)
        assert len(port.served) == 1


async def test_who_has_been_taken_is_served_even_if_the_door_closes(nursery):
    async with opened(nursery) as (port, scope):
        connected = port.connect(ACCEPT_BATCH)
        await port.until_served(1)
        scope.cancel()
        await port.until_served(len(connected))
        assert sorted(port.served) == sorted(connected)


async def test_what_newcomers_bring_is_looked_at_while_as_much_goes(nursery):
    """Or all of it would be in one step: the collector counts what comes less what goes."""
    each, old = 200, [[] for _ in range(8 * ACCEPT_BATCH * 200)]
    gc.collect()
    kept, young = [], []

    async def serve(stream, host, port):
        kept.extend([] for _ in range(each))
        del old[-each:]
        young.append(len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1)))
        async with stream:
            await trio.sleep_forever()

    async with tuned_gc(), opened(nursery) as (port, _):
        port.serve = serve
        port.connect(8 * ACCEPT_BATCH)
        with trio.fail_after(PATIENCE):
            while len(young) < 8 * ACCEPT_BATCH:  # noqa: ASYNC110 - they come one by one
                await trio.sleep(0.01)
    assert max(young) < each * 8 * ACCEPT_BATCH / 4


async def test_past_the_limit_only_those_are_taken_who_are_begun_with(nursery):
    wanted = []

    def watched(port, waiting, most):
        wanted.append(most)
        accept(port, waiting, most)
        assert len(waiting) <= START_BATCH

    async with opened(nursery, free_slots=lambda: 0, accept=watched) as (port, _):
        connected = port.connect(3 * START_BATCH)
        await port.until_served(len(connected))
        assert sorted(port.served) == sorted(connected)
    assert set(wanted) == {START_BATCH}


@pytest.mark.parametrize("reason", sorted(HUNG_UP))
async def test_a_connection_that_has_failed_already_is_passed_by(reason):
    answers = [OSError(reason, "It is gone."), ("a connection", None), BlockingIOError()]

    class Listening:
        def accept(self):
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer

    waiting = deque()
    accept(Listening(), waiting, 10)
    assert list(waiting) == [("a connection", None)]


async def test_where_a_client_is_that_has_reset_the_connection_is_known(nursery):
    """Or it would count for no limit of its address, and the log would not say who it was."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = Port(listener)
    gone = port.connect(1)
    port._clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    port.close()
    nursery.start_soon(serve_listeners, listener, port.serve, nursery, lambda: math.inf)
    await port.until_served(1)
    assert port.served == gone


async def test_a_process_without_room_leaves_who_comes_to_the_others(nursery):
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    same = trio.SocketListener(listener.socket.dup())
    port, full = Port(listener), Port(same)
    nursery.start_soon(partial(serve_listeners, is_shared=True), same, full.serve, nursery, lambda: 0)
    nursery.start_soon(partial(serve_listeners, is_shared=True), listener, port.serve, nursery, lambda: math.inf)
    await trio.testing.wait_all_tasks_blocked()
    connected = port.connect(5)
    await port.until_served(5)
    assert (len(port.served), full.served) == (len(connected), [])
    port.close()


async def test_a_process_without_room_takes_whom_nobody_else_takes(nursery):
    """To refuse them, or to answer a probe."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = Port(listener)
    nursery.start_soon(partial(serve_listeners, is_shared=True), listener, port.serve, nursery, lambda: 0)
    connected = port.connect(5)
    await port.until_served(5)
    assert sorted(port.served) == sorted(connected)
    port.close()


async def test_who_waits_is_begun_with_while_the_system_gives_no_more(nursery):
    taken = []

    def accept_once(*args):
        if taken:
            raise OSError(errno.EMFILE, "Too many open files")
        taken.append(accept(*args))

    async with opened(nursery, pause=3600, accept=accept_once) as (port, _):
        connected = port.connect(ACCEPT_BATCH)
        await port.until_served(len(connected))
        assert sorted(port.served) == sorted(connected)


async def test_a_system_that_gives_no_more_connections_is_asked_again(nursery, autojump_clock):
    refusals = [OSError(errno.EMFILE, "Too many open files"), None]

    def refuse(*args):
        if refusal := refusals.pop(0) if refusals else None:
            raise refusal
        accept(*args)

    async with opened(nursery, accept=refuse) as (port, _):
        connected = port.connect(2)
        await port.until_served(2)
        assert sorted(port.served) == sorted(connected)
        assert refusals == []


async def test_a_log_is_not_filled_by_a_system_that_gives_no_more(nursery, autojump_clock, logged):
    left, given = int(2.5 * INTERVAL / PAUSE), trio.Event()

    def refuse(*_):
        nonlocal left
        left -= 1
        if left == 0:
            given.set()
        raise OSError(errno.EMFILE, "Too many open files")

    async with opened(nursery, accept=refuse) as (port, _):
        port.connect(1)
        await given.wait()
    assert [event["event"] for event in logged()] == ["the system gives no more connections"] * 3
