import weakref

import trio

from mesaya_ws.core.feed.shared_snapshots import SharedSnapshots
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.views.contents import SnapshotRules
from mesaya_ws.gateway.notifications import BATCH, NotificationsRenderer
from tests.gateway.test_history import FakeKeeper
from tests.support.instance import KeepingWorld, a_feed, ask, read_on
from tests.timing import PATIENCE

INBOX = "user:u1:notifications"
SHOWN = 3


class InboxWorld(KeepingWorld):
    """A world whose snapshots of notifications have three events."""

    def new_feed(self, **window):
        return a_feed(**window, retention=Retention(self.hours, 1 << 30), rules=SnapshotRules(inbox_events=SHOWN))


class Notifications:
    """A world whose window keeps nothing, with `count` notifications of a user in its store."""

    def __init__(self, nursery, count, **options):
        self.world = InboxWorld(**{"max_bytes": 1} | options)
        self.keeper = FakeKeeper(self.world)
        self.renderer = NotificationsRenderer(self.keeper, self.world.feed, SharedSnapshots(1 << 20))
        self.world.services.render_snapshot = self.renderer.request
        for number in range(count):
            self.world.review(number)
        self.world.commit()
        nursery.start_soon(self.renderer.run)

    def asks(self):
        session = self.world.client(auth=False)
        assert ask(session, channel=INBOX, snapshot=True) == []
        return session

    async def answer(self, session):
        with trio.fail_after(PATIENCE):
            while session.delivery.unsettled:
                read_on(session)
                await trio.lowlevel.checkpoint()
        return session.send_queue.said()

    async def shown(self):
        """Return what a client is shown: its answer, the ids of the notifications, and the snapshot itself."""
        answer, snapshot, *events = await self.answer(self.asks())
        assert answer["type"] == "subscribed"
        assert events == []
        return [event["data"]["reservationId"] for event in snapshot["data"]["events"]], snapshot


async def test_latest_notifications_are_read_from_the_store(nursery):
    notifications = Notifications(nursery, 5)
    ids, snapshot = await notifications.shown()
    assert ids == ["v2", "v3", "v4"]
    assert snapshot["data"]["more"] is True
    nursery.cancel_scope.cancel()


async def test_fewer_notifications_than_are_shown_are_all_there_are(nursery):
    notifications = Notifications(nursery, 2)
    ids, snapshot = await notifications.shown()
    assert ids == ["v0", "v1"]
    assert snapshot["data"]["more"] is False
    nursery.cancel_scope.cancel()


async def test_what_was_published_after_the_store_was_written_comes_once(nursery):
    notifications = Notifications(nursery, 5)
    notifications.world.review(5)
    session = notifications.asks()
    notifications.world.review(6)
    _, snapshot = await notifications.answer(session)
    assert [event["data"]["reservationId"] for event in snapshot["data"]["events"]] == ["v4", "v5", "v6"]
    assert notifications.keeper.commits == 1, "the window had lost what was not written"
    notifications.world.review(7)
    [event] = session.send_queue.said()
    assert event["data"]["reservationId"] == "v7"
    nursery.cancel_scope.cancel()


async def test_inboxes_of_many_clients_are_read_together(nursery):
    notifications = Notifications(nursery, 5)
    sessions = [notifications.asks() for _ in range(2 * BATCH)]
    for session in sessions:
        _, snapshot = await notifications.answer(session)
        assert len(snapshot["data"]["events"]) == SHOWN
    assert notifications.keeper.reads == 2
    nursery.cancel_scope.cancel()


async def test_store_that_cannot_be_read_leaves_the_window_which_says_so(nursery):
    notifications = Notifications(nursery, 5)
    notifications.keeper.is_broken = notifications.keeper.is_failing = True
    ids, snapshot = await notifications.shown()
    assert ids == []
    assert (snapshot["complete"], snapshot["data"]["more"]) == (False, False)
    nursery.cancel_scope.cancel()


async def test_window_that_has_all_of_the_log_is_enough(nursery):
    notifications = Notifications(nursery, 2, max_bytes=1 << 20)
    session = notifications.world.client(auth=False)
    _, snapshot = ask(session, channel=INBOX, snapshot=True)
    assert (snapshot["complete"], len(snapshot["data"]["events"]), snapshot["data"]["more"]) == (True, 2, False)
    assert notifications.keeper.reads == 0
    nursery.cancel_scope.cancel()


async def test_store_of_a_log_that_began_anew_meanwhile_is_not_read(nursery):
    """While what the window has lost is being committed, the log may lose something: the store is of another one."""
    notifications = Notifications(nursery, 5)
    history, read, anew = notifications.world.feed.history, notifications.keeper.read, []

    async def commit_and_restart():
        notifications.world.commit()
        history.restart()
        await trio.lowlevel.checkpoint()

    async def note(look):
        anew.append(history.anew)
        return await read(look)

    notifications.keeper.commit_now, notifications.keeper.read = commit_and_restart, note
    notifications.world.review(5)
    session = notifications.asks()
    notifications.world.review(6)
    await notifications.answer(session)
    assert anew == [False]
    nursery.cancel_scope.cancel()


async def test_client_that_has_gone_is_forgotten(nursery):
    """Without a cycle, and without waiting for the turn of the delivery."""
    notifications = Notifications(nursery, 5)
    gone = weakref.ref(notifications.asks().delivery)
    notifications.world.sessions.pop().leave()
    assert gone() is None
    nursery.cancel_scope.cancel()


async def test_delivery_that_waits_for_something_else_by_now_is_passed_on(nursery):
    notifications = Notifications(nursery, 5)
    passed = []
    notifications.world.services.render_snapshot = passed.append
    session = notifications.asks()
    [delivery] = passed
    notifications.renderer.request(delivery)
    notifications.world.review(5)
    ask(session, "unsubscribe", channel=INBOX)
    await trio.testing.wait_all_tasks_blocked()
    assert notifications.keeper.reads == 0
    nursery.cancel_scope.cancel()
