import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence import (
    DROPPED_AFTER,
    FALL,
    OFTEN,
    SELDOM,
    PresenceTable,
    Teller,
    presence_record,
    read_presence_record,
    shown,
)
from mesaya_ws.core.interactions.strict import PoisonError
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.records import Record

TABLES = st.dictionaries(
    st.sampled_from(["c1", "c2", "c3"]), st.integers(0, 50) | st.sampled_from([(), ("guest",), ("guest", "restaurant")])
)


def test_tables_are_replaced_and_summed_and_a_tombstone_takes_its_own_away():
    presence = PresenceTable()
    presence.apply("a", {"c1": 2}, 0)
    assert presence.apply("b", {"c1": 3, "c2": 1}, 0) == {"c1", "c2"}
    assert (presence.viewers("c1"), presence.viewers("c2")) == (5, 1)
    assert presence.apply("b", {"c1": 3}, 1) == {"c2"}
    presence.apply("a", None, 2)
    assert (presence.viewers("c1"), presence.viewers("c2")) == (3, 0)


def test_silent_process_is_dropped_fifteen_seconds_after_its_last_record():
    presence = PresenceTable()
    presence.apply("a", {"c1": 2}, 0)
    presence.apply("b", {"c1": 1, "chat": ("guest",)}, 1000)
    presence.apply("a", {"c1": 2}, 5000)
    assert presence.drop(1000 + DROPPED_AFTER - 1) == set()
    assert presence.sides("chat") == {"guest"}
    assert presence.drop(1000 + DROPPED_AFTER) == {"c1", "chat"}
    assert presence.viewers("c1") == 2
    assert presence.sides("chat") == frozenset()


@pytest.mark.parametrize(("viewers", "number"), [(0, 0), (20, 20), (21, 21), (99, 99), (123, 120), (1999, 1900)])
def test_number_is_exact_to_twenty_and_has_two_digits_above(viewers, number):
    assert shown(viewers) == number


def test_rise_is_sent_after_a_rest_and_a_fall_ten_seconds_later():
    teller = Teller(1, 0)
    assert teller.next(2, OFTEN - 1) is None
    assert teller.next(2, OFTEN) == 2
    assert teller.next(1, 2 * OFTEN) is None
    assert teller.next(1, 2 * OFTEN + FALL - 1) is None
    assert teller.next(1, 2 * OFTEN + FALL) == 1


def test_fall_that_is_made_good_is_never_sent():
    teller = Teller(5, 0)
    assert teller.next(3, 5000) is None
    assert teller.next(5, 9000) is None
    assert teller.next(4, 16000) is None, "the ten seconds count anew"


def test_large_numbers_are_sent_seldom():
    teller = Teller(600, 0)
    assert teller.next(700, SELDOM - 1) is None
    assert teller.next(700, SELDOM) == 700


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | TABLES), max_size=20), st.randoms())
def test_any_order_of_processes_ends_with_the_sum_of_their_last_tables(records, random):
    presence, last = PresenceTable(), {}
    for process, table in records:
        presence.apply(process, table, 0)
        last[process] = table or {}
    for channel in ("c1", "c2", "c3"):
        counts = [table.get(channel, 0) for table in last.values()]
        assert presence.viewers(channel) == sum(count for count in counts if isinstance(count, int))
        sides = {side for count in counts if isinstance(count, tuple) for side in count}
        assert presence.sides(channel) == sides


@given(st.none() | TABLES)
def test_record_is_read_as_it_was_written(table):
    new = presence_record("a.1", table)
    assert read_presence_record(Record(PRESENCE, 0, 0, 0, new.key, new.value)) == ("a.1", table)


@given(
    st.binary(max_size=200), st.binary(max_size=200) | st.dictionaries(st.text(), st.integers(0, 9)).map(orjson.dumps)
)
def test_any_bytes_are_poison_and_raise_nothing_else(key, value):
    with pytest.raises(PoisonError):
        read_presence_record(Record(PRESENCE, 0, 0, 0, key, value))
