from unittest import mock

from mesaya_ws.core.feed import intake
from mesaya_ws.core.feed.intake import DECODED_EARLY, gap_item, items_of, new_merge
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.log.events import Gap
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.position import Cursor
from tests.support.log import record

REVIEWS = Partition(topic_of("reviews"), 0)


def test_only_large_records_are_decoded_before_their_turn():
    small, large = record("review.created", "v"), record("review.created", "w", comment="x" * DECODED_EARLY)
    (first, undecoded), (second, decoded) = items_of([small, large])
    assert (first, undecoded, second) == (small, None, large)
    assert isinstance(decoded, Event)
    with mock.patch.object(intake, "decode", side_effect=AssertionError):
        assert items_of([small]) == [(small, None)]


def test_a_gap_comes_after_what_came_before_it():
    merge = new_merge(Known(Cursor()), 1000, 10, 1 << 20)
    before, after = (record("review.created", id, offset=offset) for id, offset in (("v", 0), ("w", 5)))
    merge.push(REVIEWS, items_of([before]), 0, 0)
    gap = Gap(REVIEWS, 1, 5)
    merge.push_marker(*gap_item(gap), 0)
    merge.push(REVIEWS, items_of([after]), 0, 0)
    taken = [(item[0].offset, item[1] if isinstance(item[1], Gap) else item[1].id) for item in merge.take(0)]
    assert taken == [(0, "v"), (4, gap), (5, "w")]
