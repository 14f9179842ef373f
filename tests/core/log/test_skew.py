import pytest

from mesaya_ws.core.log.skew import Skews

NOW = 1_800_000_000_000


def arrive(skews, ahead, at=0.0, *, topic="t", waited=False):
    """Have a record arrive whose time is so many seconds ahead of ours."""
    return skews.arrived(topic, NOW + round(ahead * 1000), NOW, at, waited=waited)


@pytest.mark.parametrize("ahead", [0.0, 4.9, -0.2, -59.0])
def test_what_a_network_explains_is_nothing_to_be_said(ahead):
    skews = Skews()
    assert [arrive(skews, ahead, at) for at in (0.0, 20.0)] == [None, None]
    assert skews.seconds == {"t": ahead}


@pytest.mark.parametrize("waited", [False, True])
def test_record_from_the_future_means_a_wrong_clock_at_once(waited):
    assert arrive(Skews(), 300.0, waited=waited) == 300.0


def test_record_that_is_late_once_is_no_wrong_clock():
    skews = Skews()
    assert arrive(skews, -300.0, 0.0) is None
    assert arrive(skews, 0.0, 5.0) is None
    assert arrive(skews, -300.0, 20.0) is None


def test_records_late_by_the_same_twice_mean_a_wrong_clock():
    skews = Skews()
    assert [arrive(skews, -300.0 - at / 100, at) for at in (0.0, 5.0, 10.0, 20.0)] == [None, None, -300.1, None]


def test_skew_of_a_topic_is_reported_once_a_minute():
    skews = Skews()
    assert [arrive(skews, 300.0, at) for at in (0.0, 59.0, 60.0, 61.0)] == [300.0, None, 300.0, None]


def test_records_late_by_less_each_time_are_no_wrong_clock():
    skews = Skews()
    assert [arrive(skews, -300.0 + 6 * at, at) for at in (0.0, 10.0, 20.0, 30.0)] == [None] * 4


def test_history_may_be_of_any_age():
    skews = Skews()
    assert [arrive(skews, -1e6, at, waited=True) for at in (0.0, 20.0, 40.0)] == [None] * 3


def test_topics_have_clocks_of_their_own():
    skews = Skews()
    arrive(skews, -300.0, 0.0)
    assert arrive(skews, -300.0, 20.0, topic="other") is None
    assert arrive(skews, -300.0, 20.0) == -300.0
