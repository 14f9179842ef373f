"""Whatever the log gives and takes, and whatever clients do meanwhile: each sees what is its own, and all of it.

Who may see what, `Page` says: it reads the records once more, by the sentences of the documentation alone.
"""

from random import Random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.session.authenticating import end_identity, identify
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.history import on_history
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.rights import ask_again_for_all
from tests.scenarios.rights import Platform, T, parsed, signed

RESTAURANTS, USERS = ("R", "S"), ("u", "v", "a")
CHANNELS = [f"restaurant:{id}:reservations" for id in RESTAURANTS] + [f"user:{id}:notifications" for id in USERS]
CHANNELS += [f"restaurant:R:chat:{id}" for id in USERS[:2]] + ["restaurant:R:chats", "user:u:chats"]
PAGE = 66_000


class Client:
    """Knows how much of each channel it has received, and asserts that nothing of that was wrong."""

    def __init__(self, story, identity):
        self.story, self.session = story, story.platform.client(identity)
        self.reached, self.places = {}, {}
        self.rights = set()

    def may(self, channel):
        return self.story.platform.page.may(self.session.identity, channel)

    def begin(self):
        """Note which channels it may see as a step begins."""
        self.rights = {name for name in CHANNELS if self.may(name)}

    def receive(self):
        """Take what has come: on channels that it may see, or might see as the step began."""
        for message in self.session.send_queue.said():
            name, kind = message.get("channel"), message["type"]
            allowed = name in self.rights or (name is not None and self.may(name))
            if kind == "error":
                assert message["code"] == "unauthorized"
                assert not self.may(name)
                self.reached.pop(name, None)
            elif kind == "unsubscribed":
                if message.get("reason") == "rights_changed":
                    assert not self.may(name)
                if (position := message.get("position")) is not None:
                    self.places[name] = position
                    if self.reached.get(name) is not None:
                        assert self.story.before(name, position) == self.reached[name]
                self.reached.pop(name, None)
            elif kind == "subscribed":
                assert allowed
                lost = message.get("recovered") is False
                self.reached[name] = None if lost else self.story.before(name, message["position"])
            elif kind == "snapshot":
                assert allowed
                self.reached[name] = self.story.before(name, message["position"])
                self.places[name] = message["position"]
            elif name is not None and "data" in message:
                assert allowed
                assert message["position"] == self.story.log[name][self.reached[name]]
                self.reached[name] += 1
                self.places[name] = message["position"]

    def subscribe(self, random):
        name = random.choice(list(self.places) if self.places and random.random() < 0.7 else CHANNELS)
        self.receive()
        self.reached.pop(name, None)
        asked = {"position": self.places[name]} if name in self.places and random.random() < 0.7 else {}
        if random.random() < 0.3:
            asked["snapshot"] = True
        handle(self.session, encoded(channel=name, **asked))

    def reconnect(self):
        """End the connection, and begin another one."""
        self.receive()
        identity = self.session.identity
        self.session.leave()
        self.session = self.story.platform.client(identity)
        self.reached.clear()


def encoded(**fields):
    return orjson.dumps({"type": "subscribe", **fields}).decode()


