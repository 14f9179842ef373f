from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log_rate import LogRate


def test_each_key_once_a_period():
    rate = LogRate(period=60)
    asked = [("a", 0), ("b", 1), ("a", 59), ("a", 60), ("b", 60.9), ("b", 61), ("a", 119)]
    assert [rate.permits(*one) for one in asked] == [True, True, False, True, False, True, False]


def test_so_many_keys_and_no_more():
    rate = LogRate(period=60, most=2)
    assert [rate.permits(key, 0) for key in "abcab"] == [True, True, False, False, False]
    assert [rate.permits(key, 60) for key in "cdab"] == [True, True, False, False]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 30)), max_size=100), st.integers(1, 4))
def test_no_period_has_more_lines_than_it_may(asked, most):
    rate, now, lines = LogRate(period=10, most=most), 0.0, []
    for key, pause in asked:
        now += pause
        if rate.permits(key, now):
            lines.append((key, now))
    for _, begin in lines:
        within = [key for key, at in lines if begin <= at and at - begin < 10]
        assert len(within) == len(set(within)) <= most
