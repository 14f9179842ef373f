import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.statestore.blocks import BLOCK_BYTES, Block, block_value, named, partition_of, per_block
from mesaya_ws.statestore.layout import line_key

LINES = [line_key("user:u:notifications", Partition("a", 0)), line_key("user:v:notifications", Partition("b", 7))]

rows = st.tuples(
    st.integers(0, 1), st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=40)
)


def written(made, serials):
    numbers, offsets, times, frames = zip(*made, strict=True)
    return block_value([named(LINES[number]) for number in numbers], serials, offsets, times, frames)


@given(st.lists(rows, min_size=1, max_size=20), st.data())
def test_a_block_has_what_was_put_into_it_and_what_is_left_of_it_has_the_rest(made, data):
    serials = sorted(data.draw(st.sets(st.integers(1, 1 << 40), min_size=len(made), max_size=len(made))))
    block = Block(written(made, serials))
    assert [block.frame(serial) for serial in serials] == [(time, frame) for _, _, time, frame in made]
    columns = block.columns()
    assert [LINES.index(line) for line in columns.lines] == [number for number, *_ in made]
    assert list(columns.offsets) == [offset for _, offset, *_ in made]
    gone = data.draw(st.integers(0, len(made) - 1))
    assert block.after(columns, gone) == written(made[gone:], serials[gone:])


@given(st.integers(0, 1 << 30))
def test_a_block_that_has_changed_is_noticed(at):
    value = written([(n % 2, n, n, b"frame %d" % n) for n in range(8)], range(1, 9))
    at %= len(value)
    changed = value[:at] + bytes([value[at] ^ 0x40]) + value[at + 1 :]
    with pytest.raises(CorruptStateError):  # noqa: PT012 - whichever notices it
        block = Block(changed)
        block.columns()
        for serial in range(1, 9):
            block.frame(serial)


@pytest.mark.parametrize("value", [b"", b"\0" * 12, b"\xff" * 40])
def test_what_is_no_block_is_corrupt(value):
    with pytest.raises(CorruptStateError):
        Block(value).columns()


def test_a_block_has_the_bytes_that_it_should_or_one_publication():
    assert per_block([b"x" * 400] * 1000) * 400 <= BLOCK_BYTES
    assert per_block([b"x" * 100_000] * 3) == 1


def test_the_partition_of_a_line_is_in_its_key():
    assert partition_of(LINES[1]) == Partition("b", 7)
