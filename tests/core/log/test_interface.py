from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.events import PollResult, Records, Unavailable, pieces
from mesaya_ws.core.log.records import Partition, Record, weight

A, B = Partition("a", 0), Partition("b", 0)


def batch(source, count, lag):
    return Records(source, [Record(*source, offset, 0, None, b"") for offset in range(count)], lag)


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 5), st.integers(1, 10))
def test_a_batch_in_pieces_says_the_same(sizes, lag, most):
    records = [Record(*A, offset, 0, None, b"x" * size) for offset, size in enumerate(sizes)]
    found = list(pieces(Records(A, records, lag), most))
    assert [record for piece, _ in found for record in piece.records] == records
    ends = [sum(len(piece.records) for piece, _ in found[: number + 1]) for number in range(len(found))]
    assert [piece.lag for piece, _ in found] == [lag + len(records) - end for end in ends]
    for piece, weighs in found:
        assert weighs == sum(map(weight, piece.records))
        assert sum(map(weight, piece.records[:-1])) < most, "the last one may be more than there is room for"


def test_weight_of_an_event_grows_with_its_size():
    assert [weight(Record(*A, 0, 0, None, value)) for value in (None, b"", b"x" * 1023, b"x" * 1024)] == [1, 1, 1, 2]


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 30), st.integers(0, 5)), max_size=4))
def test_what_came_together_is_cut_only_where_it_is_too_much(parts):
    batches = [batch(*part) for part in parts]
    found = list(pieces(PollResult(batches), 10))
    count = sum(len(one.records) for one in batches)
    if count <= 10:
        assert found == [(PollResult(batches), count)]
    else:
        assert found == [piece for one in batches for piece in pieces(one, 10)]


def test_other_news_are_not_cut():
    assert list(pieces(Unavailable("gone"), 1)) == [(Unavailable("gone"), 0)]
