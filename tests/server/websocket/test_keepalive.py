"""All connections are looked at in turns, however much each of them waits for."""

import trio

from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.server.websocket.keepalive import keep_alive
from mesaya_ws.settings import Settings
from tests.support.instance import CHANNEL, World, ask

WAITING = 100


class Connection:
    """A client with as many unanswered subscriptions as there may be; `seen` is who was looked at in this step."""

    def __init__(self, session, seen):
        self.session, self.seen = session, seen

    def check(self, now):
        self.session.send_pending()
        self.seen.append(self)


class Steps(trio.abc.Instrument):
    """Notes how many were looked at in the step that has most."""

    def __init__(self, seen):
        self.most, self._seen = 0, seen

    def after_task_step(self, task):
        self.most = max(self.most, len(self._seen))
        self._seen.clear()


async def test_clients_that_wait_for_much_are_informed_a_few_at_a_time(autojump_clock, nursery):
    world, seen = World(live=False), []
    sessions = [world.client(most=WAITING) for _ in range(20)]
    for session in sessions:
        for number in range(WAITING):
            assert ask(session, channel=CHANNEL.replace("r1", f"r{number}")) == []
    steps = Steps(seen)
    trio.lowlevel.add_instrument(steps)
    nursery.start_soon(keep_alive, {Connection(session, seen) for session in sessions}, Settings())
    await trio.sleep(10)
    trio.lowlevel.remove_instrument(steps)
    assert all(len(session.send_queue.said()) == WAITING for session in sessions)
    assert 0 < steps.most <= YIELD_EVERY // WAITING + 1
