import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.history import HistoryRead
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import Gap, TopicRecreated
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.verdict import Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import Window
from tests.core.events import NOW, Log

TABLES, REVIEWS = parse_channel("restaurant:R:tables"), parse_channel("restaurant:R:reviews")
SECTIONS_AT, TABLES_AT, REVIEWS_AT = (Partition(topic_of(name), 0) for name in ("sections", "tables", "reviews"))


class Instance:
    """An instance whose window holds nothing, or only so many bytes."""

    def __init__(self, log, max_bytes=1):
        self.log = log
        self.feed = log.tell(Feed(Hub(), Window(300, max_bytes), 1.0))

    def says(self, kind, id, **data):
        self.log.tell(self.feed, [self.log.says(kind, id, **data)])

    def past(self, *channels, max_bytes=1 << 20):
        return HistoryRead(channels, self.feed, 1.0, max_bytes)


@pytest.fixture
def instance():
    instance = Instance(Log())
    instance.says("restaurant.created", "R")
    instance.says("section.created", "s", restaurantId="R")
    return instance


def test_what_has_left_the_window_is_read_again(instance):
    position = instance.feed.position(REVIEWS)
    instance.says("review.created", "v1", restaurantId="R")
    instance.says("review.created", "v2", restaurantId="elsewhere")
    instance.says("review.created", "v3", restaurantId="R")
    past = instance.past(REVIEWS)
    assert not past.has_arrived
    assert past.check_position(REVIEWS, position) == Unrecoverable.EXPIRED, "nothing has been read"
    instance.log.tell(past.feed)
    assert past.has_arrived
    verdict = past.check_position(REVIEWS, position)
    assert isinstance(verdict, Recoverable)
    assert past.replay(REVIEWS, verdict.vector).count == 2


def test_it_goes_as_far_as_the_present_was_when_it_began():
    instance = Instance(Log(), max_bytes=600)
    position = instance.feed.position(REVIEWS)
    instance.says("review.created", "v1", restaurantId="R")
    past = instance.past(REVIEWS)
    later = instance.log.says("review.created", "v2", restaurantId="R")
    instance.log.tell(past.feed)
    verdict = past.check_position(REVIEWS, position)
    assert past.replay(REVIEWS, verdict.vector).count == 1, "the second one is read, but is for the window to tell"
    instance.log.tell(instance.feed, [later])
    assert past.replay(REVIEWS, verdict.vector).count == 2


def test_other_channels_wait_for_their_own(instance):
    assert instance.past(REVIEWS).names == {"restaurant:R:reviews"}


def test_the_window_must_take_over_where_it_ends(instance):
    position = instance.feed.position(REVIEWS)
    instance.says("review.created", "v1", restaurantId="R")
    past = instance.past(REVIEWS)
    instance.log.tell(past.feed)
    instance.says("review.created", "v2", restaurantId="R")
    assert past.check_position(REVIEWS, position) == Unrecoverable.EXPIRED


def test_it_keeps_only_so_much(instance):
    position = instance.feed.position(REVIEWS)
    for id in "abc":
        instance.says("review.created", id, restaurantId="R")
    past = instance.past(REVIEWS, max_bytes=500)
    instance.log.tell(past.feed)
    assert past.check_position(REVIEWS, position) == Unrecoverable.EXPIRED


def test_what_the_log_has_lost_of_the_channel_is_expired(instance):
    position = instance.feed.position(REVIEWS)
    for id in "abc":
        instance.says("review.created", id, restaurantId="R")
    past = instance.past(REVIEWS)
    instance.log.begins[REVIEWS_AT] = 1
    instance.log.tell(past.feed)
    assert past.check_position(REVIEWS, position) == Unrecoverable.EXPIRED


def test_what_cannot_be_placed_any_more_was_perhaps_published_when_it_happened(instance):
    instance.says("section.created", "s2", restaurantId="R")
    position = instance.feed.position(TABLES)
    instance.says("table.created", "t", sectionId="s")
    after = instance.feed.position(TABLES)
    instance.says("table.created", "t2", sectionId="s2")
    past = instance.past(TABLES)
    instance.log.begins[SECTIONS_AT] = 1
    instance.log.tell(past.feed)
    assert past.check_position(TABLES, position) == Unrecoverable.EXPIRED, (
        "nobody knows any more that the section s is R's"
    )
    assert isinstance(past.check_position(TABLES, after), Recoverable)


def test_what_was_never_placed_is_no_reason_to_give_up(instance):
    position = instance.feed.position(TABLES)
    instance.says("table.created", "t", sectionId="seeded")
    instance.says("table.created", "t2", sectionId="s")
    past = instance.past(TABLES)
    instance.log.tell(past.feed)
    assert isinstance(past.check_position(TABLES, position), Recoverable)


