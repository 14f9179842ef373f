import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.event_log import Partition
from mesaya_ws.core.window import Overtaken, Window

P, Q = Partition("p", 0), Partition("q", 0)


def frames(publications):
    return [publication.frame for publication in publications]


def test_what_a_channel_has_missed():
    window = Window(60, 1000)
    window.add("a", P, 3, 0, b"one")
    window.add("b", P, 4, 0, b"other")
    window.add("a", Q, 0, 0, b"two")
    window.add("a", P, 7, 0, b"three")
    assert frames(window.after("a", {})) == [b"one", b"two", b"three"]
    assert frames(window.after("a", {P: 4})) == [b"two", b"three"]
    assert frames(window.after("a", {P: 8, Q: 1})) == []
    assert frames(window.after("a", {}, serial=3)) == [b"three"]
    assert frames(window.after("nobody's", {})) == []


def test_bounded_in_bytes_the_oldest_give_way():
    window = Window(60, 10)
    for offset in range(5):
        window.add("a", P, offset, 0, b"1234")
    assert (len(window), window.bytes) == (2, 8)
    assert window.holds([P], {P: 3})
    assert not window.holds([P], {P: 2})
    assert not window.holds([P], {})
    assert window.holds([Q], {})


def test_bounded_in_age():
    window = Window(1, 1000)
    window.add("a", P, 0, 1000, b"old")
    window.add("a", P, 1, 1500, b"new")
    window.expire(2000)
    assert len(window) == 2
    window.expire(2001)
    assert frames(window.after("a", {P: 1})) == [b"new"]
    assert not window.holds([P], {P: 0})
    window.expire(10_000)
    assert (len(window), window.bytes) == (0, 0)


def test_one_that_is_larger_than_the_bound_is_not_kept():
    window = Window(60, 3)
    window.add("a", P, 0, 0, b"1234")
    assert (len(window), window.bytes) == (0, 0)
    assert not window.holds([P], {P: 0})


def test_what_was_never_read_is_not_promised():
    window = Window(60, 1000)
    window.raise_floor(P, 100)
    assert window.holds([P], {P: 100})
    assert not window.holds([P], {P: 99})


def test_a_slow_replay_is_overtaken():
    window = Window(60, 8)
    window.add("a", P, 0, 0, b"1234")
    window.add("a", P, 1, 0, b"1234")
    assert frames(window.after("a", {}, serial=1)) == [b"1234"]
    window.add("a", P, 2, 0, b"1234")
    assert len(window.after("a", {}, serial=1)) == 2
    window.add("a", P, 3, 0, b"1234")
    with pytest.raises(Overtaken):
        window.after("a", {}, serial=1)


def test_a_topic_that_was_created_anew_is_forgotten():
    window = Window(60, 1000)
    window.add("a", P, 9, 0, b"p")
    window.add("a", Q, 0, 0, b"q")
    window.add("b", P, 10, 0, b"p")
    window.forget(P)
    assert frames(window.after("a", {})) == [b"q"]
    assert (len(window), window.bytes) == (1, 1)
    window.add("a", P, 0, 0, b"new")
    assert frames(window.after("a", {P: 0, Q: 1})) == [b"new"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([P, Q]), st.integers(1, 9))), st.integers(0, 40))
def test_whatever_it_holds_is_complete(publications, max_bytes):
    window, offsets, made = Window(60, max_bytes), {P: 0, Q: 0}, []
    for channel, partition, size in publications:
        frame = bytes(size)
        window.add(channel, partition, offsets[partition], 0, frame)
        made.append((channel, partition, offsets[partition], frame))
        offsets[partition] += 1
    assert window.bytes <= max_bytes
    for start in range(max(offsets.values()) + 1):
        vector = {P: start, Q: start}
        if window.holds([P, Q], vector):
            for channel in "ab":
                kept = [(entry.partition, entry.offset) for entry in window.after(channel, vector)]
                assert kept == [(p, offset) for name, p, offset, _ in made if name == channel and offset >= start]
