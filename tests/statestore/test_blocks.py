import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.statestore.blocks import BLOCK_BYTES, Block, blocks, named, partition_of, per_block
from mesaya_ws.statestore.layout import line_key

LINES = [line_key("user:u:notifications", Partition("a", 0)), line_key("user:v:notifications", Partition("b", 7))]

rows = st.tuples(
    st.integers(0, 1), st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=40)
)


def written(made, first, step=None):
    numbers, offsets, times, frames = zip(*made, strict=True)
    return list(blocks(first, [named(LINES[number]) for number in numbers], offsets, times, frames, step))


@given(st.lists(rows, min_size=1, max_size=20), st.integers(1, 1 << 40), st.data())
def test_a_block_has_what_was_put_into_it_and_what_is_left_of_it_has_the_rest(made, first, data):
    [(serial, value)] = written(made, first, len(made))
    block = Block(value)
    assert serial == block.first == first
    assert block.last == first + len(made) - 1
    assert [block.frame(first + at) for at in range(len(made))] == [(time, frame) for _, _, time, frame in made]
    columns = block.columns()
    assert [LINES.index(line) for line in columns.lines] == [number for number, *_ in made]
    assert list(columns.offsets) == [offset for _, offset, *_ in made]
    assert list(columns.times) == [time for _, _, time, _ in made]
    gone = data.draw(st.integers(0, len(made) - 1))
    assert [(first + gone, block.after(columns, gone))] == written(made[gone:], first + gone, len(made))


@given(st.lists(rows, min_size=1, max_size=20), st.integers(1, 1 << 40), st.integers(1, 20))
def test_blocks_have_all_publications_each_once(made, first, step):
    cut = written(made, first, step)
    assert [value for _, value in cut] == [
        written(made[at : at + step], first + at, step)[0][1] for at in range(0, len(made), step)
    ]
    assert sum(Block(value).count for _, value in cut) == len(made)


@pytest.mark.parametrize("serial", [8, 11])
def test_a_serial_that_a_block_does_not_have_is_corrupt(serial):
    [(_, value)] = written([(0, n, n, b"frame") for n in range(2)], 9)
    with pytest.raises(CorruptStateError):
        Block(value).frame(serial)


@given(st.integers(0, 1 << 30))
def test_a_block_that_has_changed_is_noticed(at):
    [(_, value)] = written([(n % 2, n, n, b"frame %d" % n) for n in range(8)], 1)
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
