import pytest
import trio
import trio.testing

from mesaya_ws.core.session.step_budget import VISITED_AT_ONCE
from mesaya_ws.core.wire import codes
from mesaya_ws.server.websocket.drain import GRACE, drain


class Connection:
    """Notes when it is asked what; with `moves`, it leaves as soon as it is announced."""

    work = 1

    @property
    def session(self):
        return self

    def __init__(self, connections, *, moves=False):
        self.connections = connections
        self.moves = moves
        self.announced = self.closed = None
        connections.add(self)

    def announce(self, within):
        self.announced = trio.current_time()
        self.within = within
        if self.moves:
            self.connections.discard(self)

    def close(self, verdict):
        assert verdict is codes.SERVICE_RESTART
        assert self.closed is None
        self.closed = trio.current_time()
        self.connections.discard(self)


async def test_each_client_is_drained_at_a_moment_of_its_own(autojump_clock):
    connections, start = set(), trio.current_time()
    clients = [Connection(connections) for _ in range(1000)]
    await drain(connections, 8.0)
    assert trio.current_time() <= start + 8
    for client in clients:
        assert client.within == 8 * GRACE
        assert client.closed == pytest.approx(client.announced + client.within)
    # As many in each tenth of the time as in any other, but for the two at its edges.
    moments = [client.announced - start for client in clients]
    tenth = 8 * (1 - GRACE) / 10
    for number in range(10):
        assert abs(sum(number * tenth <= moment < (number + 1) * tenth for moment in moments) - 100) <= 2
    gaps = {round(after - before, 6) for before, after in zip(sorted(moments), sorted(moments)[1:], strict=False)}
    assert len(gaps) > 500, "no two instances do it in step"
    order = sorted(clients, key=lambda client: client.announced)
    assert order != clients, "who came first is not the first to go"


async def test_who_has_moved_is_not_waited_for(autojump_clock):
    connections, start = set(), trio.current_time()
    clients = [Connection(connections, moves=True) for _ in range(100)]
    await drain(connections, 8.0)
    assert [client.closed for client in clients] == [None] * 100
    assert trio.current_time() < start + 7


async def test_nobody_is_there(autojump_clock):
    start = trio.current_time()
    await drain(set(), 3600)
    assert trio.current_time() == start


async def test_without_time_all_are_closed_at_once(autojump_clock):
    connections, start = set(), trio.current_time()
    clients = [Connection(connections) for _ in range(10)]
    await drain(connections, 0.0)
    assert {(client.announced, client.closed) for client in clients} == {(None, start)}


async def test_who_comes_in_the_meantime_is_closed_in_the_end(autojump_clock):
    connections, start = set(), trio.current_time()
    Connection(connections)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain, connections, 4.0)
        await trio.testing.wait_all_tasks_blocked()
        late = Connection(connections)
    assert start < late.closed <= start + 4


async def test_who_is_late_does_not_wait_a_turn_of_the_loop_for_each(autojump_clock):
    class Slow(Connection):
        def announce(self, within):
            autojump_clock.jump(1.0)

    class Turns(trio.abc.Instrument):
        count = 0

        def before_io_wait(self, timeout):
            self.count += 1

    connections, turns = set(), Turns()
    for _ in range(1000):
        Slow(connections)
    trio.lowlevel.add_instrument(turns)
    await drain(connections, 8.0)
    assert connections == set()
    assert turns.count < 50


async def test_late_drain_does_some_work_in_a_step_and_then_others_run(autojump_clock):
    """Each subscription of each client counts: 256 clients with a hundred each would take 40 ms at once."""

    class Subscribed(Connection):
        work = 30

        def announce(self, within):
            autojump_clock.jump(1.0)
            steps.work += self.work

        def close(self, verdict):
            super().close(verdict)
            steps.work += self.work

    class Work(trio.abc.Instrument):
        work = most = 0

        def after_task_step(self, task):
            self.most, self.work = max(self.most, self.work), 0

    connections, steps = set(), Work()
    for _ in range(300):
        Subscribed(connections)
    trio.lowlevel.add_instrument(steps)
    await drain(connections, 8.0)
    assert connections == set()
    assert 0 < steps.most < VISITED_AT_ONCE + Subscribed.work
