"""Those who ask who is on a channel are informed in steps, however many come and go at once."""

from itertools import pairwise

from mesaya_ws.core.interactions.chat_records import GUEST
from mesaya_ws.core.interactions.presence_pace import OFTEN
from mesaya_ws.core.interactions.presence_records import Viewers
from mesaya_ws.core.session.presence_watch import LARGE, RECOUNT, TICK, TOGETHER, YIELD_EVERY, Watches


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


def test_many_clients_whose_rest_is_over_at_once_are_informed_in_steps():
    asked, channel, count = Asked(), "restaurant:r1:tables", 20 * YIELD_EVERY
    asked.add(*[channel] * count)
    list(asked.run(TOGETHER))
    asked.viewers = 2
    asked.watches.changed(channel, asked.now)
    list(asked.run(OFTEN - TICK))
    assert asked.watches.sent == count, "all rest"
    sent = [asked.watches.sent - count for _ in asked.run(2 * OFTEN)]
    assert sent[-1] == count
    assert max(after - before for before, after in pairwise([0, *sent])) == YIELD_EVERY


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
