"""What is read from the store counts as long as the log has lost nothing, until it is used."""

from functools import partial

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import TopicRecreated, Truncated
from mesaya_ws.core.recovery.notifications import read_notifications
from mesaya_ws.core.recovery.stored import HistoryRequest, read_pages
from mesaya_ws.gateway.store_reads import read_stored
from tests.gateway.test_history import FakeKeeper
from tests.support.instance import KEPT, RESERVATIONS, KeepingWorld
from tests.support.log import NOW

INBOX = parse_channel("user:u1:notifications")


def look_at_inboxes(channels):
    return partial(read_notifications, channels=channels, count=3)


def look_at_pages(channels):
    return partial(read_pages, requests=[HistoryRequest(channel, {}, opens=True) for channel in channels])


def a_world():
    """Return a world whose window keeps nothing, and whose store has what was published."""
    world = KeepingWorld(max_bytes=1)
    for number in range(5):
        world.review(number)
    world.commit()
    return world


@pytest.mark.parametrize("event", [Truncated(RESERVATIONS, 2), TopicRecreated(RESERVATIONS.topic, "another")])
@pytest.mark.parametrize(("channel", "look"), [(INBOX, look_at_inboxes), (parse_channel(KEPT), look_at_pages)])
async def test_what_was_read_is_not_used_after_the_log_has_lost_some_of_it(event, channel, look):
    world = a_world()
    found = await read_stored(FakeKeeper(world), world.feed, [channel], look, lambda *_: True)
    assert found(channel)
    world.feed.ingest(event, NOW)
    world.work()
    assert found(channel) is None


async def test_what_was_read_before_the_log_lost_some_of_it_is_read_again_with_the_rest():
    world = a_world()
    keeper, overtaken = FakeKeeper(world), [INBOX]

    async def lose_and_commit():
        world.feed.ingest(Truncated(RESERVATIONS, 2), NOW)
        world.work()
        overtaken.clear()
        world.commit()

    keeper.commit_now = lose_and_commit
    others = parse_channel("user:u2:notifications")
    found = await read_stored(keeper, world.feed, [others, INBOX], look_at_inboxes, lambda key, _: key not in overtaken)
    assert found(others).cut[RESERVATIONS] == found(INBOX).cut[RESERVATIONS] == 2
