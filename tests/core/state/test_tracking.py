import pytest

from mesaya_ws.core.state.tracking import NOTED_AT_ONCE, Tracking


@pytest.fixture
def tracking():
    return Tracking()


def test_nothing_is_noted_while_nobody_follows(tracking):
    table = tracking.table("alive/table")
    table.note("t", 1)
    assert table.rows is None
    assert tracking.follow().take() == {}


def test_follower_takes_the_last_value_of_each_row_once(tracking):
    table, follower = tracking.table("alive/table"), tracking.follow()
    table.note("t", 1)
    table.note("t", 2)
    table.note("u", None)
    assert follower.pending == 2
    assert follower.take() == {"alive/table": {"t": 2, "u": None}}
    assert follower.take() == {}


def test_followers_take_independently(tracking):
    table, first = tracking.table("x"), tracking.follow()
    table.note("a", 1)
    second = tracking.follow()
    table.note("b", 2)
    assert second.take() == {"x": {"b": 2}}
    table.note("a", 3)
    assert first.take() == {"x": {"a": 3, "b": 2}}
    assert second.take() == {"x": {"a": 3}}


def test_what_one_follower_does_with_its_rows_is_nothing_to_another(tracking):
    first, second = tracking.follow(), tracking.follow()
    tracking.table("x").note("a", 1)
    first.take()["x"].clear()
    assert second.take() == {"x": {"a": 1}}


def test_what_is_given_back_is_returned_again_but_where_it_has_changed(tracking):
    table, follower = tracking.table("x"), tracking.follow()
    table.note("a", 1)
    table.note("b", 1)
    taken = follower.take()
    table.note("b", 2)
    table.note("c", 2)
    follower.give_back(taken)
    assert follower.take() == {"x": {"a": 1, "b": 2, "c": 2}}


def test_who_has_stopped_leaves_the_others(tracking):
    table, first, second = tracking.table("x"), tracking.follow(), tracking.follow()
    table.note("a", 1)
    first.stop()
    assert second.take() == {"x": {"a": 1}}
    second.stop()
    assert table.rows is None


def test_what_is_loaded_while_paused_is_no_change(tracking):
    table, follower = tracking.table("x"), tracking.follow()
    table.note("a", 1)
    with tracking.paused():
        table.note("b", 1)
        tracking.table("y").note("c", 1)
    tracking.table("y").note("d", 1)
    assert follower.take() == {"x": {"a": 1}, "y": {"d": 1}}


def test_rows_of_an_emptied_table_are_noted_in_steps(tracking):
    table, follower = tracking.table("x"), tracking.follow()
    ids = [str(number) for number in range(2 * NOTED_AT_ONCE + 1)]
    assert sum(1 for _ in table.emptied(ids)) == 2
    assert follower.take() == {"x": dict.fromkeys(ids)}