class Story:
    """Some clients of one instance; `log` are the positions of what was published on each channel, in order."""

    def __init__(self, seed):
        self.random = random = Random(seed)
        self.platform = Platform(random.choice([PAGE * 8, 1 << 24]), self.meanwhile)
        self.log = {name: [] for name in CHANNELS}
        self.noted = 0
        self.pages, self.snapshots = [], []
        self.clients = [
            Client(self, identity) for identity in (signed("u"), signed("v"), signed("a", ["ADMIN"]), signed("x"), None)
        ]

    def before(self, name, position):
        """Return how much of a channel lies up to a position."""
        vector = self.platform.feed.cursor.read(position, parsed(name))
        return sum(
            all(offset <= vector.get(partition, 0) for partition, offset in place.items())
            for place in (self.platform.feed.cursor.read(each, parsed(name)) for each in self.log[name])
        )

    def note(self):
        """Take what has been published since; it is only asked of the window, which serves clients, too."""
        for name in CHANNELS:
            for publication in self.platform.feed.window.after(name, {}, self.noted):
                frame = publication.frame
                start = frame.index(b'"position":"') + 12
                self.log[name].append(frame[start : frame.index(b'"', start)].decode())
        self.noted = self.platform.feed.window.serial

    def meanwhile(self):
        """Have something else happen in the middle of what a record does."""
        self.note()
        if self.random.random() < 0.3:
            self.random.choice([self.serve, self.drain, self.ask])()

    # What may happen

    def write(self):
        platform, random = self.platform, self.random
        restaurant, user = random.choice(RESTAURANTS), random.choice(USERS)
        match random.randrange(10):
            case 0:
                platform.owner(restaurant, user)
            case 1 if restaurant in platform.page.owners:
                platform.delete(restaurant)
            case 2:
                platform.roles(user, *random.choice([(), ("ADMIN",), ("USER",)]))
            case 3 | 4:
                platform.message(restaurant, user)
            case _:
                platform.reservation(restaurant, user, size=random.choice([0, PAGE // 3, PAGE]))

    def ask(self):
        self.random.choice(self.clients).subscribe(self.random)

    def unsubscribe(self):
        client, name = self.random.choice(self.clients), self.random.choice(CHANNELS)
        if self.platform.identities.directory.sessions_on(name).count(client.session):
            handle(client.session, encoded(channel=name).replace("subscribe", "unsubscribe"))

    def slow_down(self):
        self.random.choice(self.clients).session.send_queue.backlogged = True

    def reconnect(self):
        client = self.random.choice(self.clients)
        client.reconnect()
        client.session.send_queue.backlogged = self.random.random() < 0.5

    def drain(self):
        client = self.random.choice(self.clients)
        client.session.send_queue.backlogged = client.session.send_queue.deferred = False
        client.session.delivery.resume()
        if client.session.send_queue.closed is not None:
            client.reconnect()

    def read(self):
        """Begin to read what somebody asks for; the answer comes at another time."""
        for client in self.clients:
            if client.session.delivery.awaits_history:
                self.pages.append((client.session.delivery, *self.platform.read_page(client.session)))
            if client.session.delivery.to_render is not None and not self.platform.feed.is_mid_record:
                self.snapshots.append((client.session, self.platform.rendered(client.session)))

    def serve(self):
        if self.platform.feed.is_mid_record:
            return
        if self.pages:
            reader, subscription, page = self.pages.pop()
            on_history(reader, subscription, page)
        if self.snapshots:
            session, state = self.snapshots.pop()
            session.delivery.on_rendered(state)
        for client in self.clients:
            list(retry_waiting(client.session))

    def identify(self):
        client, now = self.random.choice(self.clients), self.platform.now / 1000
        match self.random.randrange(3):
            case 0:
                end_identity(client.session, "revoked", now)
            case 1 if client.session.identity is None:
                identify(client.session, signed(self.random.choice((*USERS, "x"))), now)
            case _ if client.session.identity is not None:
                user = client.session.identity.user
                roles = self.random.choice([(), ("ADMIN",)])
                identify(client.session, signed(user, roles, issued=self.random.choice([T, now])), now)
                ask_again_for_all(client.session)

    def step(self):
        for client in self.clients:
            client.begin()
        actions = [self.write] * 5 + [self.ask] * 3
        actions += [self.unsubscribe, self.slow_down, self.drain, self.read, self.serve, self.identify, self.reconnect]
        self.random.choice(actions)()
        self.note()
        for client in self.clients:
            client.receive()
        self.check()

    def check(self):
        """Nothing is open to who has no right to it."""
        for name in CHANNELS:
            for session in self.platform.identities.directory.sessions_on(name):
                assert self.platform.page.may(session.identity, name)
        for client in self.clients:
            for name in client.reached:
                assert client.may(name)

    def end(self):
        """Let all that is under way come to its end; then nothing is missing."""
        for client in self.clients:
            client.begin()
            for _ in range(3):
                self.platform.finish(client.session)
                if client.session.send_queue.closed is None:
                    break
                client.reconnect()
            client.receive()
            for name, reached in client.reached.items():
                assert reached == len(self.log[name])


@given(st.integers(0, 2**32))
def test_nothing_private_reaches_who_may_not_see_it_and_nothing_is_missing_for_who_may(seed):
    story = Story(seed)
    story.platform.feed.states.written_at_once = 3  # so that snapshots are large, and rendered elsewhere
    for _ in range(100):
        story.step()
    story.end()
