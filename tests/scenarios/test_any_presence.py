"""Whatever clients and processes do: no number is wrong for longer than 20 s, and there are few messages."""

from itertools import pairwise

from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence import DROPPED_AFTER
from tests.support.presence import SharedLog, sent

CHANNELS = ("restaurant:r1:tables", "restaurant:r1:chat:u1")
TABLES, CHAT = CHANNELS
STEP, WRONG_FOR = 500, 20_000

HOW_LONG = st.integers(0, 8) | st.integers(8, 60)
STEPS = st.one_of(
    st.tuples(
        st.just("come"),
        st.integers(0, 2),
        st.sampled_from(CHANNELS),
        st.sampled_from([None, "u1", "u2"]),
        st.booleans(),
    ),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("kill"), st.integers(0, 2)),
    st.tuples(st.just("restart"), st.integers(0, 2)),
    st.tuples(st.just("outage"), st.integers(1, 60)),
    st.tuples(st.just("late"), st.integers(0, 30)),
    st.tuples(st.just("clock"), st.integers(-3_600_000, 3_600_000)),
)


@define
class Client:
    session: object
    channel: str
    user: str | None
    asks: bool
    process: object
    since: int
    received: object = None
    wrong_since: int | None = None
    messages: int = 0
    sent_at: list = field(factory=list)


class World:
    """Three processes with clocks of their own, and the truth about who is where."""

    def __init__(self, offsets):
        self.log = SharedLog()
        self.offsets = offsets
        self.places = [self.log.process(offset=offset) for offset in offsets]
        self.clients = []
        self.truth = {}
        self.changed_at = dict.fromkeys(CHANNELS, 0)

    def come(self, place, channel, user, asks):
        process = self.places[place]
        session = process.viewer(channel, user, asks=asks)
        self.clients.append(Client(session, channel, user, asks, process, self.log.now))

    def leave(self, number):
        if self.clients:
            self.clients.pop(number % len(self.clients)).session.leave()

    def kill(self, place, *, in_order=False):
        """End a process; its clients come to the next one."""
        process = self.places[place]
        gone = [client for client in self.clients if client.process is process]
        self.clients = [client for client in self.clients if client.process is not process]
        if in_order:
            for client in gone:
                client.session.leave()
            process.end()
        else:
            self.log.kill(process)
        self.places[place] = self.log.process(offset=self.offsets[place] + 7)
        for client in gone:
            # Each time counts anew: until a dead one is known to be, its clients count twice.
            self.changed_at[client.channel] = self.log.now
            self.come((place + 1) % 3, client.channel, client.user, client.asks)

    def late(self, ago):
        """Append a record again that was appended some records ago, and 10 s at most: it was not acknowledged."""
        recent = [record for record, at in self.log.appended if at >= self.log.now - 10_000]
        if recent:
            self.log.append([recent[max(0, len(recent) - 1 - ago)]])

    def passes(self, steps):
        for _ in range(steps):
            self.log.passes(STEP)
            self.check()

    def outage(self, steps):
        """Let the log be away for all; then all counts anew."""
        for process in self.places:
            process.is_up = False
        for _ in range(steps):
            self.log.passes(STEP)
            self.receive()
        for process in self.places:
            process.is_up = True
        self.changed_at = dict.fromkeys(CHANNELS, self.log.now)

    def receive(self):
        """Have all clients take what they were sent."""
        for client in self.clients:
            said = sent(client.session, client.channel)
            client.sent_at += [self.log.now] * len(said)
            assert client.asks or not said
            client.received = said[-1] if said else client.received

    def check(self):
        now = self.log.now
        for channel in CHANNELS:
            there = [client.user for client in self.clients if client.channel == channel]
            users = set(there) - {None}
            truth = len(users) + there.count(None)
            if channel == CHAT:
                truth = {"guest" if user == "u1" else "restaurant" for user in users}
            if self.truth.get(channel) != truth:
                self.truth[channel], self.changed_at[channel] = truth, now
        self.receive()
        for client in self.clients:
            if not client.asks:
                continue
            wrong_for = now - max(client.since, self.changed_at[client.channel])
            assert client.received == self.truth[client.channel] or wrong_for < WRONG_FOR, (wrong_for, self.truth)


@settings(max_examples=150, deadline=None)
@example(
    [
        (0, ("come", 1, TABLES, None, True)),
        (2, ("come", 1, TABLES, None, True)),
        (1, ("come", 0, TABLES, None, False)),
    ],
    (0, 0, 0),
)
@given(st.lists(st.tuples(HOW_LONG, STEPS), max_size=14), st.tuples(*[st.integers(0, 10**9)] * 3))
def test_no_number_is_wrong_for_longer_than_twenty_seconds(steps, offsets):
    world = World(offsets)
    for wait, (what, *how) in steps:
        world.passes(wait)
        match what:
            case "restart":
                world.kill(how[0], in_order=True)
            case "clock":
                world.log.skew = how[0]
            case _:
                getattr(world, what)(*how)
    world.passes(WRONG_FOR // STEP + 2)
    levels = {
        channel: {process.presence.level(channel) for process in world.places if process.next} for channel in CHANNELS
    }
    if world.log.records:
        asked = {client.channel for client in world.clients if client.asks}
        assert all(len(levels[channel]) <= 1 for channel in asked), "all processes know the same"
    for client in world.clients:
        moments = client.sent_at
        assert all(later - earlier >= 2_000 - STEP for earlier, later in pairwise(moments))
    assert DROPPED_AFTER < WRONG_FOR
