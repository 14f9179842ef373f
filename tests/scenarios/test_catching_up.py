import orjson

from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Record
from tests.support.instance import CHANNEL, REVIEWS, FakeSendQueue, a_feed
from tests.support.log import NOW


def review(offset, timestamp):
    data = {"id": f"v{offset}", "restaurantId": "r1"}
    value = orjson.dumps({"event_type": "created", "entity_id": data["id"], "data": data})
    return Record(*REVIEWS, offset, timestamp, None, value)


def test_history_older_than_the_window_is_known_but_not_published():
    feed = a_feed(seconds=60)
    feed.ingest(LogMetadata({REVIEWS: OffsetRange(0, 2, "id")}, {REVIEWS: 2}), NOW)
    feed.ingest(Records(REVIEWS, [review(0, NOW - 60_001), review(1, NOW - 60_000)], 0), NOW)
    for _ in feed.process(NOW):
        pass
    assert feed.live
    assert len(feed.window) == 1
    assert feed.window.holds([REVIEWS], {REVIEWS: 1})
    assert not feed.window.holds([REVIEWS], {REVIEWS: 0})


def test_what_is_old_when_it_comes_is_published_all_the_same():
    feed = a_feed(seconds=60)
    feed.ingest(LogMetadata({REVIEWS: OffsetRange(0, 0, "id")}, {REVIEWS: 0}), NOW)
    list(feed.process(NOW))
    send_queue = FakeSendQueue()
    feed.hub.subscribe(CHANNEL, send_queue)
    feed.ingest(Records(REVIEWS, [review(0, NOW - 60_001)], 0), NOW)
    for _ in feed.process(NOW):
        list(feed.hub.fan_out())
    assert [message["data"]["reviewId"] for message in send_queue.said()] == ["v0"]
