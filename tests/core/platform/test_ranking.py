from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform.ranking import DISCARDED_AT_ONCE, Ranking

PLACES = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 99))


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | PLACES)), st.integers(1, 6))
def test_the_latest_are_last(records, count):
    ranking, known = Ranking(), {}
    for id, at in records:
        ranking.put(id, at)
        known[id] = at
    order = sorted((at, id) for id, at in known.items() if at is not None)
    assert ranking.last(count) == [id for _, id in order[-count:]]


def test_it_is_let_go_of_bit_by_bit():
    ranking = Ranking()
    for number in range(2 * DISCARDED_AT_ONCE):
        ranking.put(str(number), (number, 0, 0))
    assert sum(1 for _ in ranking.discard()) == 2
    assert ranking.last(1) == []
