from mesaya_ws.core.feed.feed import PROCESS_BATCH
from mesaya_ws.core.feed.history_feed import HistoryFeed
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from tests.core.events import NOW, Log

SECTIONS, REVIEWS = Partition(topic_of("sections"), 0), Partition(topic_of("reviews"), 0)
PLAN, OPINIONS, INFO = "restaurant:R:tables", "restaurant:R:reviews", "restaurant:R:info"


def published(feed):
    return [channel for channel, _ in feed.window._order]


def test_history_of_some_channels_publishes_nothing_else():
    log = Log()
    log.says("restaurant.created", "R")
    log.says("section.created", "s", restaurantId="R")
    log.says("review.created", "v", restaurantId="R")
    assert published(log.tell(HistoryFeed([OPINIONS, INFO], 1.0, 1 << 20))) == [INFO, OPINIONS]


def test_history_with_lost_records_vouches_only_for_entities_that_it_knows():
    log = Log()
    log.begins[SECTIONS] = 1
    log.says("section.created", "lost", restaurantId="R")
    log.says("section.created", "s", restaurantId="R")
    feed = log.tell(HistoryFeed([PLAN], 1.0, 1 << 20))
    assert not feed.window.is_before_floor(SECTIONS, 1), "a new one is the same for everybody"
    log.tell(feed, [log.says("section.updated", "s", restaurantId="R")])
    assert not feed.window.is_before_floor(SECTIONS, 2)
    log.tell(feed, [log.says("section.updated", "lost", restaurantId="R")])
    assert feed.window.is_before_floor(SECTIONS, 3), "others may have received something else"
    assert len(published(feed)) == 3


def test_history_that_needs_to_know_too_much_goes_no_further():
    log = Log()
    reviews = [
        log.says("review.created", f"v{n}", restaurantId="R", comment="x" * 100) for n in range(3 * PROCESS_BATCH)
    ]
    feed = HistoryFeed([OPINIONS], 1.0, 1 << 20, max_state_bytes=1000)
    feed.ingest(LogMetadata({REVIEWS: OffsetRange(0, len(reviews), "id")}, {REVIEWS: 0}), NOW)
    feed.ingest(Records(REVIEWS, reviews, 0), NOW)
    assert not feed.is_too_large
    list(feed.process(NOW))
    assert feed.is_too_large
    assert feed.cursor.next[REVIEWS] == PROCESS_BATCH, "up to the end of the step"
    list(feed.discard())
    assert not feed.is_too_large
