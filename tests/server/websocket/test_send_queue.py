import tracemalloc
from math import inf

import pytest
import trio

from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.wire.frames import PING
from mesaya_ws.server.websocket.send_queue import SendQueue
from tests.timing import PATIENCE


class Owner:
    """Whoever the send queue works for: keeps what it is called with."""

    def __init__(self):
        self.events = []

    def on_overflow(self):
        self.events.append("overflowed")

    def on_drained(self):
        self.events.append("drained")

    def on_error(self, fault):
        self.events.append(fault)


@pytest.fixture
def wire():
    """The two ends of a connection whose kernel buffers are small."""
    ours, theirs = trio.socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
    with ours, theirs:
        yield ours, theirs


def fill(send_queue, frame=b"x" * 1000):
    """Offer until something waits; return how much was offered."""
    size = 0
    while not send_queue.backlogged:
        send_queue.offer(frame, 1)
        size += len(frame)
    return size


async def read(socket, size):
    data = b""
    while len(data) < size:
        part = await socket.recv(size - len(data))
        assert part
        data += part
    return data


async def test_a_client_that_keeps_up_is_written_to_at_once(wire, nursery):
    ours, theirs = wire
    send_queue, owner = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=10_000), Owner()
    send_queue.offer(b"one", 1)
    send_queue.offer(b"two", 1)
    assert not send_queue.backlogged
    assert await theirs.recv(100) == b"onetwo"
    assert owner.events == []


async def test_what_the_kernel_does_not_take_follows_in_order(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=1000, max_bytes=1_000_000)
    size = fill(send_queue)
    for number in range(100):
        send_queue.offer(b"%03d" % number, 1)
    assert send_queue.waiting_bytes > 300
    data = await read(theirs, size + 300)
    assert data[:size] == b"x" * size
    assert data[size:] == b"".join(b"%03d" % number for number in range(100))
    await trio.testing.wait_all_tasks_blocked()
    assert (send_queue.backlogged, send_queue.waiting_bytes, owner.events) == (False, 0, ["drained"])
    send_queue.offer(b"direct", 1)
    assert await read(theirs, 6) == b"direct"


@pytest.mark.parametrize("bounds", [(5, 1_000_000), (1000, 5000)])
async def test_overflow_is_reported_once_and_nothing_more_is_queued(wire, bounds, nursery):
    ours, _ = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=bounds[0], max_bytes=bounds[1])
    fill(send_queue)
    for _ in range(20):
        send_queue.offer(b"y" * 1000, 1)
    assert owner.events == ["overflowed"]
    assert send_queue.waiting_bytes <= 5000 + 1000


async def test_write_under_way_does_not_count_for_the_bounds(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)
    send_queue.offer(b"x" * 1_000_000, 1)
    send_queue.offer(b"y" * 1000, 1)
    assert owner.events == []
    assert await read(theirs, 1_001_000) == b"x" * 1_000_000 + b"y" * 1000
    await trio.testing.wait_all_tasks_blocked()
    assert owner.events == ["drained"]


async def test_one_write_may_hold_many_messages_and_all_of_them_count(wire, nursery):
    ours, _ = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1_000_000)
    fill(send_queue)
    send_queue.offer(b"y" * 8, 8)
    assert owner.events == []
    send_queue.offer(b"y" * 3, 3)
    assert owner.events == ["overflowed"]


async def test_during_a_pause_the_others_run_and_what_comes_follows_in_order(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)
    send_queue.offer(b"one", 1)
    send_queue.defer()
    send_queue.offer(b"two", 1)
    assert (send_queue.backlogged, owner.events) == (True, [])
    assert await theirs.recv(100) == b"one"
    await trio.testing.wait_all_tasks_blocked()
    assert (send_queue.backlogged, owner.events) == (False, ["drained"])
    assert await theirs.recv(100) == b"two"


async def test_a_pause_in_the_middle_of_a_write_changes_nothing(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=1000, max_bytes=1_000_000)
    size = fill(send_queue)
    send_queue.defer()
    await read(theirs, size)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.events == ["drained"]


