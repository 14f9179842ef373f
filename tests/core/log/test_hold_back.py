import pytest

from mesaya_ws.core.log.events import Available, LogMetadata, PollResult, Records, TopicRecreated, Truncated
from mesaya_ws.core.log.hold_back import HoldBack
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble

A, B, C = (Partition(topic, 0) for topic in "abc")


def records(partition, *offsets, lag=0):
    return Records(partition, [Record(*partition, offset, 0, None, b"") for offset in offsets], lag)


def metadata(**lags):
    sources = {Partition(topic, 0): lag for topic, lag in lags.items()}
    return LogMetadata({at: OffsetRange(0, 99, "id") for at in sources}, sources)


def passed(hold_back, event):
    [one] = hold_back.passes(event)
    return one


def test_what_lies_after_the_place_is_held_back_until_all_partitions_have_been_processed_up_to_it():
    hold_back = HoldBack({A: 2, B: 5})
    assert passed(hold_back, metadata(a=4, b=5)).lags == {A: 1, B: 1}
    assert passed(hold_back, records(A, 0, 1, 2, 3)) == records(A, 0, 1)
    assert hold_back.sources == {A}
    assert not hold_back.is_over({A: 2}, {})
    assert passed(hold_back, records(B, 0, 1, lag=3)) == records(B, 0, 1, lag=1)
    assert not hold_back.is_over({A: 2, B: 2}, {B: 1})
    assert passed(hold_back, records(B, 4)) == records(B, 4)
    assert not hold_back.is_over({A: 2, B: 2}, {B: 1}), "it has not been processed"
    assert hold_back.is_over({A: 2, B: 5}, {})
    assert list(hold_back.release()) == [records(A, 2, 3), metadata(a=0, b=0)]


def test_a_partition_that_has_no_place_is_held_back_from_its_beginning():
    hold_back = HoldBack({A: 1})
    assert passed(hold_back, metadata(a=1, c=2)).lags == {A: 1, C: 0}
    assert passed(hold_back, records(C, 0, lag=1)) == records(C)
    assert passed(hold_back, records(A, 0)) == records(A, 0)
    assert hold_back.is_over({A: 1}, {})
    assert list(hold_back.release()) == [records(C, 0, lag=1), metadata(a=0, c=1)]


def test_a_place_whose_last_record_is_gone_is_reached_with_what_comes_after_it_or_at_the_end():
    hold_back = HoldBack({A: 9})
    passed(hold_back, metadata(a=3))
    passed(hold_back, records(A, 3, lag=2))
    assert not hold_back.is_over({A: 4}, {})
    passed(hold_back, records(A, 12, lag=1))
    assert hold_back.is_over({A: 4}, {})
    at_end = HoldBack({A: 9})
    passed(at_end, metadata(a=1))
    passed(at_end, records(A, 3))
    assert not at_end.is_over({A: 3}, {A: 1})
    assert at_end.is_over({A: 4}, {A: 0})


def test_nothing_is_over_before_the_log_was_checked():
    assert not HoldBack({A: 0}).is_over({A: 0}, {})


def test_a_log_of_one_order_is_not_held_back():
    hold_back = HoldBack({A: 2, B: 1})
    batch = Records(None, [Record(*A, 5, 0, None, b"")], 7)
    assert passed(hold_back, LogMetadata({}, {None: 8})).lags == {None: 8}
    assert passed(hold_back, batch) == batch
    assert not hold_back.is_over({A: 1}, {None: 3})
    assert hold_back.is_over({A: 2, B: 1}, {None: 3})
    assert hold_back.is_over({A: 1}, {None: 0}), "there is no more"


def test_what_comes_at_once_passes_at_once():
    hold_back = HoldBack({A: 1, B: 1})
    event = PollResult([records(A, 0, 1), records(B, 0)])
    assert passed(hold_back, event) == PollResult([records(A, 0), records(B, 0)])
    assert passed(hold_back, Available()) == Available()


@pytest.mark.parametrize(
    "event",
    [
        TopicRecreated("a", "other"),
        Truncated(A, 1),
        LogMetadata({}, {}, None, [Trouble("a", 0, Hindrance.BLOCKED, 0, "why", 3)]),
    ],
)
def test_a_place_that_cannot_be_reached_holds_nothing_back(event):
    hold_back = HoldBack({A: 5})
    passed(hold_back, event)
    assert hold_back.is_broken
    assert hold_back.is_over({}, {})
