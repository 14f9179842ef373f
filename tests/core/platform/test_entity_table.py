import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity_table import EntityTable


@pytest.fixture
def tables():
    return EntityTable(ENTITIES["table"])


@pytest.fixture
def objects():
    return EntityTable(ENTITIES["section_object"])


@pytest.fixture
def reservations():
    return EntityTable(ENTITIES["reservation"])


def test_children_are_found_by_their_parent(tables):
    for id in ("t2", "t1", "t3"):
        tables.apply(id, (0, 0, 0), {"sectionId": "s"})
    tables.apply("t2", (0, 0, 1), {"sectionId": "other"})
    tables.apply("t1", (1, 0, 0), {}, ends=True)
    assert list(tables.children.under("sectionId", "s")) == ["t3"]
    assert list(tables.children.under("sectionId", "other")) == ["t2"]
    assert list(tables.children.under("sectionId", "unknown")) == []


def test_who_gets_another_parent_is_the_last_that_came(objects):
    for id in ("x", "y", "z"):
        objects.keep(id, {"sectionId": "s", "objectId": "o"}, (0, 0, 0))
    objects.keep("x", {"sectionId": "s", "objectId": "other"}, (0, 0, 0))
    objects.keep("y", {"sectionId": "s", "objectId": "o", "n": 1}, (0, 0, 0))
    assert list(objects.alive) == list(objects.children.under("sectionId", "s")) == ["y", "z", "x"]
    assert list(objects.children.under("objectId", "o")) == ["y", "z"]


def test_who_has_no_parent_is_nobodys_child(tables):
    tables.keep("t", {"sectionId": "s"}, (0, 0, 0))
    tables.keep("t", {"capacity": 4}, (0, 0, 0))
    assert list(tables.children.under("sectionId", "s")) == []
    assert tables.last("t") == {"capacity": 4}


def test_what_routing_needs_of_the_deleted_stays(reservations):
    reservations.apply("r", (1, 0, 0), {"restaurantId": "R", "userId": "u", "tableId": "t"})
    reservations.apply("r", (2, 0, 1), {}, ends=True)
    assert reservations.knows("r")
    assert not reservations.alive
    assert reservations.last("r") == {"restaurantId": "R", "userId": "u"}
    reservations.apply("r", (3, 0, 2), {"userId": "u2"}, ends=True)
    assert reservations.last("r") == {"restaurantId": "R", "userId": "u2"}


def test_late_record_says_whose_the_deleted_entity_was(reservations):
    reservations.apply("r", (2, 0, 0), {"userId": "u"}, ends=True)
    after = reservations.apply("r", (1, 1, 0), {"restaurantId": "R", "userId": "former"})
    assert (after.is_late, after.exists) == (True, False)
    assert reservations.last("r") == {"restaurantId": "R", "userId": "u"}


def test_who_comes_again_exists(tables):
    tables.apply("t", (1, 0, 0), {"capacity": 4}, ends=True)
    assert tables.apply("t", (2, 0, 1), {"sectionId": "s"}).exists
    assert tables.last("t") == {"sectionId": "s"}


def test_the_first_that_were_deleted_are_forgotten(tables):
    for number in range(4):
        tables.apply(f"t{number}", (number, 0, number), {}, ends=True)
    assert tables.tombstones.forget_oldest(remembered=3) == "t0"
    assert tables.tombstones.forget_oldest(remembered=3) is None
    assert not tables.knows("t0")
    assert tables.knows("t1")


def test_entity_without_records_is_not_known(tables):
    assert not tables.knows("t")
    assert tables.last("t") is None
    assert tables.last(None) is None


def test_a_payment_of_a_reservation_is_whole_though_it_is_of_no_subscription():
    payments = EntityTable(ENTITIES["payment"])
    common = {"amount": 5, "date": "2026-01-20", "createdAt": "", "updatedAt": ""}
    payments.apply("p", (1, 0, 0), common | {"reservationId": "v", "paymentStatus": "pending", "note": "x"})
    payments.apply("p", (2, 0, 1), common | {"reservationId": "v", "paymentStatus": "paid"})
    assert "note" not in payments.alive["p"], "a whole record leaves out what has no value"
    payments.apply("p", (3, 0, 2), {"amount": 6, "paymentStatus": "paid"})
    assert payments.alive["p"]["reservationId"] == "v"


PARTS = ("number", "capacity", "more")
fields = st.dictionaries(st.sampled_from(PARTS), st.integers(0, 9))
arrivals = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans(), fields), max_size=12)


@given(arrivals)
def test_state_after_any_arrivals_is_of_the_latest_record_of_each_field(arrivals):
    table, known, times = EntityTable(ENTITIES["table"]), {}, {}
    for offset, (partition, time, is_whole, fields) in enumerate(arrivals):
        data = {"tableId": "t", **(dict.fromkeys(ENTITIES["table"].required, 0) if is_whole else {}), **fields}
        table.apply("t", (time, partition, offset), data)
        # Time never goes back in a partition.
        at = times[partition] = max(time, times.get(partition, 0))
        known[at, partition, offset] = data, is_whole
        expected, made_of = {}, {}
        for place, (data, is_whole) in sorted(known.items()):
            expected = data if is_whole else expected | data
            made_of = dict.fromkeys(data, place) if is_whole else made_of | dict.fromkeys(data, place)
        assert table.alive["t"] == expected
        assert {name: table.record_of("t", name) for name in expected} == made_of
        assert table.newest("t") == max(known)
    again = EntityTable(ENTITIES["table"])
    for name, id, value in table.rows():
        again.load(name.partition("/")[0], id, orjson.loads(orjson.dumps(value)))
    assert list(map(canonical, again.rows())) == list(map(canonical, table.rows()))


def canonical(row):
    """Return a row of a table as JSON with sorted keys."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
