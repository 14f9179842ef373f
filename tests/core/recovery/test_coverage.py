from math import inf

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from tests.support.instance import a_window

TABLES, SECTIONS, REVIEWS = (Partition(topic_of(domain), 0) for domain in ("tables", "sections", "reviews"))
PLAN, OPINIONS = parse_channel("restaurant:r:tables"), parse_channel("restaurant:r:reviews")


class Instance:
    """What an instance covers that has looked at a log of such `begins` and `ends`."""

    def __init__(self, begins=None, max_bytes=1 << 20, **ends):
        self.cursor, self.window = Cursor(), a_window(seconds=inf, max_bytes=max_bytes)
        self.coverage = Coverage(self.cursor, self.window)
        self.look(begins, **ends)

    def look(self, begins=None, ids=None, troubles=(), **ends):
        extents = {
            Partition(topic_of(domain), 0): OffsetRange(
                (begins or {}).get(domain, 0), end, (ids or {}).get(domain, "id")
            )
            for domain, end in ends.items()
        }
        self.coverage.refreshed(extents, troubles)

    def take(self, partition, offset, channel=OPINIONS):
        self.cursor.advance(partition, offset + 1)
        self.window.add(channel.name, partition, offset, 0, b"frame")

    def position(self, channel):
        return self.cursor.position(channel.name, channel.kind)

    def check(self, channel, position):
        return self.coverage.check(channel, position)


def test_what_was_missed_is_at_hand_or_has_gone_or_was_never_here():
    whole, short, lagging = Instance(reviews=1), Instance(reviews=1, max_bytes=0), Instance(reviews=1)
    start = whole.position(OPINIONS)
    for each in (whole, short):
        each.take(REVIEWS, 0)
    end = whole.position(OPINIONS)
    assert whole.check(OPINIONS, start) == Recoverable({REVIEWS: 0})
    assert whole.check(OPINIONS, end) == Recoverable({REVIEWS: 1})
    assert short.check(OPINIONS, start) == NeedsHistory({REVIEWS: 0})
    ahead = lagging.check(OPINIONS, end)
    assert ahead == NotReached({REVIEWS: 1}, REVIEWS, 1)
    assert not ahead.is_passed(lagging.cursor)
    assert ahead.is_passed(whole.cursor)


@pytest.mark.parametrize(("channel", "position"), [(OPINIONS, ""), (OPINIONS, "é"), (PLAN, None)])
def test_what_is_no_place_of_the_channel_is_damaged(channel, position):
    instance = Instance(reviews=0, tables=0)
    assert (
        instance.check(channel, instance.position(OPINIONS) if position is None else position)
        == Unrecoverable.INVALID_POSITION
    )


def test_across_a_change_of_what_belongs_together_only_a_clean_cut_is_sure():
    here, there = Instance(tables=1, sections=1), Instance(tables=1, sections=1)
    start = here.position(PLAN)
    here.cursor.advance(SECTIONS, 1)
    between = here.position(PLAN)
    there.cursor.advance(TABLES, 1)
    there.cursor.advance(SECTIONS, 1)
    there.coverage.reparented(PLAN, SECTIONS)
    assert there.check(PLAN, start) == Recoverable({TABLES: 0, SECTIONS: 0})
    assert there.check(PLAN, between) == Unrecoverable.INCONSISTENT_POSITION
    assert not there.coverage.holds(PLAN, {TABLES: 0, SECTIONS: 1})
    assert there.coverage.in_window(PLAN, {TABLES: 0, SECTIONS: 1})
    assert there.coverage.holds(PLAN, {TABLES: 1, SECTIONS: 1})


def test_how_far_the_log_reaches():
    coverage = Instance({"tables": 3}, tables=9, sections=0).coverage
    assert coverage.reaches({TABLES: 9, SECTIONS: 0})
    assert not coverage.reaches({TABLES: 10})
    assert not coverage.reaches({REVIEWS: 0}), "of what is not there it cannot be said"


def test_each_refresh_counts_and_replaces_what_was_known():
    instance = Instance(tables=1)
    instance.look(tables=5)
    assert instance.coverage.refreshes == 2
    assert instance.coverage.reaches({TABLES: 5})
    assert instance.cursor.next == {TABLES: 0}


def test_records_gone_at_the_first_refresh_are_not_in_the_window():
    instance = Instance({"tables": 3}, tables=3, sections=3)
    assert instance.cursor.next == {TABLES: 3, SECTIONS: 0}
    assert not instance.coverage.has_all_of([TABLES.topic])
    assert instance.coverage.has_all_of([SECTIONS.topic])
    assert not instance.coverage.in_window(PLAN, {TABLES: 2})
    assert instance.coverage.in_window(PLAN, {TABLES: 3})


def test_what_retention_takes_of_what_was_read_is_known():
    instance = Instance(tables=3)
    instance.look({"tables": 3}, tables=3)
    assert instance.coverage.has_all_of([TABLES.topic])


def test_across_a_gap_nobody_goes_on():
    instance = Instance(reviews=5)
    start, epoch = instance.position(OPINIONS), instance.window.epoch
    instance.coverage.skip(Gap(REVIEWS, 0, 3))
    assert instance.cursor.next == {REVIEWS: 3}
    assert instance.window.epoch == epoch + 1
    assert isinstance(instance.check(OPINIONS, start), NeedsHistory)
    assert isinstance(instance.check(OPINIONS, instance.position(OPINIONS)), Recoverable)
    assert not instance.coverage.has_all_of([REVIEWS.topic])