async def test_a_fault_on_the_way_is_the_owners_and_nobody_elses(wire, nursery):
    ours, theirs = wire
    owner, fault = Owner(), ValueError("a fault of ours")

    def on_drained():
        raise fault

    owner.on_drained = on_drained
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)
    send_queue.defer()
    await trio.testing.wait_all_tasks_blocked()
    assert owner.events == [fault]
    send_queue.offer(b"never", 1)
    send_queue.send_close(b"bye")
    assert await theirs.recv(100) == b"bye"


async def test_the_send_task_ends_with_the_socket(wire):
    ours, _ = wire
    async with trio.open_nursery() as writers:
        send_queue = SendQueue(ours, writers, Owner(), max_messages=10, max_bytes=1000)
        fill(send_queue)
        await trio.testing.wait_all_tasks_blocked()
        assert writers.child_tasks
        send_queue.close()
        ours.close()


async def test_the_bounds_are_free_again_when_the_client_has_read(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1_000_000)
    for _ in range(5):
        size = fill(send_queue)
        send_queue.offer(b"y" * 9, 9)
        await read(theirs, size + 9)
        await trio.testing.wait_all_tasks_blocked()
    assert "overflowed" not in owner.events


async def test_close_frame_is_written_after_all_that_waits(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    size = fill(send_queue)
    send_queue.offer(b"still", 1)
    send_queue.send_close(b"bye")
    send_queue.offer(b"too late", 1)
    assert await read(theirs, size + 8) == b"x" * size + b"stillbye"
    assert await theirs.recv(1) == b""


async def test_what_waits_can_be_dropped_but_not_in_the_middle_of_a_frame(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    size = fill(send_queue)
    for _ in range(10):
        send_queue.offer(b"never", 1)
    rest = send_queue.waiting_bytes - 50
    send_queue.drop()
    assert send_queue.waiting_bytes == rest
    send_queue.send_close(b"bye")
    assert await read(theirs, size + 3) == b"x" * size + b"bye"
    assert await theirs.recv(1) == b""


async def test_the_last_word_to_a_client_that_keeps_up(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    send_queue.send_close(b"bye")
    send_queue.send_close(b"again")
    assert await theirs.recv(100) == b"bye"
    assert await theirs.recv(1) == b""


async def test_the_last_word_to_a_client_that_is_gone(nursery):
    with trio.socket.socket() as door:
        await door.bind(("127.0.0.1", 0))
        door.listen()
        with trio.socket.socket() as theirs:
            await theirs.connect(door.getsockname())
            ours, _ = await door.accept()
    with ours:
        send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
        # The client's end is closed: what is written is answered with a reset, which comes before the end of our side.
        send_queue.send_close(b"bye")
        with pytest.raises(OSError, match="not connected"):
            ours.shutdown(trio.socket.SHUT_WR)


async def test_after_an_overflow_there_is_still_a_last_word(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=3, max_bytes=1_000_000)
    size = fill(send_queue)
    for _ in range(5):
        send_queue.offer(b"never", 1)
    assert owner.events == ["overflowed"]
    send_queue.send_close(b"bye")
    assert await read(theirs, size + 18) == b"x" * size + b"never" * 3 + b"bye"


async def test_a_client_that_is_gone(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    fill(send_queue)
    theirs.close()
    await trio.testing.wait_all_tasks_blocked()
    assert send_queue.broken
    send_queue.offer(b"x", 1)
    send_queue.send_close(b"bye")


async def test_a_client_that_is_gone_before_a_direct_write(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    theirs.close()
    send_queue.offer(b"x", 1)
    send_queue.offer(b"x", 1)
    assert send_queue.broken


async def test_a_closed_send_queue_touches_no_descriptor(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
    send_queue.close()
    send_queue.offer(b"x", 1)
    send_queue.send_close(b"bye")
    ours.close()
    assert await theirs.recv(100) == b""


async def test_the_send_task_ends_with_its_nursery(wire):
    ours, theirs = wire
    async with trio.open_nursery() as nursery:
        send_queue = SendQueue(ours, nursery, Owner(), max_messages=1000, max_bytes=1_000_000)
        size = fill(send_queue, b"0123456789" * 100)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    ours.close()
    data = b""
    while part := await theirs.recv(10_000):
        data += part
    assert data == (b"0123456789" * (size // 10))[: len(data)], "what was written is a beginning of what was offered"


async def test_large_message_is_written_by_frames_before_later_messages(wire, nursery):
    ours, theirs = wire
    owner, taken = Owner(), []
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)

    def frames():
        for number in range(100):
            taken.append(number)
            yield b"%02d" % number * 2000

    send_queue.stream(frames())
    send_queue.offer(b"after", 1)
    await trio.testing.wait_all_tasks_blocked()
    assert len(taken) < 10, "no more than the client has room for"
    assert send_queue.waiting_bytes <= 4000 + 5
    expected = b"".join(b"%02d" % number * 2000 for number in range(100)) + b"after"
    assert await read(theirs, len(expected)) == expected
    await trio.testing.wait_all_tasks_blocked()
    assert (send_queue.backlogged, send_queue.waiting_bytes, owner.events) == (False, 0, ["drained"])


async def test_pings_and_pongs_come_between_the_frames_of_a_large_message(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=2, max_bytes=1000)
    send_queue.stream(iter([b"1" * 50_000, b"2" * 50_000]))
    await trio.testing.wait_all_tasks_blocked()
    send_queue.offer(b"text", 1)
    for control in (PING, b"\x8a\x00", PING):
        send_queue.offer(control, 1)
    expected = b"1" * 50_000 + PING + b"\x8a\x00" + PING + b"2" * 50_000 + b"text"
    assert await read(theirs, len(expected)) == expected
    send_queue.stream(iter([b"3" * 50_000]))
    await trio.testing.wait_all_tasks_blocked()
    send_queue.offer(PING, 1)
    assert await read(theirs, 50_002) == b"3" * 50_000 + PING


async def test_pings_during_a_large_message_are_bounded(wire, nursery):
    ours, _ = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)
    send_queue.stream(iter([b"1" * 50_000, b"2" * 50_000]))
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(501):
        send_queue.offer(PING, 1)
    assert owner.events == ["overflowed"]


async def test_a_large_message_that_is_revoked_ends_with_the_last_word(wire, nursery):
    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=1000)

    def frames():
        yield b"1" * 50_000
        raise PositionEvicted

    send_queue.stream(frames())
    send_queue.offer(b"never", 1)
    assert await read(theirs, 50_000) == b"1" * 50_000
    await trio.testing.wait_all_tasks_blocked()
    assert owner.events == ["overflowed"]
    send_queue.offer(b"never", 1)
    send_queue.send_close(b"bye")
    assert await read(theirs, 3) == b"bye"
    assert await theirs.recv(1) == b""


async def test_close_frame_is_written_although_the_large_message_before_it_is_revoked(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=1000)

    def frames():
        yield b"1" * 50_000
        raise PositionEvicted

    send_queue.stream(frames())
    send_queue.offer(b"never", 1)
    await trio.testing.wait_all_tasks_blocked()
    send_queue.send_close(b"bye")
    assert await read(theirs, 50_003) == b"1" * 50_000 + b"bye"
    with trio.fail_after(PATIENCE):
        assert await theirs.recv(1) == b""
    assert send_queue.waiting_bytes == 0


async def test_a_large_message_can_be_dropped_between_its_frames(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=1000)
    send_queue.stream(iter([b"1" * 50_000, b"2" * 50_000]))
    await trio.testing.wait_all_tasks_blocked()
    send_queue.drop()
    send_queue.send_close(b"bye")
    assert await read(theirs, 50_003) == b"1" * 50_000 + b"bye"
    assert await theirs.recv(1) == b""


async def test_it_is_known_when_a_client_last_took_a_byte(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=1000)
    assert send_queue.took_at(1.0) == -inf
    send_queue.offer(b"x", 1)
    assert send_queue.took_at(1.0) == -inf, "a few bytes are always on their way"
    send_queue.stream(iter([b"x" * 50_000] * 10))
    await trio.testing.wait_all_tasks_blocked()
    assert [send_queue.took_at(now) for now in (2.0, 3.0, 4.0)] == [2.0] * 3
    await read(theirs, 40_000)
    await trio.testing.wait_all_tasks_blocked()
    assert [send_queue.took_at(now) for now in (5.0, 6.0)] == [5.0] * 2
    await read(theirs, 460_001)
    await trio.testing.wait_all_tasks_blocked()
    assert send_queue.took_at(7.0) == -inf
    send_queue.stream(iter([b"x" * 50_000]))
    await trio.testing.wait_all_tasks_blocked()
    assert send_queue.took_at(8.0) == 8.0


async def test_what_a_client_once_was_slow_to_take_does_not_count_in_a_pause(wire, nursery):
    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=1000)
    size = fill(send_queue)
    await trio.testing.wait_all_tasks_blocked()
    assert send_queue.took_at(1.0) == 1.0
    await read(theirs, size)
    await trio.testing.wait_all_tasks_blocked()
    assert not send_queue.backlogged
    ours.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 1 << 20)
    send_queue.offer(b"x" * 100_000, 1)
    send_queue.defer()
    assert send_queue.took_at(100.0) == 100.0, "all of what waited at 1.0 has been taken"


async def test_a_large_frame_that_many_wait_for_is_there_once(nursery):
    frame, queues = b"x" * 500_000, []
    pairs = [trio.socket.socketpair() for _ in range(20)]
    for ours, _ in pairs:
        queues.append(SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=1_000_000))
        fill(queues[-1])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for send_queue in queues:
            send_queue.offer(b"small", 1)
            send_queue.offer(frame, 1)
        for send_queue, (_, theirs) in zip(queues, pairs, strict=True):
            while send_queue.waiting_bytes > len(frame) - 10:
                await theirs.recv(10_000)
                await trio.testing.wait_all_tasks_blocked()
        held, _ = tracemalloc.get_traced_memory()
        assert held - before < len(frame)
    finally:
        tracemalloc.stop()
        for ours, theirs in pairs:
            theirs.close()
            ours.close()


async def test_after_a_fault_between_two_frames_of_a_large_message_there_is_still_a_last_word(wire, nursery):
    def frames():
        yield b"frame"
        raise ValueError

    ours, theirs = wire
    owner = Owner()
    send_queue = SendQueue(ours, nursery, owner, max_messages=10, max_bytes=10_000)
    send_queue.stream(frames())
    await trio.testing.wait_all_tasks_blocked()
    [fault] = owner.events
    assert isinstance(fault, ValueError)
    send_queue.send_close(b"close")
    assert await read(theirs, 10) == b"frameclose"


async def test_what_is_dropped_between_two_frames_of_a_large_message_is_not_written_before_the_last_word(wire, nursery):
    def frames():
        taken.append(b"frame")
        yield b"frame"
        taken.append(b"never")
        yield b"never"

    class Dropping(trio.abc.Instrument):
        """Drops when the writer has let the others have their turn after the first frame."""

        def after_task_step(self, task):
            if len(taken) == 1:
                taken.append(None)
                send_queue.drop()
                send_queue.send_close(b"close")

    ours, theirs = wire
    send_queue = SendQueue(ours, nursery, Owner(), max_messages=10, max_bytes=10_000)
    taken, watch = [], Dropping()
    send_queue.stream(frames())
    trio.lowlevel.add_instrument(watch)
    await trio.testing.wait_all_tasks_blocked()
    trio.lowlevel.remove_instrument(watch)
    assert await theirs.recv(100) == b"frameclose"
    assert taken == [b"frame", None]
