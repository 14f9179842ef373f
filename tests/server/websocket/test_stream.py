import pytest
import trio
import trio.testing

from mesaya_ws.core.wire.frame_limits import FrameLimiter, FrameLimits, Violation
from mesaya_ws.server.websocket.stream import ClientStream
from tests.support.wire import BINARY, frame


class FakeSendQueue:
    """Keeps what it is offered; tests say when it is broken."""

    def __init__(self):
        self.offered = []
        self.last_words = []
        self.broken = False

    def offer(self, data, messages):
        self.offered.append((data, messages))

    def drop(self):
        self.offered.clear()

    def send_close(self, last_word):
        self.last_words.append(last_word)


class World:
    """A stream and all that it knows: the client's side is `client`; violations are kept."""

    def __init__(self, early=b""):
        self.client, ours = trio.testing.memory_stream_pair()
        self.send_queue, self.violations = FakeSendQueue(), []
        self.stream = ClientStream(
            ours,
            early,
            self.send_queue,
            FrameLimiter(FrameLimits(100, 50, 1e6, 10)),
            self,
            receive=lambda stream: stream.receive_some(),
        )

    def on_violation(self, violation):
        self.violations.append(violation)


async def test_what_came_early_is_received_first():
    world = World(early=frame(b"early"))
    await world.client.send_all(frame(b"late"))
    assert await world.stream.receive_some() == frame(b"early")
    assert await world.stream.receive_some() == frame(b"late")
    await world.client.aclose()
    assert await world.stream.receive_some() == b""


async def test_stream_knows_when_it_last_received(autojump_clock):
    world = World()
    assert world.stream.received_at == trio.current_time()
    await trio.sleep(5)
    await world.client.send_all(b"x")
    await world.stream.receive_some()
    assert world.stream.received_at == trio.current_time()


@pytest.mark.parametrize("early", [True, False])
async def test_who_breaks_a_limit_is_reported_once_and_not_listened_to_any_more(early):
    wrong = frame(b"no", BINARY)
    world = World(early=wrong if early else b"")
    if not early:
        await world.client.send_all(wrong)
    async with trio.open_nursery() as nursery:

        async def receive():
            assert await world.stream.receive_some() == b""

        nursery.start_soon(receive)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            await world.client.send_all(wrong)
        await world.client.aclose()
    assert world.violations == [Violation.BINARY]


async def test_what_it_sends_goes_to_the_send_queue():
    world = World()
    await world.stream.send_all(bytearray(b"pong"))
    await world.stream.wait_send_all_might_not_block()
    assert world.send_queue.offered == [(b"pong", 1)]


async def test_it_knows_a_close_frame():
    world = World()
    for frame_of_a_server, parted in ((b"\x81\x02{}", False), (b"\x8a\x00", False), (b"\x88\x02\x03\xe8", True)):
        await world.stream.send_all(frame_of_a_server)
        assert world.stream.close_sent is parted
    assert (world.send_queue.offered, world.send_queue.last_words) == ([], [b"\x88\x02\x03\xe8"])


async def test_sending_to_a_client_that_is_gone():
    world = World()
    world.send_queue.broken = True
    with pytest.raises(trio.BrokenResourceError):
        await world.stream.send_all(b"pong")


async def test_closing_ends_its_use_and_leaves_the_socket_to_its_owner():
    world = World()
    await world.stream.aclose()
    for use in (world.stream.receive_some(), world.stream.send_all(b"x")):
        with pytest.raises(trio.ClosedResourceError):
            await use
    assert world.send_queue.offered == []
    await world.client.send_all(b"the other end is still open")


async def test_receiving_and_sending_can_be_cancelled():
    world = World(early=frame(b"early"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await world.stream.send_all(b"x")
    assert scope.cancelled_caught
    assert world.send_queue.offered == []
    with trio.move_on_after(0.01) as scope:
        await world.stream.receive_some()
        await world.stream.receive_some()
    assert scope.cancelled_caught
