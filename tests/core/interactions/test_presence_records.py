import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence_records import (
    EXACT,
    MAX_PART_CHANNELS,
    Part,
    Viewers,
    level_of,
    name_of,
    part_record,
    read_key,
    read_part,
)
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.records import Record
from tests.core.interactions.test_presence import CHANNELS, CHAT, LEVELS, SIDES

PARTS = st.builds(
    Part,
    st.integers(0, 2**53 - 1),
    LEVELS.flatmap(lambda levels: SIDES.map(lambda sides: {**levels, CHAT: sides})),
    LEVELS,
    st.dictionaries(st.just(CHAT), SIDES),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CHANNELS, CHAT]), inner, max_size=3),
)


def read(key, value):
    record = Record(PRESENCE, 0, 0, 0, key, value)
    return read_key(record), read_part(record)


@given(st.none() | PARTS, st.integers(0, 99))
def test_record_is_read_as_it_was_written(part, number):
    new = part_record("host-1-ab", number, part)
    assert read(new.key, new.value) == (f"host-1-ab/{number}", part)


@given(
    st.dictionaries(st.sampled_from(["n", "asked", "seen", "typing"]), JSON),
    st.sampled_from([b"a/0", b"a", b"\xff/0", b"/0"]),
)
def test_any_fields_are_a_part_or_poison_and_nothing_else(fields, key):
    try:
        _, part = read(key, orjson.dumps(fields))
    except BadFieldError:
        return
    assert key == b"a/0"
    assert isinstance(part, Part)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_poison_and_raise_nothing_else(key, value):
    with pytest.raises(BadFieldError):
        read(key, value)


def test_more_channels_than_a_part_may_have_are_poison():
    levels = {f"restaurant:r{number}:tables": [1] for number in range(MAX_PART_CHANNELS + 1)}
    with pytest.raises(BadFieldError, match="channels"):
        read(b"a/0", orjson.dumps({"n": 1, "asked": levels}))


def test_users_count_once_and_clients_that_are_not_signed_in_each():
    level = level_of(CHANNELS[0], ["u1", "u1", None, "u2", None])
    assert level == Viewers(2, frozenset({name_of("u1"), name_of("u2")}))
    assert level.number == 4


def test_names_are_left_out_where_the_number_is_not_exact():
    assert level_of(CHANNELS[0], [f"u{n}" for n in range(EXACT)]).unnamed == 0
    assert level_of(CHANNELS[0], [f"u{n}" for n in range(EXACT + 1)]) == Viewers(EXACT + 1)


@pytest.mark.parametrize(
    ("users", "sides"),
    [
        (["u1"], {"guest"}),
        (["o1", "a1"], {"restaurant"}),
        ([None], set()),
        (["u1", None, "o1"], {"guest", "restaurant"}),
    ],
)
def test_conversation_has_the_sides_of_those_who_are_signed_in(users, sides):
    assert level_of(CHAT, users) == sides
