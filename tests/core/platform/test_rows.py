import orjson
import pytest

from mesaya_ws.core.platform.provenance import NEVER, Mixed
from mesaya_ws.core.platform.rows import encoded, provenance_in

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
