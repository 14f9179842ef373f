import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.acknowledgements import (
    KEPT,
    Ack,
    Acknowledgements,
    Open,
    Remind,
    ack_record,
    read_ack_record,
)
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.state.tracking import Tracking

T = 1_790_000_000_000


def test_first_acknowledgement_counts():
    acks = Acknowledgements()
    assert acks.apply(Ack("x1", "r1", "o1"), T).by == "o1"
    assert acks.apply(Ack("x1", "r1", "o2"), T + 1) is None
    assert (acks.get("x1").by, acks.get("x1").at) == ("o1", T)


def test_reminder_counts_if_it_is_next_and_due_and_unacknowledged():
    acks = Acknowledgements()
    acks.apply(Open("x1", "r1", 1000), T)
    assert acks.apply(Open("x1", "r1", 5), T + 1) is None
    assert acks.apply(Remind("x1", "r1", 1), T + 999) is None
    assert acks.apply(Remind("x1", "r1", 2), T + 1000) is None
    assert acks.apply(Remind("x1", "r1", 1), T + 1000).reminded == 1
    assert acks.apply(Remind("x1", "r1", 1), T + 2000) is None
    assert acks.apply(Remind("x1", "r1", 2), T + 1999) is None
    assert acks.apply(Remind("x1", "r1", 2), T + 2000).reminded == 2
    acks.apply(Ack("x1", "r1", "o1"), T + 2500)
    assert acks.apply(Remind("x1", "r1", 3), T + 9000) is None
    assert not acks.get("x1").is_open


def test_reservation_rests_after_the_third_reminder():
    acks = Acknowledgements()
    acks.apply(Open("x1", "r1", 1), T)
    for n in (1, 2, 3):
        assert acks.apply(Remind("x1", "r1", n), T + n)
    assert not acks.get("x1").is_open
    assert acks.apply(Ack("x1", "r1", "o1"), T + 10).by == "o1"


def test_reservation_is_forgotten_after_a_week_of_the_log():
    acks = Acknowledgements()
    acks.apply(Ack("x1", "r1", "o1"), T)
    acks.apply(Ack("x2", "r1", "o1"), T + KEPT)
    assert acks.get("x1") is None


RESTAURANTS = st.sampled_from(["r1", "r1", "r2"])
RECORDS = st.one_of(
    st.builds(Open, st.sampled_from(["x1", "x2"]), RESTAURANTS, st.sampled_from([1, 100])),
    st.builds(Ack, st.sampled_from(["x1", "x2"]), RESTAURANTS, st.sampled_from(["o1", "o2"])),
    st.builds(Remind, st.sampled_from(["x1", "x2"]), RESTAURANTS, st.integers(1, 3)),
)


@given(st.lists(st.tuples(RECORDS, st.sampled_from([0, 1, 100, -50])), max_size=40))
def test_any_records_acknowledge_once_and_remind_in_order(records):
    acks, at, seen, reminded = Acknowledgements(), T, {}, {}
    for record, step in records:
        at += step
        news = acks.apply(record, at)
        if news is None:
            continue
        if isinstance(record, Ack):
            assert record.reservation not in seen
            seen[record.reservation] = record.by
        if isinstance(record, Remind):
            assert record.reservation not in seen
            assert record.n == reminded.get(record.reservation, 0) + 1
            reminded[record.reservation] = record.n


@given(RECORDS)
def test_record_is_read_as_it_was_written(record):
    new = ack_record(record)
    assert read_ack_record(Record(ACKS, 0, 0, T, new.key, new.value)) == record


@given(st.binary() | st.dictionaries(st.text(), st.integers(0, 9) | st.text()).map(orjson.dumps))
def test_any_bytes_are_poison_and_raise_nothing_else(value):
    with pytest.raises(BadFieldError):
        read_ack_record(Record(ACKS, 0, 0, T, None, value))


def test_record_that_names_another_restaurant_than_the_first_says_nothing():
    acks = Acknowledgements()
    acks.apply(Open("x1", "r1", 1000), T)
    assert acks.apply(Ack("x1", "r2", "o2"), T) is None
    assert acks.apply(Ack("x1", "r1", "o1"), T).by == "o1"
    assert [id for id, _ in acks.of_restaurant("r1")] == ["x1"]
    assert not list(acks.of_restaurant("r2"))


def test_ids_are_of_what_was_known_at_first_whatever_is_known_and_forgotten_meanwhile():
    acks = Acknowledgements()
    for number in range(10):
        acks.apply(Open(f"x{number}", "r1", 1000), T)
    ids = acks.ids()
    assert [next(ids), next(ids)] == ["x0", "x1"]
    acks.apply(Ack("late", "r1", "o1"), T + KEPT)
    assert acks.get("x3") is None, "four are forgotten with each record"
    assert next(ids) == "x4"
    assert list(ids) == [f"x{number}" for number in range(5, 10)]
    assert list(acks.ids()) == [*(f"x{number}" for number in range(4, 10)), "late"]


def test_ids_end_when_all_is_forgotten():
    acks = Acknowledgements()
    for number in range(10):
        acks.apply(Open(f"x{number}", "r1", 1000), T)
    ids = acks.ids()
    assert next(ids) == "x0"
    list(acks.discard())
    acks.apply(Open("new", "r1", 1000), T)
    assert list(ids) == []
    assert list(acks.ids()) == ["new"]
    assert list(acks.of_restaurant("r1"))


def placeless(rows):
    """Return rows in their order, without the numbers that say it: of those, each replica has its own."""
    return [(id, row[:-1]) for id, row in rows]


@given(st.lists(st.tuples(RECORDS, st.sampled_from([0, 1, KEPT])), max_size=30), st.integers(0, 30))
def test_replica_that_begins_with_rows_of_another_one_ends_as_it_does(records, cut):
    whole, half, at = Acknowledgements(), Acknowledgements(), T
    for number, (record, step) in enumerate(records):
        at += step
        if number == cut:
            for id, row in orjson.loads(orjson.dumps(list(whole.rows()))):
                half.load(id, row)
        draft = whole.draft()
        before = list(whole.rows())
        drafted = draft.apply(record, at)
        assert list(whole.rows()) == before, "a draft changes nothing"
        news = whole.apply(record, at)
        assert (news is None) == (drafted is None) or step == KEPT
        if number >= cut:
            half.apply(record, at)
    if len(records) > cut:
        assert placeless(half.rows()) == placeless(whole.rows())
        assert half._by_restaurant == whole._by_restaurant


@given(st.lists(st.tuples(RECORDS, st.sampled_from([0, 1, KEPT])), max_size=30))
def test_rows_that_were_taken_are_those_that_are_known(records):
    tracking = Tracking()
    follower, rows, at = tracking.follow(), {}, T
    acks = Acknowledgements(tracking)
    for record, step in records:
        at += step
        acks.apply(record, at)
        for id, row in follower.take().get("ack", {}).items():
            rows.pop(id, None)
            if row is not None:
                rows[id] = row
        assert rows == dict(acks.rows())
    list(acks.discard())
    assert set(follower.take().get("ack", {}).values()) <= {None}
