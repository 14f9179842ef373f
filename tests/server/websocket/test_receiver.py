"""What receives for all connections, and how many are served together."""

from math import inf

import pytest
import trio
import trio.testing

from mesaya_ws.server.websocket.receiver import MIN_RECEIVE_BATCH, RECEIVE_BATCH, ReadPoller
from tests.timing import PATIENCE


@pytest.fixture
async def receiver(nursery):
    receiver = ReadPoller()
    nursery.start_soon(receiver.run)
    return receiver


async def test_a_socket_is_received_from_until_its_end(receiver):
    ours, theirs = trio.socket.socketpair()
    with ours:
        with theirs:
            for data in (b"one", b"two"):
                await theirs.send(data)
                assert await receiver.receive(ours) == data
        assert await receiver.receive(ours) == b""


async def test_a_socket_whose_other_side_did_not_read_all_is_broken(receiver):
    ours, theirs = trio.socket.socketpair()
    with ours:
        with theirs:
            await ours.send(b"unread")
        with pytest.raises(trio.BrokenResourceError):
            await receiver.receive(ours)


async def test_it_waits_until_something_comes(receiver, nursery):
    ours, theirs = trio.socket.socketpair()
    got = []

    async def receive():
        got.append(await receiver.receive(ours))

    with ours, theirs:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        await theirs.send(b"late")
        with trio.fail_after(PATIENCE):
            while not got:
                await trio.lowlevel.checkpoint()
        assert got == [b"late"]


async def test_who_is_cancelled_takes_nothing_and_may_wait_again(receiver):
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        with trio.move_on_after(0.01) as scope:
            await receiver.receive(ours)
        assert scope.cancelled_caught
        await theirs.send(b"later")
        await trio.testing.wait_all_tasks_blocked()  # which wakes up nobody
        assert await receiver.receive(ours) == b"later"


async def test_who_comes_after_its_end_can_still_be_cancelled():
    receiver = ReadPoller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        await theirs.send(b"unread")
        with trio.move_on_after(0) as scope:
            await receiver.receive(ours)
        assert scope.cancelled_caught


async def test_a_descriptor_may_become_another_socket(receiver):
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        await theirs.send(b"one")
        assert await receiver.receive(ours) == b"one"
        number = ours.fileno()
    ours, theirs = trio.socket.socketpair()
    with ours, theirs:
        assert number in (ours.fileno(), theirs.fileno())
        for end, other in ((ours, theirs), (theirs, ours)):
            await other.send(b"two")
            assert await receiver.receive(end) == b"two"


@pytest.mark.parametrize(("long_turn", "most"), [(inf, RECEIVE_BATCH), (-1, MIN_RECEIVE_BATCH)])
async def test_many_lost_connections_are_noticed_a_few_in_each_turn(nursery, long_turn, most):
    receiver = ReadPoller(long_turn)
    nursery.start_soon(receiver.run)
    pairs = [trio.socket.socketpair() for _ in range(5 * RECEIVE_BATCH)]
    received, by_turn = 0, []

    async def receive(socket):
        nonlocal received
        with socket:
            assert await receiver.receive(socket) == b""
            received += 1

    class Watch(trio.abc.Instrument):
        def after_io_wait(self, timeout):
            by_turn.append(received - sum(by_turn))

    async with trio.open_nursery() as clients:
        for ours, _ in pairs:
            clients.start_soon(receive, ours)
        await trio.testing.wait_all_tasks_blocked()
        for _, theirs in pairs:
            theirs.close()
        trio.lowlevel.add_instrument(watch := Watch())
    trio.lowlevel.remove_instrument(watch)
    turns = [number for number in by_turn if number]
    assert max(turns) <= RECEIVE_BATCH
    assert set(turns[2:-1]) <= {most}, "at first they are as many as ever"
