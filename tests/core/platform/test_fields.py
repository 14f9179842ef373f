import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform import fields
from mesaya_ws.core.platform.fields import (
    DROPPED,
    IDENTIFIER,
    LONGEST_NAME,
    PRIVATE,
    optional,
    reference,
    whatever,
    withheld,
)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("text", "", ""),
        ("text", 5, DROPPED),
        ("text", None, DROPPED),
        ("moment", "2026-01-20T19:00:00.000Z", "2026-01-20T19:00:00.000Z"),
        ("moment", "2" * 65, DROPPED),
        ("moment", 1768935600, DROPPED),
        ("number", 25.5, 25.5),
        ("number", 0, 0),
        ("number", True, DROPPED),
        ("number", "25.5", 25.5),
        ("number", "12.50", 12.5),
        ("number", "6", 6),
        ("number", "-0012", -12),
        ("number", "1e3", 1000.0),
        ("number", "9" * 18, 10**18 - 1),
        ("number", "9" * 30, 1e30),
        ("number", "1e999", DROPPED),
        ("number", "9" * 65, DROPPED),
        ("number", "", DROPPED),
        ("number", " 6", DROPPED),
        ("number", "6\n", DROPPED),
        ("number", "٦", DROPPED),
        ("number", "1_000", DROPPED),
        ("number", "NaN", DROPPED),
        ("number", "four", DROPPED),
        ("flag", False, False),
        ("flag", 0, DROPPED),
        ("flag", "true", DROPPED),
        ("word", "NO_SHOW", "no_show"),
        ("word", None, DROPPED),
        ("mapping", {"a": 1}, {"a": 1}),
        ("mapping", [], DROPPED),
        ("listing", ["MONDAY"], ["MONDAY"]),
        ("listing", {}, DROPPED),
        ("never", "anything", DROPPED),
    ],
)
def test_what_is_kept_of_a_value(kind, value, kept):
    result = getattr(fields, kind)(value)
    assert (type(result), result) == (type(kept), kept)


def test_null_where_it_is_allowed():
    assert optional(fields.text)(None) is None
    assert optional(fields.text)("a") == "a"
    assert optional(fields.text)(1) is DROPPED


@pytest.mark.parametrize("value", ["a", "b18ccb5f-6beb-48b0-885a-3eca7d2d552c", "A.b_c~-", "x" * 128])
def test_an_id_is_what_may_stand_in_the_name_of_a_channel(value):
    assert reference(value) == value


@pytest.mark.parametrize("value", ["", "a:b", "a b", "é", "a\n", "x" * 129, 5, None, ["a"]])
def test_what_is_no_id(value):
    assert reference(value) is DROPPED


@pytest.mark.parametrize("name", [*sorted(PRIVATE), "owner_id", "OwnerID", "admin_note", "STORAGE_PATH"])
def test_what_is_private_is_withheld_however_it_is_spelled(name):
    assert withheld(name)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "passwordHash",
        "hash",
        "pwd",
        "refreshToken",
        "clientSecret",
        "userEmail",
        "e_mail",
        "x" * (LONGEST_NAME - 5) + "Token",
    ],
)
def test_what_is_secret_is_withheld(name):
    assert withheld(name)


@pytest.mark.parametrize("name", ["ownerName", "note", "thumbnail", "path", "subscription", "x" * LONGEST_NAME])
def test_other_fields_are_not_withheld(name):
    assert not withheld(name)


def test_unknown_field_is_not_read():
    assert withheld("x" * (LONGEST_NAME + 1))


def test_few_names_are_remembered():
    for number in range(5000):
        withheld(f"name{number}")
    assert withheld("password")
    assert not withheld("note")
    assert len(fields._withheld) <= fields._REMEMBERED_NAMES


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "password", "ownerId", "b"]), inner),
)


@given(json)
def test_whatever_is_kept_holds_nothing_withheld_and_all_of_the_rest(value):
    def without(value):
        if type(value) is dict:
            return {name: without(item) for name, item in value.items() if not withheld(name)}
        return [without(item) for item in value] if type(value) is list else value

    assert whatever(value) == without(value)


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_what_is_nested_absurdly_deep_is_cut_where_it_can_still_be_written(pair):
    middle = len(pair) - 1
    value = orjson.loads(pair[:middle] * 500 + "1" + pair[middle:] * 500)
    kept = orjson.dumps(whatever(value))
    assert kept.count(pair[0].encode()) == 32
    assert b"1" not in kept


@given(st.integers(1 - 10**18, 10**18 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_as_text_is_the_number(value):
    kept = fields.number(orjson.dumps(value).decode())
    assert kept == value
    assert orjson.loads(orjson.dumps(kept)) == value


@given(st.text("0123456789.eE+-", max_size=70))
def test_whatever_is_taken_for_a_number_can_be_written(text):
    kept = fields.number(text)
    assert kept is DROPPED or orjson.loads(orjson.dumps(kept)) is not None


@given(st.text("aZ0._~-: \nü", max_size=140))
def test_repeated_id_is_the_same_object(text):
    for _ in range(2):
        assert (reference(text) is DROPPED) == (IDENTIFIER.fullmatch(text) is None)


SHARED = {"reference": "_ids", "moment": "_moments", "word": "_words"}


@pytest.mark.parametrize("kind", SHARED)
def test_equal_values_of_two_records_are_kept_once(kind):
    first, second = (getattr(fields, kind)(orjson.loads(b'"2026-01-20"')) for _ in range(2))
    assert first is second


@pytest.mark.parametrize(("kind", "longest"), [("reference", 128), ("moment", 64), ("word", 32)])
def test_values_that_are_kept_once_are_few_and_short(kind, longest):
    table = getattr(fields, SHARED[kind])
    sizes = []
    for number in range(20_000):
        getattr(fields, kind)(f"a{number}")
        sizes.append(len(table))
    assert max(sizes) <= 16_384
    assert sizes[-1] < max(sizes), "they begin anew"
    too_long = "b" * (longest + 1)
    getattr(fields, kind)(too_long)
    assert too_long not in table
