"""Those who ask who is on a channel are informed in steps, however many come and go at once."""

import gc

from mesaya_ws.core.interactions.chat_records import GUEST
from mesaya_ws.core.interactions.presence_pace import OFTEN
from mesaya_ws.core.interactions.presence_records import Viewers
from mesaya_ws.core.session.presence_watch import LARGE, RECOUNT, TICK, TOGETHER, YIELD_EVERY, Watches
from tests.timing import seconds


class Asker:
    """A client that asks, and what stands for it in the hub; what it is sent, nobody reads."""

    identity, backlogged, viewer = None, False, None

    @property
    def send_queue(self):
        return self

    def offer(self, data, messages):
        pass


class Asked:
    """Channels that are asked about, all with as many viewers as a test says."""

    def __init__(self):
        self.viewers, self.now = 1, 0
        self.watches = Watches(lambda channel: Viewers(self.viewers))

    def add(self, *channels):
        """Have a client ask about each, which is answered, and not counted yet; return them."""
        askers = [Asker() for _ in channels]
        for channel, asker in zip(channels, askers, strict=True):
            self.watches.add(channel, asker)
            self.watches.answered(channel, asker, self.now, is_counted=False)
        return askers

    def run(self, after):
        self.now += after
        return self.watches.run(self.now)


def test_each_channel_of_which_a_change_was_due_and_nobody_asks_any_more_is_a_step():
    asked, channels = Asked(), [f"restaurant:r{number}:tables" for number in range(1_000)]
    askers = dict(zip(channels, asked.add(*channels), strict=True))
    list(asked.run(TOGETHER))
    asked.viewers = 2
    for channel in channels:
        asked.watches.changed(channel, asked.now)
    list(asked.run(OFTEN + TICK))
    waiting = len(channels) - (asked.watches.sent - len(channels))
    assert waiting > len(channels) / 2, "only so many are sent at once"
    for channel, asker in askers.items():
        asked.watches.remove(channel, asker)
    assert len(list(asked.run(OFTEN))) >= waiting


def rest_over(count):
    """Return how long it takes to find that so many clients of a channel rest no more: the shortest time of three."""
    times = []
    for _ in range(3):
        asked = Asked()
        asked.add(*["restaurant:r1:tables"] * count)
        list(asked.run(TOGETHER))
        assert asked.watches.sent == count
        asked.viewers = 2
        asked.watches.changed("restaurant:r1:tables", asked.now)
        steps = asked.run(2 * OFTEN)
        next(steps)
        times.append(seconds(lambda steps=steps: next(steps)))
        assert asked.watches.sent == count + YIELD_EVERY
    return min(times)


def test_rest_of_many_clients_that_is_over_at_once_is_found_by_one_look_at_each():
    gc.disable()
    try:
        few, many = rest_over(4_000), rest_over(32_000)
    finally:
        gc.enable()
    assert many < 20 * few, "each once is 8 times as much, each with all those before it 64 times"


def test_conversation_that_many_ask_about_is_not_counted_for_each_who_comes():
    counted, channel = [], "restaurant:r1:chat:u1"

    def level(channel):
        counted.append(channel)
        return frozenset({GUEST})

    watches = Watches(level)
    for _ in range(3 * LARGE):
        client = Asker()
        watches.add(channel, client)
        watches.changed(channel, 5)
        assert watches.answered(channel, client, 5, is_counted=True)
    assert len(counted) == LARGE - 1
    for _ in watches.run(5 + RECOUNT):
        pass
    assert len(counted) == LARGE
