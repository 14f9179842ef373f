import pytest

from mesaya_ws.core.platform.entity import Entity
from mesaya_ws.core.platform.fields import DROPPED, never, number, optional, reference, text, word

CHAIR = Entity(
    "chair",
    "chairId",
    {
        "id": never,
        "chairId": never,
        "tableId": reference,
        "colour": text,
        "legs": optional(number),
        "state": word,
        "ownerId": text,
    },
    status="state",
    aliases={"color": "colour", "newState": "state"},
)


@pytest.mark.parametrize(
    ("data", "id"),
    [
        ({"chairId": "c"}, "c"),
        ({"id": "c"}, "c"),
        ({"chairId": "c", "id": "other"}, "c"),
        ({"chairId": 5, "id": "c"}, DROPPED),
        ({"id": "a:b"}, DROPPED),
        ({}, DROPPED),
    ],
)
def test_the_id_that_data_holds(data, id):
    assert CHAIR.id_in(data) == id


def test_an_id_has_its_own_name_and_no_other():
    assert CHAIR.clean("c", {"id": "x", "chairId": "y"}) == {"chairId": "c"}


def test_a_field_of_the_wrong_type_is_left_out_alone():
    assert CHAIR.clean("c", {"tableId": 5, "colour": None, "legs": None, "state": "BROKEN"}) == {
        "chairId": "c",
        "legs": None,
        "state": "broken",
    }


def test_other_names_of_a_field():
    assert CHAIR.clean("c", {"color": "red", "newState": "NEW"}) == {"chairId": "c", "colour": "red", "state": "new"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_fields_own_name_wins_over_its_others(order):
    data = dict([("colour", "red"), ("color", "blue")][::order])
    assert CHAIR.clean("c", data)["colour"] == "red"


def test_an_alias_of_the_wrong_type_is_left_out():
    assert CHAIR.clean("c", {"color": 5, "newState": None}) == {"chairId": "c"}


def test_what_is_declared_nowhere_passes_without_what_is_withheld():
    assert CHAIR.clean("c", {"arms": [1, {"mail": "x"}], "adminNote": "x", "token": "x", "ownerId": "declared"}) == {
        "chairId": "c",
        "arms": [1, {}],
        "ownerId": "declared",
    }


def test_the_record_is_left_as_it_was():
    data = {"color": "red", "arms": [1]}
    CHAIR.clean("c", data)
    assert data == {"color": "red", "arms": [1]}
