"""States that are written for several clients, while the log goes on."""

import weakref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.feed.shared_snapshots import NEW, SharedSnapshots
from mesaya_ws.core.wire.frames import FRAGMENT_BYTES
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from tests.support.instance import CHANNEL, World, ask, read_on, reviews

OTHER = "restaurant:r2:reviews"


class Instance(World):
    """An instance with a scribe, and two restaurants of which each has three reviews."""

    def __init__(self):
        super().__init__()
        self.feed.states.written_at_once = 1  # two are many
        self.written = []
        self.renderer = SnapshotRenderer(self.feed, SharedSnapshots(1 << 20))
        self.services.render_snapshot = self.renderer.request
        for number in range(3):
            self.review(number)
            self.review(f"-other-{number}", restaurant="r2")
        snapshot = self.feed.states.snapshot

        def note(channel):
            self.written.append(channel.name)
            return snapshot(channel)

        self.feed.states.snapshot = note

    def asks(self, *channels):
        """Return the session of a client that waits for the state of channels."""
        session = self.client()
        for channel in channels:
            assert ask(session, channel=channel, snapshot=True) == []
        self.written.clear()
        return session

    async def until_one_is_being_written(self):
        while not self.written:
            await trio.lowlevel.checkpoint()


@pytest.fixture
async def instance(nursery):
    instance = Instance()
    nursery.start_soon(instance.renderer.run)
    await wait_all_tasks_blocked()
    return instance


def answered(session):
    """Return the reviews of a state that came as an answer, and those that came after it."""
    answer, snapshot, *events = session.send_queue.said()
    assert (answer["type"], answer["position"]) == ("subscribed", snapshot["position"])
    return [review["reviewId"] for review in snapshot["data"]["reviews"]], reviews(events)


async def test_a_state_is_written_and_then_the_client_is_live(instance, mock_clock):
    session = instance.asks(CHANNEL)
    await wait_all_tasks_blocked()
    assert answered(session) == (["v0", "v1", "v2"], [])
    instance.review(3)
    assert reviews(session.send_queue.said()) == ["v3"]


def test_client_that_has_gone_is_forgotten():
    """Without a cycle, and without waiting for the turn of the delivery."""
    instance = Instance()
    gone = weakref.ref(instance.asks(CHANNEL).delivery)
    instance.sessions.pop().leave()
    assert gone() is None


async def test_what_is_published_while_it_is_written_comes_after_it(instance, mock_clock):
    session = instance.asks(CHANNEL)
    published = 3
    while not session.send_queue.frames:
        await trio.lowlevel.checkpoint()
        instance.review(published)
        published += 1
    await wait_all_tasks_blocked()
    state, events = answered(session)
    assert state + events == [f"v{number}" for number in range(published)]
    assert len(state) >= 3
    assert len(events) >= 2


async def test_a_state_is_written_when_the_record_that_is_being_published_has_ended(instance, mock_clock):
    session, leftovers = instance.asks(CHANNEL), instance.feed.progress.leftovers
    leftovers.append(iter(()))
    for _ in range(20):  # turns, in each of which the renderer looks
        await trio.lowlevel.checkpoint()
    assert instance.written == []
    leftovers.clear()
    await wait_all_tasks_blocked()
    assert answered(session) == (["v0", "v1", "v2"], [])


async def test_who_wants_the_same_at_the_same_time_shares_it(instance, mock_clock):
    sessions = [instance.asks(CHANNEL) for _ in range(3)]
    await wait_all_tasks_blocked()
    assert [answered(session) for session in sessions] == [(["v0", "v1", "v2"], [])] * 3
    assert instance.written == [CHANNEL]


async def test_one_client_may_wait_for_several(instance, mock_clock):
    session = instance.asks(CHANNEL, OTHER)
    await wait_all_tasks_blocked()
    said = session.send_queue.said()
    assert [(message["type"], message["channel"]) for message in said] == [
        ("subscribed", CHANNEL),
        ("snapshot", CHANNEL),
        ("subscribed", OTHER),
        ("snapshot", OTHER),
    ]


