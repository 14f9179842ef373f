from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.window import DROPPED_AT_ONCE, PositionEvicted, Window
from tests.steps import calls, most_calls_in_a_step

P, Q = Partition("p", 0), Partition("q", 0)


def newest(publications):
    """Leave out the states of which a later one follows, without an index."""
    publications = list(publications)
    latest = {publication.state_of: publication.serial for publication in publications}
    return [one for one in publications if one.state_of is None or latest[one.state_of] == one.serial]


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


def test_much_that_is_too_old_is_dropped_bit_by_bit():
    window = Window(1, 1_000_000)
    for offset in range(2 * DROPPED_AT_ONCE + 1):
        window.add("a", P, offset, 1000, b"old")
    assert [window.expire(2001), len(window)] == [True, DROPPED_AT_ONCE + 1]
    assert [window.expire(2001), len(window)] == [True, 1]
    assert [window.expire(2001), len(window)] == [False, 0]
    assert not window.expire(2001)


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
    assert frames(window.after("a", {}, serial=1)) == [b"1234"] * 2
    window.add("a", P, 3, 0, b"1234")
    with pytest.raises(PositionEvicted):
        window.after("a", {}, serial=1)


def test_a_topic_that_was_created_anew_is_forgotten():
    window = Window(60, 1000)
    window.add("a", P, 9, 0, b"p")
    window.add("a", Q, 0, 0, b"q")
    window.add("b", P, 10, 0, b"p")
    list(window.truncate({P: 0}))
    assert frames(window.after("a", {})) == [b"q"]
    assert frames(window.after("b", {})) == []
    window.add("a", P, 0, 0, b"new")
    assert frames(window.after("a", {P: 0, Q: 1})) == [b"new"]


def test_in_the_order_they_were_made_whatever_the_partition():
    window = Window(60, 1000)
    for partition, offset, frame in ((Q, 5, b"1"), (P, 0, b"2"), (Q, 6, b"3"), (P, 1, b"4")):
        window.add("a", partition, offset, 0, frame)
    assert frames(window.after("a", {})) == [b"1", b"2", b"3", b"4"]
    assert frames(window.after("a", {}, end={P: 1, Q: 6})) == [b"1", b"2"]
    assert frames(window.after("a", {Q: 6}, end={Q: 7})) == [b"3"], "of a partition left out, the end is 0"
    assert (window.count("a", {}), window.count("a", {P: 1}, end={P: 9}), window.count("b", {})) == (4, 1, 0)


def test_the_floor_is_never_lowered():
    window = Window(60, 4)
    window.add("a", P, 0, 0, b"1234")
    window.raise_floor(P, 5)
    window.add("b", Q, 0, 0, b"1234")
    assert not window.holds([P], {P: 4})


offsets = st.integers(0, 12)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([P, Q]), st.integers(1, 9), st.integers(1, 3))),
    st.integers(0, 60),
    st.fixed_dictionaries({P: offsets, Q: offsets}),
    st.none() | st.fixed_dictionaries({P: offsets, Q: offsets}),
    st.integers(0, 20),
)
def test_whatever_it_holds_is_complete_and_found(publications, max_bytes, vector, end, serial):
    window, offsets, made = Window(60, max_bytes), {P: 0, Q: 0}, []
    for number, (channel, partition, size, step) in enumerate(publications, 1):
        window.add(channel, partition, offsets[partition], 0, bytes(size))
        made.append((channel, number, partition, offsets[partition]))
        offsets[partition] += step  # offsets are not consecutive
    assert window.bytes <= max_bytes
    assert len(window) == window.serial - window.evicted
    for channel in "ab":
        wanted = [
            (number, partition, offset)
            for name, number, partition, offset in made
            if name == channel and offset >= vector[partition] and (end is None or offset < end[partition])
        ]
        kept = [entry[:3] for entry in window.after(channel, vector, end=end)]
        assert kept == [entry for entry in wanted if entry[0] > window.evicted]
        assert len(kept) == window.count(channel, vector, end)
        if window.holds([P, Q], vector):
            assert kept == wanted
        if serial >= window.evicted:
            assert [entry[:3] for entry in window.after(channel, vector, serial, end)] == [
                entry for entry in wanted if entry[0] > serial
            ]