@pytest.mark.parametrize(
    ("what", "judged"), [("created", Recoverable), ("updated", Unrecoverable), ("status_changed", Unrecoverable)]
)
def test_what_was_before_is_part_of_what_is_replayed(instance, what, judged):
    channel = parse_channel("restaurant:R:reservations")
    instance.says("reservation.created", "r", restaurantId="R", status="PENDING")
    position = instance.feed.position(channel)
    instance.says(f"reservation.{what}", "r", restaurantId="R", status="CONFIRMED")
    past = instance.past(channel)
    instance.log.begins[Partition(topic_of("reservations"), 0)] = 1
    instance.log.tell(past.feed)
    assert isinstance(past.check_position(channel, position), judged)


def test_a_gap_in_the_reading(instance):
    position = instance.feed.position(REVIEWS)
    for id in "abc":
        instance.says("review.created", id, restaurantId="R")
    past = instance.past(REVIEWS)
    past.feed.ingest(instance.log.sources(), NOW)
    past.feed.ingest(Gap(REVIEWS_AT, 0, 2), NOW)
    instance.log.tell(past.feed, instance.log.records[-1:])
    assert past.check_position(REVIEWS, position) == Unrecoverable.EXPIRED


@pytest.mark.parametrize("who", ["both", "present", "past"])
def test_a_topic_that_is_created_again_meanwhile(instance, who):
    position = instance.feed.position(REVIEWS)
    instance.says("review.created", "v1", restaurantId="R")
    past = instance.past(REVIEWS)
    if who != "past":
        instance.feed.ingest(TopicRecreated(REVIEWS_AT.topic, "another"), NOW)
    instance.log.tell(past.feed)
    if who != "present":
        past.feed.ingest(TopicRecreated(REVIEWS_AT.topic, "another"), NOW)
    assert past.check_position(REVIEWS, position) in (Unrecoverable.TOPIC_RECREATED, Unrecoverable.EXPIRED)


def test_a_change_of_parentage_that_the_reading_takes_in_another_order(instance):
    instance.says("section.created", "s2", restaurantId="R2")
    before = instance.feed.position(TABLES)
    table = instance.log.says("table.created", "t", sectionId="s2")
    instance.says("section.updated", "s2", restaurantId="R")
    between = instance.feed.position(TABLES)
    instance.log.tell(instance.feed, [table])
    past = instance.past(TABLES)
    instance.log.tell(past.feed)
    assert isinstance(past.check_position(TABLES, before), Recoverable)
    assert past.check_position(TABLES, between) == Unrecoverable.INCONSISTENT_POSITION


def test_another_channel_joins_from_where_the_reading_stands(instance):
    instance.says("review.created", "v1", restaurantId="R")
    early, late = parse_channel("restaurant:early:reviews"), parse_channel("restaurant:late:reviews")
    places = {early: instance.feed.position(early)}
    instance.says("review.created", "v2", restaurantId="early")
    places[late] = instance.feed.position(late)
    instance.says("review.created", "v3", restaurantId="late")
    past = instance.past(REVIEWS)
    instance.log.tell(past.feed, instance.log.records[:-1])
    assert not past.has_arrived
    assert [past.can_join(channel, places[channel]) for channel in (early, late)] == [False, True]
    past.join(late)
    instance.log.tell(past.feed, instance.log.records[-1:])
    assert past.has_arrived
    assert [past.covers(channel, places[channel]) for channel in (early, late)] == [False, True]
    verdict = past.check_position(late, places[late])
    assert isinstance(verdict, Recoverable)
    assert past.replay(late, verdict.vector).count == 1
    past.join(early)
    assert not past.covers(early, places[early]), "of what was read before, nothing is there"


def test_when_the_window_has_moved_on_meanwhile_reading_goes_on(instance):
    position = instance.feed.position(REVIEWS)
    instance.says("review.created", "v1", restaurantId="R")
    past = instance.past(REVIEWS)
    instance.log.tell(past.feed)
    assert past.is_complete()
    instance.says("review.created", "v2", restaurantId="R")
    assert past.has_arrived
    assert not past.is_complete()
    instance.log.tell(past.feed, instance.log.records[-1:])
    assert past.is_complete()
    verdict = past.check_position(REVIEWS, position)
    assert isinstance(verdict, Recoverable)
    assert past.replay(REVIEWS, verdict.vector).count == 2


def test_what_has_to_be_known_is_weighed(instance):
    for number in range(10):
        instance.says("review.created", f"v{number}", restaurantId="R", comment="x" * 1000)
    past = HistoryRead([REVIEWS], instance.feed, 1.0, 1 << 20, max_state_bytes=20_000)
    instance.log.tell(past.feed)
    assert past.is_too_large
    list(past.discard())
    assert not past.is_too_large
