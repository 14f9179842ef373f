"""What a client missed that is further back than the window."""

from collections import Counter

from mesaya_ws.core.feed.tally import RECOVERED, Tally
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.history import next_history_request, on_history
from tests.support.instance import (
    KEPT,
    RESERVATIONS,
    KeepingWorld,
    ask,
    read_on,
    reservations,
)


def test_client_receives_pending_while_its_history_is_read():
    world = KeepingWorld(max_bytes=500)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(5):
        world.review(number)
    session = world.client(auth=False)
    assert ask(session, channel=KEPT, position=start) == []
    for _ in range(3):
        session.send_pending()
    [answer] = session.send_queue.said()
    assert (answer["type"], answer["channel"]) == ("pending", KEPT)
    assert session.delivery.awaits_history


def test_what_has_left_the_window_is_read_from_the_store_and_then_the_channel_is_live():
    world = KeepingWorld(max_bytes=1200)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(4):
        world.review(number)
    world.commit()
    session = world.client(auth=False)
    assert ask(session, channel=KEPT, position=start) == []
    world.review(4)
    world.read(session)
    answer, *missed = session.send_queue.said()
    assert (answer["recovered"], answer["replayed"]) == (True, 5), answer
    assert world.feed.tally == Tally(Counter({(RECOVERED, "store"): 1}))
    read_on(session)
    missed += session.send_queue.said()
    assert reservations(missed) == [f"v{number}" for number in range(5)]
    world.review(5)
    assert reservations(session.send_queue.said()) == ["v5"]


def test_several_channels_are_read_one_after_the_other():
    world = KeepingWorld(max_bytes=1)
    other = "restaurant:r2:reservations"
    start, start_there = (ask(world.client(auth=False), channel=name)[0]["position"] for name in (KEPT, other))
    world.review(1)
    world.review(2, restaurant="r2")
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    ask(session, channel=other, position=start_there)
    world.read(session)
    world.read(session)
    read_on(session)
    assert reservations(session.send_queue.said()) == ["v1", "v2"]


def test_next_page_is_read_of_the_channel_that_awaits_it_whatever_else_waits():
    world, other = KeepingWorld(max_bytes=1), "restaurant:r2:reservations"
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(3):
        world.review(number, size=40_000)
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=other)
    session.delivery.resync(session.subscriptions[other], Unrecoverable.EXPIRED)
    ask(session, channel=KEPT, position=start)
    world.read(session)
    read_on(session)
    assert [each.channel.name for each in session.delivery.unsettled] == [other, KEPT]
    subscription, request = next_history_request(session.delivery)
    assert (subscription.channel.name, request.channel.name) == (KEPT, KEPT)


def test_a_client_that_leaves_during_a_reading_is_sent_nothing():
    world = KeepingWorld(max_bytes=1)
    session, _ = world.late_client(commits=True)
    subscription, request = next_history_request(session.delivery)
    page = world.page(request)
    ask(session, "unsubscribe", channel=KEPT)
    on_history(session.delivery, subscription, page)
    assert session.send_queue.said() == []
    assert world.feed.hub.subscriptions == 1, "that of the first client"


def test_what_cannot_be_read_has_expired():
    world = KeepingWorld(max_bytes=1)
    session, _ = world.late_client(commits=False)
    subscription, _ = next_history_request(session.delivery)
    on_history(session.delivery, subscription, None)
    answer, snapshot = session.send_queue.said()
    assert (answer["recovered"], answer["reason"], snapshot["type"]) == (False, "expired", "snapshot")


def test_what_is_neither_in_the_store_yet_nor_in_the_window_any_more_has_expired():
    world = KeepingWorld(max_bytes=1)
    session, _ = world.late_client(commits=False)
    world.read(session)
    answer, _ = session.send_queue.said()
    assert (answer["recovered"], answer["reason"]) == (False, "expired")


def test_a_position_before_the_history_has_expired_at_once():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    world.review(1)
    world.commit()
    world.feed.history.raise_floor(RESERVATIONS, 1)
    session = world.client(auth=False)
    answer, _ = ask(session, channel=KEPT, position=start)
    assert (answer["recovered"], answer["reason"]) == (False, "expired")
    assert not session.delivery.awaits_history


def test_gap_while_a_page_is_awaited_is_answered_with_the_snapshot():
    world = KeepingWorld(max_bytes=1)
    start = ask(world.client(auth=False), channel=KEPT)[0]["position"]
    for number in range(3):
        world.review(number, size=40_000)
    world.commit()
    session = world.client(auth=False)
    ask(session, channel=KEPT, position=start)
    world.read(session)
    read_on(session)
    assert reservations(session.send_queue.said()) == ["v0"]
    assert session.delivery.awaits_history
    subscription, request = next_history_request(session.delivery)
    page = world.page(request)
    world.lose()
    on_history(session.delivery, subscription, page)
    assert session.delivery.to_render.name == KEPT
