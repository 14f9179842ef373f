import pytest
from hypothesis import given
from hypothesis import strategies as st
from load.histogram import Histogram, bucket_of, top_of

values = st.integers(0, 10**10)


@given(values)
def test_a_bucket_is_as_wide_as_the_precision_allows(value):
    top = top_of(bucket_of(value))
    assert value <= top <= value * (1 + 1 / 128)
    assert bucket_of(top) == bucket_of(value)
    assert bucket_of(top + 1) == bucket_of(value) + 1


@given(st.lists(values, min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_that_of_the_sorted_values(recorded, percent):
    histogram = Histogram()
    for value in recorded:
        histogram.record(value)
    ranked = sorted(recorded)
    exact = next(value for rank, value in enumerate(ranked, 1) if rank >= len(ranked) * percent / 100)
    assert exact <= histogram.percentile(percent) <= exact * (1 + 1 / 128)


@given(st.lists(values), st.lists(values))
def test_merging_is_counting_both(first, second):
    one, other, both = Histogram(), Histogram(), Histogram()
    for value in first:
        one.record(value)
        both.record(value)
    for value in second:
        other.record(value)
        both.record(value)
    one.merge(other)
    assert (one.counts, one.maximum) == (both.counts, both.maximum)


def test_many_at_once_and_values_before_zero():
    histogram = Histogram()
    histogram.record(7, 99)
    histogram.record(-5)
    assert histogram.total == 100
    assert histogram.percentile(1) == 0
    assert histogram.percentile(2) == 7


@pytest.mark.parametrize("percent", [0, 50, 100])
def test_nothing_has_no_percentile(percent):
    assert Histogram().percentile(percent) is None
