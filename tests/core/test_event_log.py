from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.event_log import Batch, Outage, Partition, Record, Together, pieces

A, B = Partition("a", 0), Partition("b", 0)


def batch(source, count, lag):
    return Batch(source, [Record(*source, offset, 0, None, b"") for offset in range(count)], lag)


@given(st.integers(0, 30), st.integers(0, 5), st.integers(1, 10))
def test_a_batch_in_pieces_says_the_same(count, lag, size):
    whole = batch(A, count, lag)
    found = list(pieces(whole, size))
    assert [record for piece in found for record in piece.records] == whole.records
    assert max(len(piece.records) for piece in found) <= size
    behind = [count - sum(len(piece.records) for piece in found[: number + 1]) for number in range(len(found))]
    assert [piece.lag for piece in found] == [lag + rest for rest in behind]


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 30), st.integers(0, 5)), max_size=4))
def test_what_came_together_is_cut_only_where_it_is_too_much(parts):
    batches = [batch(*part) for part in parts]
    found = list(pieces(Together(batches), 10))
    if sum(len(one.records) for one in batches) <= 10:
        assert found == [Together(batches)]
    else:
        assert found == [piece for one in batches for piece in pieces(one, 10)]


def test_other_news_are_not_cut():
    assert list(pieces(Outage("gone"), 1)) == [Outage("gone")]
