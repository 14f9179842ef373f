"""Whatever clients do, and whenever: on each channel nothing is missing, nothing comes twice, nothing out of order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.core.session.history import next_history_request, on_history
from tests.support.instance import RESERVATIONS, KeepingWorld, ask

CHANNELS = [f"restaurant:{name}:reservations" for name in "abc"]


class Clients:
    """One client after the other, of which each knows what the one before it knew.

    `log` is what was published on each channel, with its offset; what was lost is a None on all of them, which nobody
    can receive, or pass without receiving the state. `reached` is how much of it the client has received, on the
    channels that it has been answered about. `places` are all positions that were ever seen.
    """

    def __init__(self, random):
        self.random = random
        self.world = KeepingWorld(max_bytes=random.choice([0, 2, 3, 4]) * PAGE_BYTES // 2)
        self.session = self.world.client(auth=False)
        self.reading, self.writing = [], None
        self.log = {name: [] for name in CHANNELS}
        self.reached = {}
        self.places = {name: [ask(self.world.client(auth=False), channel=name)[0]["position"]] for name in CHANNELS}
        self.number = 0

    def before(self, name, position):
        """Return how much of a channel lies before a position."""
        vector = self.world.feed.cursor.read(position, parse_channel(name))
        return sum(offset < vector[RESERVATIONS] for offset, _ in self.log[name])

    def receive(self, messages):
        for message in messages:
            name, kind = message.get("channel"), message["type"]
            if kind == "subscribed" and message.get("recovered"):
                self.reached[name] = self.before(name, message["position"])
            elif kind == "subscribed" or (kind == "snapshot" and "recovered" in message):
                assert message.get("reason") in (None, "expired")
                self.reached[name] = self.before(name, message["position"])
                self.places[name].append(message["position"])
            elif kind == "reservation.created":
                assert message["data"]["reservationId"] == self.log[name][self.reached[name]][1]
                self.reached[name] += 1
                self.places[name].append(message["position"])
            elif kind == "pong":
                for channel, position in message["positions"].items():
                    assert self.reached[channel] == len(self.log[channel])
                    self.places[channel].append(position)
            elif kind == "unsubscribed" and "reason" in message:
                if (position := message.get("position")) is not None:
                    self.places[name].append(position)
                    if name in self.reached:
                        assert self.before(name, position) == self.reached[name]
                self.reached.pop(name, None)
            else:
                assert kind in ("snapshot", "unsubscribed")

    def say(self, **fields):
        self.receive(ask(self.session, **fields))

    def publish(self):
        restaurant = self.random.choice("abcd")
        if restaurant != "d":
            self.log[f"restaurant:{restaurant}:reservations"].append(
                (self.world.offsets[RESERVATIONS], f"v{self.number}")
            )
        size = self.random.choice([0, 0, PAGE_BYTES // 3, PAGE_BYTES])
        self.world.review(self.number, restaurant=restaurant, size=size)
        self.number += 1
        self.receive(self.session.send_queue.said())

    def lose(self):
        for log in self.log.values():
            log.append((self.world.offsets[RESERVATIONS], None))
        self.world.lose()
        self.receive(self.session.send_queue.said())

    def subscribe(self):
        name = self.random.choice(CHANNELS)
        self.reached.pop(name, None)
        self.say(channel=name, snapshot=self.random.random() < 0.5)

    def come_back(self):
        name = self.random.choice(CHANNELS)
        position = self.random.choice(self.places[name][-9:])
        self.reached.pop(name, None)
        self.say(channel=name, position=position)

    def unsubscribe(self):
        name = self.random.choice(CHANNELS)
        if name in self.reached:
            self.say(kind="unsubscribe", channel=name)
            del self.reached[name]

    def end(self):
        """Let the server end a subscription, in whatever state that is."""
        self.session.end(self.random.choice(CHANNELS), "rights_changed")
        self.receive(self.session.send_queue.said())

    def ping(self):
        self.say(kind="ping")

    def fall_behind(self):
        self.session.send_queue.backlogged = True

    def read_some(self, pages=1):
        send_queue = self.session.send_queue
        send_queue.backlogged = False
        offer = send_queue.offer

        def offer_and_fill(data, messages):
            nonlocal pages
            offer(data, messages)
            pages -= 1
            send_queue.backlogged = pages <= 0

        send_queue.offer = offer_and_fill
        self.session.delivery.resume()
        if send_queue.closed is not None:
            self.leave()
        send_queue.offer = offer
        self.receive(send_queue.said())

    def read_all(self):
        self.read_some(1000)
        while self.session.send_queue.deferred:
            self.session.send_queue.deferred = False
            self.read_some(1000)

    def leave(self):
        self.session.leave()
        self.receive(self.session.send_queue.said())
        self.reached.clear()
        self.session = self.world.client(auth=False)

    def commit(self):
        self.world.commit()

    def read_the_store(self):
        """Read pages that are awaited, which may be answered much later."""
        reader = self.session.delivery
        if reader.awaits_history and all(reader is not other for other, *_ in self.reading):
            subscription, request = next_history_request(reader)
            self.reading.append((reader, subscription, request and self.world.page(request)))

    def answer_from_the_store(self):
        """Answer with a page that was read, or that none could be read."""
        if self.reading:
            reader, subscription, page = self.reading.pop(0)
            on_history(reader, subscription, page if self.random.random() < 0.95 else None)
            self.receive(self.session.send_queue.said())

    def write_the_state(self):
        """Begin to write the state that is waited for, or hand it over."""
        rendering = self.world.services.rendering
        if self.writing is None and self.session.delivery in rendering:
            rendering.clear()
            if self.session.delivery.to_render:
                self.writing = self.world.feed.states.snapshot(self.session.delivery.to_render)
                list(self.writing.write())
        elif self.writing is not None:
            self.session.delivery.on_rendered(self.writing)
            self.writing = None
            self.receive(self.session.send_queue.said())


ACTIONS = {
    Clients.publish: 8,
    Clients.lose: 0.5,
    Clients.subscribe: 1,
    Clients.come_back: 4,
    Clients.unsubscribe: 1,
    Clients.end: 1,
    Clients.ping: 1,
    Clients.fall_behind: 3,
    Clients.read_some: 4,
    Clients.read_all: 3,
    Clients.leave: 1,
    Clients.commit: 4,
    Clients.read_the_store: 5,
    Clients.answer_from_the_store: 6,
    Clients.write_the_state: 5,
}


@given(st.integers(0, 2**32), st.sampled_from([1, 5, 1000]))
def test_any_client(seed, at_once):
    random = Random(seed)
    clients = Clients(random)
    clients.world.feed.states.written_at_once = at_once
    for action in random.choices(list(ACTIONS), list(ACTIONS.values()), k=150):
        action(clients)
    clients.read_all()
    while clients.session.delivery.awaits_history:
        clients.commit()
        clients.read_the_store()
        clients.answer_from_the_store()
        clients.read_all()
    while clients.session.delivery.to_render:
        assert clients.writing or clients.session.delivery in clients.world.services.rendering, "it asks by itself"
        clients.write_the_state()
    for name, reached in clients.reached.items():
        assert reached == len(clients.log[name])