def test_a_place_in_a_long_line_is_found_without_walking_there():
    looked_at = 0

    class Counted(int):
        def __lt__(self, other):
            nonlocal looked_at
            looked_at += 1
            return int(self) < other

        def __gt__(self, other):
            nonlocal looked_at
            looked_at += 1
            return int(self) > other

    window = Window(60, 1_000_000)
    for offset in range(10_000):
        window.add("a", P, Counted(offset), 0, b"x")
    assert window.count("a", {P: Counted(5_000)}) == 5_000
    assert next(window.after("a", {P: Counted(5_000)}, 9_000)).serial == 9_001
    assert looked_at < 100


def test_window_is_cleared_in_steps_and_readers_are_evicted():
    window = Window(60, 1_000_000)
    for offset in range(DROPPED_AT_ONCE + 1):
        window.add("a", P, offset, 0, b"x")
    steps = window.clear()
    next(steps)
    assert (len(window), window.bytes) == (1, 1)
    assert frames(window.after("a", {}, DROPPED_AT_ONCE)) == [b"x"]
    list(steps)
    assert (len(window), window.bytes) == (0, 0)
    with pytest.raises(PositionEvicted):
        window.after("a", {}, DROPPED_AT_ONCE)
    assert not window.holds([P], {P: DROPPED_AT_ONCE})


def test_what_is_taken_back_is_gone_and_others_come_in_its_place():
    window = Window(300, 1000)
    for offset in range(5):
        window.add("a", P, offset, 0, b"%d" % offset)
        window.add("b", Q, offset, 0, b"q")
    window.add("c", P, 3, 0, b"alone")
    window.raise_floor(P, 3)
    taken_back = window.truncate({P: 2})
    assert frames(window.after("a", {})) == [b"0", b"1"], "at once"
    assert window.count("a", {}) == len(window.latest("a", 9)) == 2
    list(taken_back)
    assert window.epoch == 1
    assert window.holds([P], {P: 2})
    assert frames(window.after("a", {})) == [b"0", b"1"]
    assert frames(window.after("c", {})) == []
    window.add("a", P, 2, 0, b"new")
    assert frames(window.after("a", {P: 1})) == [b"1", b"new"]
    assert frames(window.after("b", {})) == [b"q"] * 5


# Without what has been superseded, and the last of all

steps = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([P, Q]),
        st.none() | st.sampled_from("xyz"),
        st.integers(0, 40),
    )
    | st.tuples(st.just("expire"), st.integers(0, 10))
    | st.tuples(st.just("truncate"), st.sampled_from([P, Q]), st.integers(0, 5)),
    max_size=60,
)


@given(steps)
def test_the_newest_and_the_latest_are_those_that_a_search_would_find(steps):
    window, offsets, now, safe = Window(5, 300), {P: 0, Q: 0}, 0, 0
    for step in steps:
        now += 1000
        if step[0] == "expire":
            window.expire(now + step[1] * 1000)
        elif step[0] == "truncate":
            offsets[step[1]] = max(0, offsets[step[1]] - step[2])
            taken_back = window.truncate({step[1]: offsets[step[1]]})
            if step[2] % 2:
                window.expire(now + 3000)  # some leaves the window before it has been taken back everywhere
            for channel in "ab":
                assert all(one.offset < offsets[one.partition] for one in window.after(channel, {}))
            list(taken_back)
            assert not window._cuts
            safe = window.serial  # nobody goes on from a place in another epoch
        else:
            channel, partition, state_of, size = step
            window.add(channel, partition, offsets[partition], now, bytes(size), state_of, now)
            offsets[partition] += 1
        assert window.bytes <= 300
        for channel in "ab":
            everything = list(window.after(channel, {}))
            assert window.latest(channel, 3) == everything[-3:]
            for serial in range(max(safe, window.evicted), window.serial + 1):
                assert list(window.newest(channel, serial)) == newest(window.after(channel, {}, serial))


