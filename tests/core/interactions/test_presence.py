from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence import DROPPED_AFTER, TYPING_FOR, PresenceTable
from mesaya_ws.core.interactions.presence_records import NO_SIDE, NOBODY_VIEWS, Part, Viewers, joined

CHANNELS = ("restaurant:r1:tables", "restaurant:r2:tables", "global:restaurants")
CHAT = "restaurant:r1:chat:u1"
GUEST, RESTAURANT = frozenset({"guest"}), frozenset({"restaurant"})
C1, C2, _ = CHANNELS
SIDES = st.frozensets(st.sampled_from(["guest", "restaurant"]))
VIEWERS = st.builds(Viewers, st.integers(0, 50), st.frozensets(st.sampled_from(["x", "y", "z"])))
LEVELS = st.dictionaries(st.sampled_from(CHANNELS), VIEWERS)
PARTS = st.builds(Part, st.integers(0, 9), LEVELS, LEVELS, st.dictionaries(st.just(CHAT), SIDES))


def part(n=1, typing=None, **seen):
    """Return a part in which nothing is asked about."""
    return Part(n, {}, {{"c1": C1, "c2": C2, "chat": CHAT}[name]: level for name, level in seen.items()}, typing or {})


def test_parts_are_replaced_and_summed_and_a_tombstone_takes_its_own_away():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 0, 0)
    assert table.apply("b/0", part(c1=Viewers(3), c2=Viewers(1)), 0, 0) == {C1, C2}
    assert (table.level(C1), table.level(C2)) == (Viewers(5), Viewers(1))
    assert table.apply("b/0", part(2, c1=Viewers(3)), 1, 1) == {C2}
    table.apply("a/0", None, 2, 2)
    assert (table.level(C1), table.level(C2)) == (Viewers(3), NOBODY_VIEWS)


def test_user_on_two_processes_counts_once_and_sides_are_those_of_any():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(1, frozenset("x")), chat=GUEST), 0, 0)
    table.apply("b/0", part(c1=Viewers(0, frozenset("xy")), chat=RESTAURANT), 0, 0)
    assert table.level(C1).number == 3
    assert table.level(CHAT) == GUEST | RESTAURANT


def test_silent_part_is_dropped_fifteen_seconds_after_its_last_record():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 0, 0)
    table.apply("b/0", part(c1=Viewers(1), chat=GUEST), 0, 1000)
    table.apply("a/0", part(2, c1=Viewers(2)), 0, 5000)
    assert table.drops_at() == 1000 + DROPPED_AFTER
    assert list(table.drop(1000 + DROPPED_AFTER - 1)) == []
    assert list(table.drop(1000 + DROPPED_AFTER)) == [{C1, CHAT}]
    assert (table.level(C1), table.level(CHAT)) == (Viewers(2), NO_SIDE)
    assert list(table.silent) == ["b/0"]
    table.apply("b/0", None, 0, 0)
    assert not table.silent


def test_part_whose_process_ended_long_before_another_record_is_gone_when_that_is_read():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 1_000_000, 0)
    table.apply("b/0", part(c1=Viewers(1)), 1_000_000 + DROPPED_AFTER, 0)
    assert table.level(C1) == Viewers(3)
    assert table.apply("b/0", part(2, c1=Viewers(1)), 1_000_001 + DROPPED_AFTER, 0) == {C1}
    assert table.level(C1) == Viewers(1)


def test_first_record_after_an_outage_drops_nobody_who_was_there_before():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 0, 0)
    table.apply("b/0", part(c1=Viewers(1)), 14_000, 14_000)
    table.apply("b/0", part(2, c1=Viewers(1)), 60_000, 60_000)
    assert table.level(C1) == Viewers(3)


def test_clock_of_the_log_that_goes_back_makes_nobody_silent():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 1_000_000, 0)
    table.apply("b/0", part(c1=Viewers(1)), 1_000, 0)
    table.apply("c/0", part(c1=Viewers(1)), 1_001, 0)
    assert table.level(C1) == Viewers(4)


def test_time_in_which_nothing_could_be_read_is_no_silence():
    table = PresenceTable()
    table.apply("a/0", part(c1=Viewers(2)), 0, 0)
    table.apply("b/0", part(c1=Viewers(2)), 0, 4_000)
    table.renew(20_000, 18_000)
    assert table.drops_at() == 18_000 + DROPPED_AFTER
    assert len(list(table.drop(18_000 + DROPPED_AFTER))) == 1
    assert table.drops_at() == 20_000 + DROPPED_AFTER, "nobody was read later than now"


def test_late_record_of_a_process_does_not_undo_a_later_one():
    table = PresenceTable()
    table.apply("a/0", part(5, c1=Viewers(2)), 0, 0)
    assert table.apply("a/0", part(4, c1=Viewers(9)), 1, 1) == set()
    assert table.level(C1) == Viewers(2)


def test_part_that_is_gone_does_not_come_back_by_a_record_of_before():
    table = PresenceTable()
    table.apply("a/0", part(5, c1=Viewers(2)), 0, 0)
    table.apply("a/0", None, 0, 0)
    assert table.apply("a/0", part(5, c1=Viewers(2)), 0, 0) == set()
    table.apply("a/0", part(6, c1=Viewers(1)), 0, 0)
    assert table.level(C1) == Viewers(1)


def test_record_that_is_read_twice_is_no_sign_of_life():
    table = PresenceTable()
    table.apply("a/0", part(5, c1=Viewers(2)), 0, 0)
    table.apply("a/0", part(5, c1=Viewers(2)), 0, 9000)
    assert table.drops_at() == DROPPED_AFTER


def test_typing_ends_with_the_silence_of_its_process():
    table = PresenceTable()
    assert table.apply("a/0", part(typing={CHAT: GUEST}), 0, 0) == {CHAT}
    assert table.typing(CHAT, TYPING_FOR - 1) == GUEST
    assert table.typing(CHAT, TYPING_FOR) == NO_SIDE


def test_channel_is_asked_about_as_long_as_any_part_says_so():
    table = PresenceTable()
    table.apply("a/0", Part(1, {C1: Viewers(1)}), 0, 0)
    assert table.apply("b/0", Part(1, {C1: NOBODY_VIEWS}), 0, 0) == {C1}
    table.apply("a/0", Part(2, {}, {C1: Viewers(1)}), 0, 0)
    assert table.is_asked(C1)
    assert C1 in table.apply("b/0", None, 0, 0)
    assert not table.is_asked(C1)


@given(st.lists(st.tuples(st.sampled_from(["a/0", "a/1", "b/0"]), st.none() | PARTS), max_size=20), st.data())
def test_any_records_end_with_the_sum_of_the_last_of_each_part(records, data):
    table, last, before, numbers = PresenceTable(), {}, {}, {}
    for key, said in records:
        if said is None:
            last.pop(key, None)
        elif said.n > numbers.get(key, -1):
            last[key], numbers[key] = said, said.n
        changed = table.apply(key, said, data.draw(st.integers(0, 100)), 0)
        expected = {}
        for channel in CHANNELS:
            level = NOBODY_VIEWS
            for each in last.values():
                level = joined(level, {**each.asked, **each.seen}.get(channel, NOBODY_VIEWS))
            expected[channel] = level, any(channel in each.asked for each in last.values())
            assert (table.level(channel), table.is_asked(channel)) == expected[channel]
        assert {name for name in expected if expected[name] != before.get(name, (NOBODY_VIEWS, False))} <= changed
        assert table.typing(CHAT, 0) == NO_SIDE.union(*(each.typing.get(CHAT, NO_SIDE) for each in last.values()))
        before = expected
