"""How rows are packed for a checkpoint, and what is no such thing."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed import checkpoint
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError, in_pieces, pack, unpack


def parts_of(rows):
    return [part for part in pack(in_pieces(iter(rows))) if part]


def rows_of(parts):
    return [row for piece in unpack(parts) for row in piece]


def numbered(count, salt=0):
    """Make rows that do not pack well."""
    chance = random.Random(salt)
    return [("t", str(number), {"x": chance.randbytes(200).hex()}) for number in range(count)]


# Packing

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.text(), st.text(), values), max_size=20))
def test_what_is_packed_comes_back_in_its_order(rows):
    assert rows_of(parts_of(rows)) == rows


def test_parts_are_bounded_and_others_run_in_between():
    rows = numbered(3000)
    steps = list(pack(in_pieces(iter(rows))))
    parts = [part for part in steps if part]
    assert len(parts) > 5
    assert {len(part) for part in parts[:-1]} == {checkpoint.PART_BYTES}
    assert steps.count(b"") >= 3000 / checkpoint.ROWS
    pieces = list(unpack(parts))
    assert max(len(orjson.dumps(piece)) for piece in pieces) < 2 * checkpoint.TEXT_BYTES
    assert [row for piece in pieces for row in piece] == rows


def test_large_rows_are_packed_in_steps_that_are_no_larger_than_those_of_small_ones():
    rows = [("t", str(number), random.Random(number).randbytes(100_000).hex()) for number in range(40)]
    steps = pack(in_pieces(iter(rows)))
    total = sum(len(orjson.dumps(row)) for row in rows)
    assert sum(step == b"" for step in steps) >= total // checkpoint.TEXT_BYTES


def test_a_row_larger_than_a_part():
    rows = [("t", "1", random.Random(0).randbytes(300_000).hex()), ("t", "2", None), ("t", "3", "x" * 1_000_000)]
    assert rows_of(parts_of(rows)) == rows


@pytest.mark.parametrize("damage", ["missing", "first missing", "swapped", "foreign", "no rows", "empty"])
def test_damaged_parts_are_noticed(damage):
    parts = parts_of(numbered(2000))
    damaged = {
        "missing": parts[:-1],
        "first missing": parts[1:],
        "swapped": [parts[1], parts[0], *parts[2:]],
        "foreign": [b"not packed at all"],
        "no rows": [checkpoint.zlib.compress(b'["t", 1, 2]\n')],
        "empty": [],
    }[damage]
    with pytest.raises(CorruptCheckpointError):
        rows_of(damaged)