def test_a_topic_that_is_created_again_begins_anew():
    instance = Instance(reviews=1, tables=1)
    instance.take(REVIEWS, 0)
    instance.take(TABLES, 0, PLAN)
    before = instance.position(OPINIONS)
    instance.coverage.replaced(REVIEWS.topic, "another")
    assert instance.cursor.next == {TABLES: 1}
    assert instance.check(OPINIONS, before) == Unrecoverable.TOPIC_RECREATED
    instance.look(ids={"reviews": "another"}, reviews=0, tables=1)
    assert isinstance(instance.check(OPINIONS, instance.position(OPINIONS)), Recoverable)
    assert list(instance.window.after(OPINIONS.name, {})) == []
    assert len(list(instance.window.after(PLAN.name, {}))) == 1


def test_whoever_begins_at_a_cut_is_where_it_was_made_and_has_nothing_at_hand():
    former = Instance({"tables": 2}, tables=4, reviews=1)
    former.take(REVIEWS, 0)
    cut = former.coverage.cut(7)
    assert (cut.time, cut.unread) == (7, {TABLES.topic})
    cursor, window = Cursor(), a_window(seconds=inf)
    coverage = Coverage(cursor, window)
    coverage.begin(cut)
    assert coverage.cut(7) == cut
    assert cursor.next == {TABLES: 2, REVIEWS: 1}
    assert not coverage.has_all_of([TABLES.topic])
    assert coverage.check(OPINIONS, former.position(OPINIONS)) == Recoverable({REVIEWS: 1})
    assert not coverage.in_window(OPINIONS, {REVIEWS: 0})


def trouble(partition, kind, withheld=0):
    return Trouble(partition.topic, partition.number, kind, 0, "why", withheld)


def test_what_is_not_known_now_is_as_it_was_and_may_reach_anywhere():
    instance = Instance(reviews=5, tables=3)
    instance.look(tables=3, troubles=[trouble(REVIEWS, Hindrance.UNKNOWN)])
    assert REVIEWS in instance.coverage.unseen
    assert instance.coverage.reaches({REVIEWS: 5})
    assert instance.coverage.reaches({REVIEWS: 500}), "who comes from there may be right"
    assert not instance.coverage.reaches({TABLES: 4})
    instance.look(tables=3, reviews=5)
    assert REVIEWS not in instance.coverage.unseen
    assert not instance.coverage.reaches({REVIEWS: 500})


def test_what_is_not_there_does_not_reach_anywhere():
    instance = Instance(reviews=5, tables=3)
    instance.look(tables=3, troubles=[Trouble(REVIEWS.topic, None, Hindrance.ABSENT, 0, "why")])
    assert not instance.coverage.unseen
    assert not instance.coverage.reaches({REVIEWS: 5})


def test_what_may_not_be_read_is_not_waited_for():
    instance = Instance(reviews=5)
    instance.look(reviews=5, troubles=[trouble(REVIEWS, Hindrance.REFUSED, withheld=5)])
    assert not instance.coverage.unseen
    assert not instance.coverage.reaches({REVIEWS: 1})
    assert instance.coverage.reaches({REVIEWS: 0})


def test_partition_with_another_end_has_been_seen():
    instance = Instance()
    instance.look(reviews=5, troubles=[trouble(REVIEWS, Hindrance.UNKNOWN)])
    assert not instance.coverage.unseen
    assert instance.coverage.reaches({REVIEWS: 6}), "that is not the whole truth, though"


@pytest.mark.parametrize(
    ("kind", "withheld", "has_all"),
    [
        (Hindrance.UNKNOWN, 0, True),
        (Hindrance.UNKNOWN, 1, False),
        (Hindrance.REFUSED, 0, True),
        (Hindrance.REFUSED, 1, False),
        (Hindrance.BLOCKED, 1, True),
    ],
)
def test_a_state_is_whole_as_long_as_nothing_is_withheld(kind, withheld, has_all):
    instance = Instance(reviews=5)
    instance.look(reviews=5, troubles=[trouble(REVIEWS, kind, withheld)])
    assert instance.coverage.has_all_of([REVIEWS.topic]) == has_all
    instance.look(reviews=5)
    assert instance.coverage.has_all_of([REVIEWS.topic])


@pytest.mark.parametrize("number", [0, None])
def test_of_what_was_never_seen_nothing_is_whole(number):
    instance = Instance()
    instance.look(tables=3, troubles=[Trouble(REVIEWS.topic, number, Hindrance.REFUSED, 0, "why")])
    assert not instance.coverage.has_all_of([REVIEWS.topic])
    assert instance.coverage.has_all_of([TABLES.topic])


@pytest.mark.slow
def test_refresh_with_many_partitions_in_trouble_is_short():
    troubles = [Trouble(REVIEWS.topic, number, Hindrance.UNKNOWN, 0, "why") for number in range(20_000)]
    coverage = Instance().coverage
    extents = {Partition(TABLES.topic, number): OffsetRange(0, 1, "id") for number in range(20_000)}
    coverage.refreshed(extents, troubles)
    assert Partition(REVIEWS.topic, 19_999) in coverage.unseen
