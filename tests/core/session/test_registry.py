"""All sessions of an instance: those that wait for the feed, and those that begin anew."""

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.step_budget import VISITED_AT_ONCE
from tests.support.instance import CHANNEL, REVIEWS, Owner, World, ask


class Instance(World):
    """An instance that does not know yet how far the log has come, and its registry."""

    def __init__(self):
        super().__init__(live=False)
        self.registry = SessionRegistry()
        self.services.wait_for_feed = self.registry.wait_for_feed

    def connect(self):
        owner = Owner(self.client())
        self.registry.add(owner)
        return owner


@pytest.fixture
def instance():
    return Instance()


def kinds(session):
    return [message["type"] for message in session.send_queue.said()]


def test_sessions_that_wait_for_the_feed_are_answered_and_wait_no_more(instance):
    owners = [instance.connect() for _ in range(3)]
    for owner in owners:
        assert ask(owner.session, channel=CHANNEL) == []
    list(instance.registry.retry_waiting())
    assert instance.registry.has_waiting, "the feed has not moved on"
    instance.look()
    instance.work()
    assert len(list(instance.registry.retry_waiting())) == len(owners), "others have their turn after each"
    assert [kinds(owner.session) for owner in owners] == [["subscribed"]] * 3
    assert not instance.registry.has_waiting


def test_many_sessions_for_which_the_feed_has_not_come_far_enough_cost_few_turns(instance):
    instance.look()
    instance.work()
    ahead = World()
    for number in range(3):
        ahead.review(number)
    position = ahead.feed.position(parse_channel(CHANNEL))
    count = 2 * VISITED_AT_ONCE
    for _ in range(count):
        assert ask(instance.connect().session, channel=CHANNEL, position=position) == []
    assert len(list(instance.registry.retry_waiting())) <= count // 10
    for number in range(3):
        instance.review(number)
    assert len(list(instance.registry.retry_waiting())) >= count, "others have their turn after each"
    assert not instance.registry.has_waiting


def test_a_session_that_leaves_is_not_waited_for(instance):
    stays, goes = instance.connect(), instance.connect()
    for owner in (stays, goes):
        ask(owner.session, channel=CHANNEL)
    instance.look()
    instance.work()
    steps = instance.registry.retry_waiting()
    next(steps)
    for owner in (stays, goes):
        owner.session.leave()
        instance.registry.remove(owner)
    assert list(steps) == []
    assert (instance.registry.has_waiting, instance.registry.connections) == (False, set())
    assert sorted(kinds(stays.session) + kinds(goes.session)) == ["subscribed"]


def test_sessions_are_resynced_after_a_gap_in_turns(instance):
    instance.look()
    instance.work()
    owners = [instance.connect() for _ in range(2 * VISITED_AT_ONCE + 4)]
    ask(owners[0].session, channel=CHANNEL)
    ask(owners[1].session, channel="restaurant:r1:menu")
    steps = list(instance.registry.resync([(REVIEWS.topic, Unrecoverable.EXPIRED)]))
    assert len(steps) == 2
    assert instance.services.rendering == [owners[0].session.delivery]
