import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.shared_snapshots import NEW, SharedSnapshots
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.window import PositionEvicted
from tests.support.instance import a_window

A, B = parse_channel("restaurant:a:tables"), parse_channel("restaurant:b:tables")
NOWHERE: Offsets = {}


@pytest.fixture
def window():
    return a_window(seconds=60)


@pytest.fixture
def states():
    return SharedSnapshots(1_000_000)


def written(channel, window, size=400_000):
    """Return a state of about so many bytes, in several frames."""
    tables = [{"notes": "x" * 1000}] * (size // 1000)
    state = Snapshot(channel, {"tables": tables}, "p", True, window)
    list(state.write())
    return state


def test_a_state_is_shared_while_it_is_new(states, window):
    state = written(A, window)
    states.keep(state, 10.0)
    assert states.find(A, window, 10.0 + NEW - 1) is state
    assert states.find(B, window, 10.0) is None
    assert states.find(A, window, 10.0 + NEW) is None


def test_a_state_that_the_window_does_not_continue_is_not_shared(states, window):
    states.keep(written(A, window), 10.0)
    window.epoch += 1
    assert states.find(A, window, 10.0) is None


def test_a_state_is_let_go_when_it_is_not_new_and_nobody_holds_it(states, window):
    states.keep(written(A, window), 10.0)
    states.keep(written(B, window), 11.0)
    assert states.bytes > 800_000
    assert states.forget(10.0) == 10.0 + NEW
    assert states.forget(10.0 + NEW) == 11.0 + NEW
    assert 400_000 < states.bytes < 800_000
    assert states.forget(11.0 + NEW) is None
    assert states.bytes == 0


def test_a_state_that_a_client_still_takes_counts(states, window):
    states.keep(written(A, window), 10.0)
    frames = states.find(A, window, 10.0).frames()
    next(frames)
    states.forget(10.0 + NEW)
    assert states.bytes > 400_000
    for _ in frames:
        pass
    del frames
    assert states.bytes == 0


def test_the_oldest_states_give_way(states, window):
    held = []
    for number, channel in enumerate((A, B, A, B)):
        state = written(channel, window)
        states.keep(state, float(number))
        held.append(state.frames())
        next(held[-1])
    assert states.bytes < 1_000_000
    for frames in held[:2]:
        with pytest.raises(PositionEvicted):
            next(frames)
    assert [sum(1 for _ in frames) > 1 for frames in held[2:]] == [True, True]


def test_one_state_may_be_larger_than_all_may_be(states, window):
    states.keep(written(A, window), 1.0)
    large = written(B, window, 3_000_000)
    states.keep(large, 2.0)
    assert states.bytes == large.size
    assert states.find(A, window, 2.0) is None
    assert states.find(B, window, 2.0) is large


def test_what_counts_is_the_newest_state_of_a_channel(states, window):
    states.keep(written(A, window), 1.0)
    states.keep(written(B, window), 2.0)
    newest = written(A, window)
    states.keep(newest, 3.0)
    assert states.forget(1.0 + NEW) == 2.0 + NEW
    assert states.find(A, window, 2.5 + NEW) is newest


def test_what_is_only_new_gives_way_before_what_a_client_still_takes(states, window):
    channels = [parse_channel(f"restaurant:{name}:tables") for name in "abcdefgh"]
    states.keep(written(channels[0], window), 0.0)
    frames = states.find(channels[0], window, 0.0).frames()
    next(frames)
    for number, channel in enumerate(channels[1:], 1):
        states.keep(written(channel, window), number / 10)
        assert states.bytes < 1_000_000
        assert states.find(channel, window, number / 10) is not None
    assert sum(1 for _ in frames) > 3