@given(st.lists(st.tuples(st.sampled_from([P, Q]), st.integers(0, 20)), max_size=30), st.randoms())
def test_the_latest_are_the_same_in_any_order_of_arrival(records, random):
    window, one_source = Window(inf, 1 << 20), Window(inf, 1 << 20)
    one_source.have_one_order = True
    placed = {P: [], Q: []}
    for partition, timestamp in records:
        placed[partition].append(timestamp)
    arrivals = [partition for partition, _ in records]
    random.shuffle(arrivals)
    offsets = {P: 0, Q: 0}
    for partition in arrivals:
        offset = offsets[partition]
        offsets[partition] += 1
        for each in (window, one_source):
            each.add("a", partition, offset, 0, b"", None, placed[partition][offset])
    in_time = sorted(
        (max(times[max(0, len(times) - 4) : offset + 1], default=0), partition, offset)
        for partition, times in placed.items()
        for offset in range(max(0, len(times) - 4), len(times))
    )
    assert [(one.partition, one.offset) for one in window.latest("a", 4)] == [place[1:] for place in in_time[-4:]]
    assert one_source.latest("a", 4) == list(one_source.after("a", {}))[-4:]


def test_what_is_taken_back_leaves_without_a_trace():
    window = Window(5, 1000)
    for offset in range(4):
        window.add("a", P, offset, 0, b"old", "x")
    list(window.truncate({P: 1}))
    window.add("a", P, 1, 0, b"new", "x")
    assert frames(window.after("a", {})) == [b"old", b"new"]
    window.expire(6000)
    assert (len(window), window.bytes, list(window.after("a", {}))) == (0, 0, [])


@pytest.mark.slow
def test_a_page_past_many_states_takes_no_more_than_what_stands():
    window = Window(inf, 1 << 30)
    for offset in range(100_000):
        window.add("a", P, offset, 0, b"state", f"t{offset % 50}")
    assert len(list(window.newest("a", 10))) == 50
    assert calls(lambda: list(window.newest("a", 10))) < 500
    assert calls(lambda: window.latest("a", 20)) < 50


def test_nothing_is_left_of_states_that_have_gone():
    window = Window(5, 1 << 20)
    for offset in range(1000):
        window.add("a", P, offset, 0, b"state", f"t{offset}")
    for _ in window.clear():
        pass
    assert not window._states
    assert not window._channels


def test_newest_of_a_place_that_has_gone():
    window = Window(5, 8)
    for offset in range(3):
        window.add("a", P, offset, 0, b"1234", "x")
    with pytest.raises(PositionEvicted):
        window.newest("a", 0)


def test_what_is_taken_back_on_many_channels_goes_bit_by_bit():
    window = Window(inf, 1 << 30)
    for offset in range(30 * DROPPED_AT_ONCE):
        window.add(f"user:{offset}:notifications", P, offset, 0, b"frame", "x")
    taken_back = window.truncate({P: 1})
    assert not list(window.after(f"user:{DROPPED_AT_ONCE}:notifications", {})), "at once, for who asks"
    assert most_calls_in_a_step(taken_back) < 20 * DROPPED_AT_ONCE
    assert list(window.channels) == ["user:0:notifications"]


@pytest.mark.parametrize("first", [2, 3])
def test_what_is_taken_back_again_before_all_of_it_has_gone(first):
    window = Window(inf, 1 << 20)
    for offset in range(4):
        window.add("a", P, offset, 0, b"%d" % offset)
    pending = [window.truncate({P: first}), window.truncate({P: 5 - first})]
    for taken_back in pending:
        list(taken_back)
        assert frames(window.after("a", {})) == [b"0", b"1"]
    window.add("a", P, 2, 0, b"new")
    assert frames(window.after("a", {})) == [b"0", b"1", b"new"]
