"""What a record changes that comes when later ones are known already."""

from itertools import permutations

import pytest

from mesaya_ws.core.platform.provenance import Mixed, in_order, merge, newest, record_of

WHOLE = {"id": "x", "a": 0, "b": 0}


def state(*records):
    """Return what records make of an entity: each `(time, partition, offset, fields)`, whole if it has `b`."""
    known, provenance = {}, None
    for time, partition, offset, fields in records:
        at = in_order((time, partition, offset), provenance)
        known, provenance = merge(provenance, known, at, fields, (), is_whole="b" in fields)
    return known, provenance


def test_a_state_of_one_whole_record_is_of_that_record():
    assert state((5, 0, 1, WHOLE)) == (WHOLE, (5, 0, 1))
    assert state((5, 0, 1, WHOLE), (6, 0, 2, WHOLE | {"a": 1})) == (WHOLE | {"a": 1}, (6, 0, 2))


def test_each_field_is_of_the_latest_record_in_any_order():
    records = [(1, 0, 0, WHOLE), (2, 1, 0, {"a": 1}), (3, 2, 0, {"c": 2}), (4, 1, 1, {"a": 3})]
    ended = set()
    for order in permutations(records):
        if order.index(records[1]) < order.index(records[3]):  # of one partition
            known, provenance = state(*order)
            assert newest(provenance) == (4, 1, 1)
            assert record_of(provenance, "a") == (4, 1, 1)
            ended.add(tuple(sorted(known.items())))
    assert ended == {(("a", 3), ("b", 0), ("c", 2), ("id", "x"))}


def test_whole_record_replaces_all_earlier_ones():
    known, _ = state((1, 0, 0, {"c": 1}), (3, 1, 0, {"d": 3}), (2, 2, 0, WHOLE))
    assert known == WHOLE | {"d": 3}


def test_a_partition_never_goes_back_in_time():
    known, provenance = state((9, 0, 0, WHOLE), (5, 0, 1, WHOLE | {"a": 1}))
    assert (known["a"], provenance) == (1, (9, 0, 1))
    known, provenance = state((9, 0, 0, WHOLE), (10, 1, 0, {"a": 2}), (5, 0, 1, {"a": 1}))
    assert (known["a"], isinstance(provenance, Mixed)) == (2, True), "9, not 5, is before 10, but after 9"


def test_unknown_field_stays_so_until_a_later_record_has_it():
    known, provenance = merge((1, 0, 0), WHOLE, (3, 0, 1), {}, ("a",), is_whole=False)
    assert "a" not in known
    known, provenance = merge(provenance, known, (2, 1, 0), {"a": 2}, (), is_whole=False)
    assert "a" not in known
    known, _ = merge(provenance, known, (4, 1, 1), {"a": 4}, (), is_whole=False)
    assert known["a"] == 4


@pytest.mark.parametrize(("at", "provenance"), [((1, 0, 0), None), ((1, 0, 0), (5, 1, 0)), ((7, 0, 0), (5, 0, 0))])
def test_a_record_counts_as_of_its_own_time(at, provenance):
    assert in_order(at, provenance) == at
