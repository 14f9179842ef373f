import pytest

from mesaya_ws.core.feed.hub import LEAVING, WRITE_BYTES, YIELD_EVERY, Delivered, Hub


class Reader:
    """A subscriber that keeps what it is offered."""

    def __init__(self, viewer=None):
        self.viewer = viewer
        self.writes = []

    def offer(self, data, messages):
        self.writes.append((data, messages))


def test_publications_of_one_gathering_are_joined_for_each_channel():
    hub, first, second = Hub(), Reader(), Reader()
    hub.subscribe("a", first)
    hub.subscribe("a", second)
    hub.subscribe("b", second)
    hub.publish("a", b"1", 10, 1)
    hub.publish("b", b"x", 11, 2)
    hub.publish("a", b"2", 12, 3)
    assert list(hub.fan_out()) == [Delivered(4, 4, 2, [10, 12]), Delivered(1, 1, 1, [11])]
    assert first.writes == [(b"12", 2)]
    assert second.writes == [(b"12", 2), (b"x", 1)]


def test_nobody_listens():
    hub = Hub()
    hub.publish("a", b"1", 0, 1)
    assert list(hub.fan_out()) == []


def test_a_subscription_begins_where_it_is_made():
    hub, early, late = Hub(), Reader(), Reader()
    hub.subscribe("a", early)
    hub.publish("a", b"1", 0, 1)
    hub.subscribe("a", late)
    hub.publish("a", b"2", 0, 2)
    list(hub.fan_out())
    assert early.writes == [(b"12", 2)]
    assert late.writes == []
    hub.publish("a", b"3", 0, 3)
    list(hub.fan_out())
    assert late.writes == [(b"3", 1)]


def test_who_leaves_gets_nothing_more_and_who_comes_back_nothing_old():
    hub, gone, back, stays = Hub(), Reader(), Reader(), Reader()
    for reader in (gone, back, stays):
        hub.subscribe("a", reader)
    hub.publish("a", b"1", 0, 1)
    hub.unsubscribe("a", gone)
    hub.unsubscribe("a", back)
    hub.subscribe("a", back)
    list(hub.fan_out())
    assert (gone.writes, back.writes, stays.writes) == ([], [], [(b"1", 1)])


def test_leaving_in_the_middle_of_a_fan_out():
    hub = Hub()
    readers = [Reader() for _ in range(YIELD_EVERY + 1)]
    for reader in readers:
        hub.subscribe("a", reader)
    hub.publish("a", b"1", 0, 1)
    steps = hub.fan_out()
    assert next(steps) is None
    for reader in readers:
        hub.unsubscribe("a", reader)
    assert list(steps) == [Delivered(YIELD_EVERY, YIELD_EVERY, YIELD_EVERY, [0])]
    assert readers[-1].writes == []
    assert (hub.channels, hub.subscriptions) == (0, 0)


def test_a_large_frame_counts_as_many_writes():
    hub, readers = Hub(), [Reader() for _ in range(6)]
    for reader in readers:
        hub.subscribe("a", reader)
    hub.publish("a", bytes(WRITE_BYTES * YIELD_EVERY // 2), 0, 1)
    steps = hub.fan_out()
    for written in (2, 4, 6):
        assert next(steps) is None
        assert sum(len(reader.writes) for reader in readers) == written
    assert next(steps).subscribers == 6


def test_subscribing_twice_counts_once():
    hub, reader = Hub(), Reader()
    hub.subscribe("a", reader)
    hub.subscribe("a", reader)
    assert (hub.channels, hub.subscriptions) == (1, 1)
    hub.unsubscribe("a", reader)
    hub.unsubscribe("a", reader)
    assert (hub.channels, hub.subscriptions) == (0, 0)


def test_written_during_an_offer_is_the_serial_before_it():
    hub, places = Hub(), []

    class Asking:
        def offer(self, data, messages):
            places.append((data, hub.written("a")))

    hub.subscribe("a", Asking())
    hub.publish("a", b"1", 0, 7)
    hub.publish("b", b"x", 0, 8)
    hub.publish("a", b"2", 0, 9)
    list(hub.fan_out())
    hub.publish("a", b"3", 0, 12)
    list(hub.fan_out())
    assert places == [(b"12", 6), (b"3", 11)]


def test_suspended_subscriber_is_on_its_channel_but_handed_nothing_until_it_subscribes():
    hub, slow = Hub(), Reader()
    hub.subscribe("a", slow)
    hub.publish("a", b"1", 0, 1)
    hub.suspend("a", slow)
    hub.publish("a", b"2", 0, 2)
    list(hub.fan_out())
    assert (slow.writes, hub.subscriptions, hub.channels) == ([], 0, 0)
    assert (hub.has_subscribers("a"), hub.subscribers("a")) == (True, [slow])
    hub.subscribe("a", slow)
    hub.publish("a", b"3", 0, 3)
    list(hub.fan_out())
    assert (slow.writes, hub.subscribers("a")) == ([(b"3", 1)], [slow])


@pytest.mark.parametrize("is_suspended", [True, False])
def test_who_has_left_is_not_on_the_channel_any_more(is_suspended):
    hub, reader = Hub(), Reader()
    (hub.suspend if is_suspended else hub.subscribe)("a", reader)
    hub.unsubscribe("a", reader)
    assert (hub.has_subscribers("a"), hub.subscribers("a")) == (False, [])


def test_viewers_are_whom_subscribers_count_as_but_those_who_are_about_to_leave():
    hub = Hub()
    for number, viewer in enumerate(["u1", None, "u1", LEAVING, "u2"]):
        (hub.suspend if number % 2 else hub.subscribe)("a", Reader(viewer))
    assert sorted(hub.viewers("a"), key=str) == [None, "u1", "u1", "u2"]
    assert hub.viewers("b") == []
