import orjson
import pytest

from mesaya_ws.core.platform.provenance import NEVER, Mixed
from mesaya_ws.core.platform.rows import encoded, known_in, known_row, provenance_in

FIRST, SECOND, THIRD = (1, 0, 5), (2, 1, 3), (3, 0, 6)
STATUS, GUESTS = frozenset({"status"}), frozenset({"numberOfGuests", "tableId"})


def parts(provenance):
    if not isinstance(provenance, Mixed):
        return provenance
    return provenance.base, provenance.newest, provenance.names, provenance.earlier, provenance.others


@pytest.mark.parametrize(
    "provenance",
    [
        FIRST,
        Mixed(NEVER, NEVER),
        Mixed(FIRST, SECOND, STATUS),
        Mixed(NEVER, THIRD, STATUS, ((SECOND, GUESTS), (FIRST, frozenset({"userId"}))), ((1, 2),)),
    ],
)
def test_a_provenance_is_the_same_when_its_row_is_read(provenance):
    assert parts(provenance_in(orjson.loads(encoded(provenance)))) == parts(provenance)


def test_a_provenance_of_a_former_release_is_read():
    row = [NEVER, {"status": THIRD, "tableId": SECOND, "numberOfGuests": SECOND}, THIRD, [[1, 2], [0, 3]]]
    assert parts(provenance_in(orjson.loads(orjson.dumps(row)))) == (
        NEVER,
        THIRD,
        STATUS,
        ((SECOND, GUESTS),),
        ((1, 2),),
    )


@pytest.mark.parametrize("fields", [1, [], [1], ["status"], [["status"], 1], [["status"], [FIRST, "x"]], [[1]]])
def test_a_provenance_that_is_none_is_refused(fields):
    with pytest.raises((ValueError, TypeError)):
        provenance_in([NEVER, fields, THIRD, []])


@pytest.mark.parametrize(
    "provenance",
    [
        (1, 0, 5),
        Mixed(NEVER, (1, 0, 5), frozenset({"userId"})),
        Mixed(NEVER, (1, 0, 5), frozenset({"userId", "tableId"})),
        Mixed((0, 0, 4), (1, 0, 5), frozenset({"userId"})),
        Mixed(NEVER, (1, 0, 5), frozenset({"userId"}), others=((1, 0),)),
        Mixed(NEVER, (1, 0, 5), frozenset({"userId"}), (((0, 0, 4), frozenset({"tableId"})),)),
    ],
)
def test_an_entity_is_the_same_when_its_row_is_read(provenance):
    data, found, place = known_in(known_row(({"userId": "u"}, provenance, 7)))
    assert (data, place) == ({"userId": "u"}, 7)
    assert parts(found) == parts(provenance)


def test_a_row_names_no_field_of_which_the_entity_has_the_value_by_a_single_record():
    row = known_row(({"userId": "u"}, Mixed(NEVER, (1, 0, 5), frozenset({"userId"})), 7))
    assert row.count(b"userId") == 1
    former = encoded(({"userId": "u"}, Mixed(NEVER, (1, 0, 5), frozenset({"userId"})), 7))
    assert known_row(known_in(former)) == row, "as those that name them are read, too"