async def test_who_left_or_asked_for_something_else_receives_nothing(instance, mock_clock):
    gone, changed = instance.asks(CHANNEL), instance.asks(CHANNEL)
    await instance.until_one_is_being_written()
    gone.leave()
    assert [message["type"] for message in ask(changed, "unsubscribe", channel=CHANNEL)] == ["unsubscribed"]
    await wait_all_tasks_blocked()
    assert gone.send_queue.said() == changed.send_queue.said() == []


async def test_who_lags_meanwhile_receives_it_when_it_has_caught_up(instance, mock_clock):
    session = instance.asks(CHANNEL)
    await instance.until_one_is_being_written()
    session.send_queue.backlogged = True
    await wait_all_tasks_blocked()
    assert session.send_queue.said() == []
    assert session.delivery.to_render is None
    instance.review(3)
    read_on(session)
    await wait_all_tasks_blocked()
    assert answered(session) == (["v0", "v1", "v2", "v3"], [])


async def test_when_the_window_has_moved_on_meanwhile_it_is_written_anew(instance, mock_clock):
    session = instance.asks(CHANNEL)
    await instance.until_one_is_being_written()
    instance.review(3)
    instance.review("-large", restaurant="r2", size=1 << 20)  # for which the others give way
    await wait_all_tasks_blocked()
    assert answered(session) == (["v0", "v1", "v2", "v3"], [])


async def test_who_asks_soon_after_gets_the_same_state_and_what_came_after_it(instance, mock_clock):
    instance.review("-large", size=FRAGMENT_BYTES)
    first = instance.asks(CHANNEL)
    await wait_all_tasks_blocked()
    instance.review(3)
    second = instance.asks(CHANNEL)
    await wait_all_tasks_blocked()
    assert instance.written == []
    assert answered(first) == (["v0", "v1", "v2", "v-large"], ["v3"])
    assert answered(second) == (["v0", "v1", "v2", "v-large"], ["v3"])


async def test_a_state_is_written_anew_when_it_is_not_new_any_more(instance, mock_clock):
    instance.review("-large", size=FRAGMENT_BYTES)
    first = instance.asks(CHANNEL)
    await wait_all_tasks_blocked()
    mock_clock.jump(NEW + 1)
    instance.review(3)
    second = instance.asks(CHANNEL)
    await wait_all_tasks_blocked()
    assert instance.written == [CHANNEL]
    assert answered(first) == (["v0", "v1", "v2", "v-large"], ["v3"])
    assert answered(second) == (["v0", "v1", "v2", "v-large", "v3"], [])


class SlowFeed:
    """A feed of which every step of writing a state takes `step` seconds; `begun` says when each was begun."""

    is_mid_record = False

    def __init__(self, feed, clock, step):
        self.window = feed.window
        self.states = self
        self.begun = []
        self._feed, self._clock, self._step = feed, clock, step

    def reads_notifications(self, channel):
        return False

    def snapshot(self, channel):
        self.begun.append(trio.current_time())
        snapshot = self._feed.states.snapshot(channel)
        write = snapshot.write

        def slowly():
            for _ in write():
                self._clock.jump(self._step)
                yield

        snapshot.write = slowly
        return snapshot


async def test_writing_states_takes_no_more_than_its_share_of_the_time(autojump_clock):
    world, count = World(), 20
    world.feed.states.written_at_once = 1
    feed = SlowFeed(world.feed, autojump_clock, step=0.010)
    renderer = SnapshotRenderer(feed, SharedSnapshots(1 << 20), share=0.25)
    world.services.render_snapshot = renderer.request
    session = world.client(most=count)
    for number in range(count):
        for review in range(3):
            world.review(f"{number}-{review}", restaurant=f"r{number}")
        ask(session, channel=f"restaurant:r{number}:reviews", snapshot=True)
    with trio.move_on_after(3600):
        await renderer.run()
    steps = 1 + 3 + 1 + 1  # the name of the list, the reviews, the two ends
    assert len(feed.begun) == count
    assert feed.begun[-1] - feed.begun[0] == pytest.approx((count - 1) * steps * 0.010 / 0.25, rel=0.01)
