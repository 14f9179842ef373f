import pytest

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.replay import PAGE_BYTES, Replay, ReplayRange
from mesaya_ws.core.recovery.window import PositionEvicted
from tests.support.instance import a_window

P = Partition("p", 0)
BIG = PAGE_BYTES // 2


def window(*sizes, max_bytes=1 << 20):
    """Return a window with publications of those sizes on the channel `a`, at the offsets 0, 1, 2, …"""
    made = a_window(seconds=60, max_bytes=max_bytes)
    for size in sizes:
        publish(made, size)
    return made


def publish(made, size=1, channel="a"):
    made.add(channel, P, made.serial, 0, made.serial.to_bytes() * size)


def numbers(frames):
    return [frame[0] for frame in frames]


def test_pages_are_bounded_and_the_last_one_says_so():
    replay = Replay(ReplayRange(window(*[BIG] * 5), "a", {P: 1}))
    assert replay.count == 4
    assert numbers(replay.page()) == [1, 2]
    assert not replay.done
    assert numbers(replay.page()) == [3, 4]
    assert replay.done


def test_one_that_is_larger_than_a_page_comes_alone():
    replay = Replay(ReplayRange(window(1, 3 * PAGE_BYTES, 1), "a", {}))
    assert [numbers(replay.page()) for _ in range(3)] == [[0], [1], [2]]


def test_one_that_is_large_is_handed_over_as_it_is():
    made = window(PAGE_BYTES, 1)
    [publication, _] = made.after("a", {})
    [frame] = Replay(ReplayRange(made, "a", {})).page()
    assert b"".join([frame]) is publication.frame


def test_what_is_published_between_two_pages_comes_in_its_turn():
    made = window(BIG, BIG, BIG)
    replay = Replay(ReplayRange(made, "a", {}))
    replay.page()
    publish(made)
    publish(made, channel="b")
    assert numbers(replay.page()) == [2, 3]
    assert replay.done


def test_stretches_follow_one_another():
    past, present = window(BIG, BIG, 1, 1, 1), window(1, 1, 1, 1, 1, 1)
    replay = Replay(ReplayRange(past, "a", {P: 1}, {P: 3}), ReplayRange(present, "a", {P: 3}))
    assert replay.count == 5
    assert numbers(replay.page()) == [1, 2, 3, 4, 5]
    assert replay.done


def test_replay_raises_when_unsent_publications_leave_the_window():
    made = window(BIG, BIG, BIG, max_bytes=4 * BIG)
    replay = Replay(ReplayRange(made, "a", {}))
    replay.page()
    publish(made, 2 * BIG)
    assert [numbers(replay.page()), numbers(replay.page())] == [[2], [3]]
    replay = Replay(ReplayRange(made, "a", {}))
    publish(made, BIG)
    with pytest.raises(PositionEvicted):
        replay.page()


def test_what_has_left_the_window_on_other_channels_was_not_missed():
    made = window(max_bytes=8 * BIG)
    publish(made, 4 * BIG, "b")
    for _ in range(3):
        publish(made, BIG)
    replay = Replay(ReplayRange(made, "a", {}))
    publish(made, 4 * BIG, "b")
    assert made.evicted == 1
    assert numbers(replay.page()) == [1, 2]


def test_replay_keeps_up_with_new_publications():
    past, present = window(*[BIG] * 6), window(max_bytes=2 * BIG)
    replay = Replay(ReplayRange(past, "a", {}, {P: 6}), ReplayRange(present, "a", {P: 6}))
    for _ in range(2):
        publish(present, 2 * BIG, "b")
        replay.page()
    assert present.evicted > 0
    for _ in range(6):
        publish(present)
    assert numbers(replay.page()) == [4, 5]
    assert numbers(replay.page()) == [6, 7]
    assert replay.done


def test_in_another_era_a_place_means_nothing():
    made = window(1, 1)
    replay = Replay(ReplayRange(made, "a", {}))
    made.truncate({P: 0})
    with pytest.raises(PositionEvicted):
        replay.page()


def test_of_the_states_of_one_thing_only_the_newest():
    made = a_window(seconds=60)
    for offset, table in enumerate(["t1", "t2", "t1", None, "t1"]):
        made.add("a", P, offset, 0, bytes([offset]), table)
    assert numbers(Replay(ReplayRange(made, "a", {}), conflates=True).page()) == [1, 3, 4]
    assert numbers(Replay(ReplayRange(made, "a", {}, sent=3), conflates=True).page()) == [3, 4]
