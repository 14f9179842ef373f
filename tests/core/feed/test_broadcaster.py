from math import inf
from unittest import mock

import orjson
import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed import broadcaster as module
from mesaya_ws.core.feed.broadcaster import Broadcaster
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.wire.frames import payload_of
from tests.support.instance import FakeSendQueue, a_window
from tests.support.log import NOW, TIME

RESTAURANTS = Partition(topic_of("restaurants"), 0)
RECORD = Record(*RESTAURANTS, 6, NOW, None, b"{}")
INFO, LIST = "restaurant:r:info", "global:restaurants"


class PartitionPosition:
    """A publisher that has processed `RECORD`, and a client of two channels."""

    def __init__(self):
        self.cursor, self.window, self.hub = Cursor(), a_window(seconds=inf), Hub()
        self.cursor.found({RESTAURANTS: OffsetRange(0, 9, "id")})
        self.cursor.advance(RESTAURANTS, 7)
        self.publisher = Broadcaster(self.hub, self.window, self.cursor)
        self.client = FakeSendQueue()
        for channel in (INFO, LIST):
            self.hub.subscribe(channel, self.client)

    def publish(self, *messages, are_news=True):
        self.publisher.publish(RECORD, RESTAURANTS, messages, RECORD.timestamp, are_news=are_news)
        list(self.hub.fan_out())

    def kept(self, channel):
        return list(self.window.after(channel, {}))


@pytest.fixture
def place():
    return PartitionPosition()


def messages(data):
    return [Message(channel, "restaurant.created", TIME, data) for channel in (INFO, LIST)]


def test_a_message_bears_the_position_after_its_record(place):
    place.publish(*messages({"restaurantId": "r", "name": "Casa"}))
    for message, name in zip(place.client.said(), (INFO, LIST), strict=True):
        assert message == {
            "type": "restaurant.created",
            "channel": name,
            "position": place.cursor.position(name, parse_channel(name).kind),
            "timestamp": TIME,
            "data": {"restaurantId": "r", "name": "Casa"},
        }


def test_what_is_said_on_several_channels_is_written_once(place):
    with mock.patch.object(module.orjson, "dumps", wraps=orjson.dumps) as dumps:
        place.publish(*messages({"name": "Casa"}))
    assert dumps.call_count == 3


def test_each_channel_gets_its_own_data(place):
    ours, everybodys = messages({"ownerId": "o"})[0], messages({"name": "Casa"})[1]
    place.publish(ours, everybodys)
    assert [message["data"] for message in place.client.said()] == [{"ownerId": "o"}, {"name": "Casa"}]


def test_it_is_kept_as_what_was_made_of_its_record(place):
    place.publish(*messages({}))
    (kept,) = place.kept(INFO)
    assert (kept.partition, kept.offset, kept.made_at) == (RESTAURANTS, 6, NOW)
    assert orjson.loads(payload_of(kept.frame))["channel"] == INFO


def test_history_is_kept_but_not_sent(place):
    place.publish(*messages({}), are_news=False)
    assert place.client.said() == []
    assert len(place.kept(INFO)) == len(place.kept(LIST)) == 1
