"""Whatever clients do, and whenever: on each channel nothing is missing, nothing comes twice, nothing out of order."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core import snapshots
from mesaya_ws.core.replay import PAGE_BYTES
from mesaya_ws.core.window import Overtaken
from tests.core.world import World, ask

CHANNELS = [f"restaurant:{name}:reviews" for name in "abc"]


class Clients:
    """One client after the other, of which each knows what the one before it knew.

    `log` is what was published on each channel; `told` is how much of it the client has been told, on the channels that
    it has been answered about; `places` are the positions that were ever seen, with how much had been told at each.
    """

    def __init__(self, random):
        self.random = random
        self.world = World(max_bytes=random.choice([0, 2, 3, 4]) * PAGE_BYTES // 2)
        self.session = self.world.client()
        self.reading = self.writing = None
        self.log = {name: [] for name in CHANNELS}
        self.told = {}
        self.places = {name: [(ask(self.world.client(), channel=name)[0]["position"], 0)] for name in CHANNELS}
        self.number = 0

    def hear(self, messages):
        for number, message in enumerate(messages):
            name = message.get("channel")
            match message["type"]:
                case "subscribed" if message.get("recovered"):
                    self.told[name] = dict(self.places[name])[message["position"]]
                case "subscribed":
                    assert message.get("reason") in (None, "expired")
                    self.told[name] = len(self.log[name])
                    if [later["type"] for later in messages[number + 1 : number + 2]] == ["snapshot"]:
                        # It may have been written for a while.
                        self.told[name] = len(messages[number + 1]["data"]["reviews"])
                    self.places[name].append((message["position"], self.told[name]))
                case "review.created":
                    assert message["data"]["reviewId"] == self.log[name][self.told[name]]
                    self.told[name] += 1
                    self.places[name].append((message["position"], self.told[name]))
                case "pong":
                    for name, position in message["positions"].items():
                        assert self.told[name] == len(self.log[name])
                        self.places[name].append((position, self.told[name]))
                case kind:
                    assert kind in ("snapshot", "unsubscribed")

    def say(self, **fields):
        self.hear(ask(self.session, **fields))

    def publish(self):
        restaurant = self.random.choice("abcd")
        if restaurant != "d":
            self.log[f"restaurant:{restaurant}:reviews"].append(f"v{self.number}")
        size = self.random.choice([0, 0, PAGE_BYTES // 3, PAGE_BYTES])
        self.world.review(self.number, restaurant=restaurant, size=size)
        self.number += 1
        self.hear(self.session.outbox.said())

    def subscribe(self):
        name = self.random.choice(CHANNELS)
        self.told.pop(name, None)
        self.say(channel=name, snapshot=self.random.random() < 0.5)

    def come_back(self):
        name = self.random.choice(CHANNELS)
        position, _ = self.random.choice(self.places[name][-9:])
        self.told.pop(name, None)
        self.say(channel=name, position=position)

    def unsubscribe(self):
        name = self.random.choice(CHANNELS)
        if name in self.told:
            self.say(kind="unsubscribe", channel=name)
            del self.told[name]

    def ping(self):
        self.say(kind="ping")

    def fall_behind(self):
        self.session.outbox.behind = True

    def read_some(self, pages=1):
        outbox = self.session.outbox
        outbox.behind = False
        offer = outbox.offer

        def offer_and_fill(data, messages):
            nonlocal pages
            offer(data, messages)
            pages -= 1
            outbox.behind = pages <= 0

        outbox.offer = offer_and_fill
        try:
            self.session.go_on()
        except Overtaken:
            self.leave()
        outbox.offer = offer
        self.hear(outbox.said())

    def read_all(self):
        self.read_some(1000)
        while self.session.outbox.paused:
            self.session.outbox.paused = False
            self.read_some(1000)

    def leave(self):
        self.session.leave()
        self.hear(self.session.outbox.said())
        self.told.clear()
        self.session = self.world.client()

    def read_the_log(self):
        """Begin to read the past that is asked for, or end it, perhaps too early."""
        if self.reading is None and self.session.asking:
            self.reading = self.world.past(*(channel.name for channel in self.session.asking))
        elif self.reading is not None:
            unread = self.random.choice([0, 0, 0, 1, 2])
            self.world.tell(self.reading, records=len(self.world.batches) - unread)
            self.session.recall(self.reading)
            self.reading = None
            self.hear(self.session.outbox.said())

    def write_the_state(self):
        """Begin to write the state that is waited for, or hand it over."""
        if self.writing is None and self.session.showing:
            self.writing = self.world.feed.snapshot(self.session.showing)
            list(self.writing.write())
        elif self.writing is not None:
            self.session.show(self.writing)
            self.writing = None
            self.hear(self.session.outbox.said())


ACTIONS = {
    Clients.publish: 8,
    Clients.subscribe: 1,
    Clients.come_back: 4,
    Clients.unsubscribe: 1,
    Clients.ping: 1,
    Clients.fall_behind: 3,
    Clients.read_some: 4,
    Clients.read_all: 3,
    Clients.leave: 1,
    Clients.read_the_log: 5,
    Clients.write_the_state: 5,
}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 5, 1000]))
def test_any_client(seed, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "AT_ONCE", at_once)
        _try(Random(seed))


def _try(random):
    clients = Clients(random)
    for action in random.choices(list(ACTIONS), list(ACTIONS.values()), k=150):
        action(clients)
    clients.read_all()
    for name, told in clients.told.items():
        assert told == len(clients.log[name])
