import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.connection_limit import ConnectionLimit


def test_newest_connection_is_refused_and_the_others_stay():
    limit = ConnectionLimit(2)
    assert [limit.enter("u1") for _ in range(3)] == [True, True, False]
    assert limit.enter("u2")
    limit.leave("u1")
    assert limit.enter("u1")
    assert not limit.enter("u1")


def test_zero_is_no_limit():
    limit = ConnectionLimit(0)
    assert all(limit.enter("u1") for _ in range(1000))


def test_end_of_a_connection_that_was_not_let_in_is_an_error():
    with pytest.raises(KeyError):
        ConnectionLimit(1).leave("u1")


@given(st.lists(st.sampled_from("abc")))
def test_only_those_with_a_connection_are_kept(comings):
    limit = ConnectionLimit(2)
    entered = [who for who in comings if limit.enter(who)]
    assert len(limit) == len(set(comings))
    for who in entered:
        limit.leave(who)
    assert len(limit) == 0
