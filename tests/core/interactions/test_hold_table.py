"""The table of holds, and the one property that it is for: never two live holds of a table and slot."""

from time import thread_time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.hold import Ended, Granted, Refused
from mesaya_ws.core.interactions.hold_outcomes import LOOKED_AT_AT_ONCE, MEMORY, HoldOutcomes
from mesaya_ws.core.interactions.hold_records import (
    Attach,
    Claim,
    Convert,
    Detach,
    Expire,
    Release,
    Slot,
    hold_record,
    read_hold_record,
)
from mesaya_ws.core.interactions.hold_table import MAX_LEASE, HoldTable
from mesaya_ws.core.interactions.live_holds import FORGOTTEN_AT_ONCE
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.rows import in_order
from mesaya_ws.core.state.tracking import Tracked, Tracking
from tests.timing import seconds

T = 1_790_000_000_000
LEASE = 300_000


def claim(id="h1", tables=("t1",), slot=None, user="u1", lease=LEASE, replica="a", n=1):
    return Claim(id, "r1", tables, slot, user, lease, replica, n)


def state(table):
    """Everything that decides."""
    holds = sorted(
        (hold.id, hold.until, hold.token, hold.ended, tuple(hold.attached.items())) for hold in table.all_live()
    )
    outcomes = {
        id: (each.hold.id, each.hold.ended) if isinstance(each, Granted) else each
        for id, each in table._outcomes._outcomes.items()
    }
    return holds, outcomes, [(id, until) for id, (until, _) in table._outcomes._over.items()]


def ended(transitions):
    return [(each.hold.id, each.ended) for each in transitions]


def test_second_claim_of_a_table_is_refused_until_the_first_one_ends():
    table = HoldTable()
    [begun] = table.apply(claim(), 7, T)
    assert (begun.hold.token, begun.hold.until, begun.ended) == (7, T + LEASE, None)
    assert table.apply(claim("h2", user="u2"), 8, T + 1) == []
    assert table.outcome("h2") == Refused(T + LEASE, "h1")
    assert ended(table.apply(claim("h3", user="u2"), 9, T + LEASE)) == [("h1", Ended.EXPIRED), ("h3", None)]
    assert table.outcome("h3").hold.token == 9


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        (None, None, True),
        (Slot(1, 5), None, True),
        (None, Slot(1, 5), True),
        (Slot(1, 5), Slot(4, 9), True),
        (Slot(1, 5), Slot(5, 9), False),
        (Slot(5, 9), Slot(1, 5), False),
    ],
)
def test_holds_overlap_if_a_slot_is_missing_or_the_slots_intersect(one, two, overlap):
    table = HoldTable()
    table.apply(claim(slot=one), 0, T)
    table.apply(claim("h2", ("t1", "t2"), two, "u2"), 1, T)
    assert isinstance(table.outcome("h2"), Refused) is overlap


def test_repeated_claim_is_answered_with_the_hold_and_does_not_extend_it():
    table = HoldTable()
    table.apply(claim(), 0, T)
    assert table.apply(claim("h2", replica="b", n=5), 1, T + 1000) == []
    hold = table.outcome("h2").hold
    assert (hold.id, hold.until, hold.attached) == ("h1", T + LEASE, {"a": 1, "b": 5})


def test_known_id_is_answered_with_its_first_outcome_also_when_that_has_ended():
    table = HoldTable()
    table.apply(claim(), 0, T)
    assert ended(table.apply(Release("h1", "u1", "released"), 1, T)) == [("h1", Ended.RELEASED)]
    assert table.apply(claim(), 2, T + 1) == []
    assert table.outcome("h1").hold.ended is Ended.RELEASED


def test_user_has_at_most_two_live_holds_in_a_restaurant():
    table = HoldTable()
    for number in range(3):
        table.apply(claim(f"h{number}", (f"t{number}",)), number, T + number)
    assert table.outcome("h2") == Refused(T + LEASE, None)


def test_release_counts_of_its_user_or_of_staff_only():
    table = HoldTable()
    table.apply(claim(), 0, T)
    assert table.apply(Release("h1", "u2", "released"), 1, T) == []
    assert ended(table.apply(Release("h1", None, "abandoned"), 2, T)) == [("h1", Ended.ABANDONED)]


def test_early_expire_is_void_and_a_late_one_ends_the_hold():
    table = HoldTable()
    table.apply(claim(), 0, T)
    assert table.apply(Expire("h1"), 1, T + LEASE - 1) == []
    assert ended(table.apply(Expire("h1"), 2, T + LEASE)) == [("h1", Ended.EXPIRED)]
    assert table.apply(Expire("h1"), 3, T + LEASE + 1) == []


def test_lease_is_at_most_a_quarter_of_an_hour():
    table = HoldTable()
    table.apply(claim(lease=10**12), 0, T)
    assert table.outcome("h1").hold.until == T + MAX_LEASE


def test_late_detach_is_fenced_and_the_last_one_ends_the_hold():
    table = HoldTable()
    table.apply(claim(), 0, T)
    table.apply(Attach("h1", "u1", "a", 2), 1, T)
    table.apply(Attach("h1", "u1", "b", 1), 2, T)
    table.apply(Attach("h1", "u2", "c", 1), 3, T)
    assert table.apply(Detach("h1", "a", 1), 4, T) == []
    assert table.apply(Detach("h1", "a", 2), 5, T) == []
    assert ended(table.apply(Detach("h1", "b", 1), 6, T)) == [("h1", Ended.DISCONNECTED)]


def test_hold_that_is_reserved_ends_and_no_longer_stands_in_the_way():
    table = HoldTable()
    table.apply(claim(), 0, T)
    assert ended(table.apply(Convert("h1", "x"), 1, T)) == [("h1", Ended.RESERVED)]
    assert ended(table.apply(claim("h2", user="u2"), 2, T)) == [("h2", None)]


def test_retry_of_a_claim_attaches_its_user_and_no_earlier_taking_back_ends_the_hold():
    """The first replica answers `unavailable`, and takes the claim back; meanwhile the retry is answered by another."""
    table = HoldTable()
    table.apply(claim(), 0, T)
    table.apply(claim(replica="b", n=4), 1, T)
    assert table.apply(Release("h1", None, "abandoned", "a", 1), 2, T) == []
    assert table.outcome("h1").hold.attached == {"b": 4}
    table.apply(claim(replica="b", n=5), 3, T)
    assert table.apply(Release("h1", None, "abandoned", "b", 4), 4, T) == [], "also to the same replica"
    assert ended(table.apply(Release("h1", None, "abandoned", "b", 5), 5, T)) == [("h1", Ended.ABANDONED)]
    table.apply(claim(replica="b", n=6), 6, T)
    assert table.outcome("h1").hold.ended is Ended.ABANDONED


def test_known_id_of_another_user_attaches_nobody():
    table = HoldTable()
    table.apply(claim(), 0, T)
    table.apply(claim(user="u2", replica="b"), 1, T)
    assert table.outcome("h1").hold.attached == {"a": 1}


def test_table_is_held_whatever_restaurant_a_claim_names():
    table = HoldTable()
    table.apply(claim(), 0, T)
    table.apply(claim("h2", user="u2")._replace(restaurant="r2"), 1, T)
    assert table.outcome("h2") == Refused(T + LEASE, "h1")
    table.apply(claim("h3")._replace(restaurant="r2"), 2, T)
    assert table.outcome("h3") == Refused(T + LEASE, "h1")


def test_claims_past_the_most_live_holds_are_refused_as_too_many():
    table = HoldTable(max_live=2)
    for number in range(3):
        table.apply(claim(f"h{number}", (f"t{number}",), user=f"u{number}"), number, T)
    assert table.outcome("h2") == Refused(T + LEASE, None)
    assert len(table) == 2


def test_end_of_the_log_that_is_lost_takes_its_holds_along():
    table = HoldTable()
    table.apply(claim(), 5, T)
    table.apply(claim("h2", ("t2",), user="u2"), 6, T)
    table.apply(claim("h3", ("t2",), user="u3"), 7, T)
    list(table.truncate(6))
    assert [hold.id for hold in table.all_live()] == ["h1"]
    assert table.outcome("h2") is None
    assert ended(table.apply(claim("h4", ("t2",), user="u3"), 6, T)) == [("h4", None)]


@pytest.mark.parametrize(("next_offset", "steps"), [(0, 8), (4 * LOOKED_AT_AT_ONCE, 4)], ids=["all", "none"])
def test_end_of_the_log_that_is_lost_is_looked_for_in_small_steps(next_offset, steps):
    table = HoldTable()
    for number in range(4 * LOOKED_AT_AT_ONCE):
        table.apply(claim(f"h{number}", (f"t{number}",), user=f"u{number}"), number, T)
    assert len(list(table.truncate(next_offset))) == steps
    assert len(table) == next_offset


def first_look(claims):
    """Return how long the first step takes that looks for what the log has lost: the shortest time of three."""
    outcomes = HoldOutcomes(Tracked())
    for number in range(claims):
        outcomes.remember(f"h{number}", Refused(0, None), 0)
    return min(seconds(lambda: next(outcomes.granted_since(0))) for _ in range(3))


def test_first_look_for_what_the_log_has_lost_takes_as_long_however_many_claims_there_are():
    assert first_look(100_000) < 20 * first_look(1_000), "to copy their ids is a hundred times as much"


def test_discarded_table_is_empty_in_small_steps():
    table = HoldTable()
    for number in range(FORGOTTEN_AT_ONCE + 1):
        table.apply(claim(f"h{number}", (f"t{number}",), user=f"u{number}"), number, T)
    assert len(list(table.discard())) >= 2
    assert (len(table), table.live("r1"), table.of_user("u1"), list(table.rows())) == (0, [], [], [])


def test_what_is_over_is_forgotten_ten_minutes_after_its_end():
    table = HoldTable()
    table.apply(claim(), 0, T)
    table.apply(claim("h2", user="u2"), 1, T)
    table.apply(Release("h1", "u1", "released"), 2, T)
    over = T + LEASE + MEMORY
    table.apply(Expire("x"), 3, over - 1)
    assert table.outcome("h1")
    assert table.outcome("h2")
    table.apply(Expire("x"), 4, over)
    assert table.outcome("h1") is None
    assert table.outcome("h2") is None
    assert not table._outcomes._over


IDS = st.sampled_from([f"h{number}" for number in range(6)])
REASONS = st.sampled_from(["released", "abandoned"])
USERS, REPLICAS, NUMBERS = st.sampled_from(["u1", "u2"]), st.sampled_from(["a", "b"]), st.integers(0, 3)
SLOTS = st.none() | st.tuples(st.integers(0, 5), st.integers(1, 3)).map(lambda each: Slot(each[0], sum(each)))
RESTAURANTS = st.sampled_from(["r1", "r1", "r2"])
LEASES = st.sampled_from([1, 50, LEASE])
TABLES = st.lists(st.sampled_from(["t1", "t2", "t3"]), min_size=1, max_size=3, unique=True).map(sorted).map(tuple)
RECORDS = st.one_of(
    st.builds(Claim, IDS, RESTAURANTS, TABLES, SLOTS, USERS, LEASES, REPLICAS, NUMBERS),
    st.builds(Release, IDS, st.none() | USERS, REASONS, st.none(), st.just(0)),
    st.builds(Release, IDS, st.none() | USERS, REASONS, REPLICAS, NUMBERS),
    st.builds(Attach, IDS, USERS, REPLICAS, NUMBERS),
    st.builds(Detach, IDS, REPLICAS, NUMBERS),
    st.builds(Expire, IDS),
    st.builds(Convert, IDS, st.just("x1")),
)
# Append times: mostly a little later, now and then an hour off in either direction.
STEPS = st.sampled_from([0, 1, 40, 60, 1000, LEASE, 3_600_000, -3_600_000])


def assert_no_two_overlap(table):
    live = list(table.all_live())
    for number, one in enumerate(live):
        for two in live[number + 1 :]:
            meet = set(one.tables) & set(two.tables)
            apart = one.slot and two.slot and (one.slot.end <= two.slot.start or two.slot.end <= one.slot.start)
            assert not meet or apart, (one, two)


@given(st.lists(st.tuples(RECORDS, STEPS), max_size=40))
def test_any_records_at_any_times_leave_no_two_live_holds_of_a_table_and_slot(records):
    table, at, tokens = HoldTable(), T, []
    for offset, (record, step) in enumerate(records):
        at += step
        begun = [each.hold.token for each in table.apply(record, offset, at) if each.ended is None]
        tokens += begun
        assert_no_two_overlap(table)
    assert tokens == sorted(set(tokens)), "a token is greater than all before it"


def placeless(table):
    """Return rows in their order, without the numbers that say it: of those, each replica has its own."""
    return [(id, row[:-1]) for id, row in table.rows()]


@given(st.lists(st.tuples(RECORDS, STEPS), max_size=40))
def test_rows_that_were_taken_by_their_ids_are_those_that_are_known(records):
    tracking = Tracking()
    follower, rows, at = tracking.follow(), {}, T
    table = HoldTable(tracking=tracking)
    for offset, (record, step) in enumerate(records):
        at += step
        table.apply(record, offset, at)
        rows |= follower.take().get("hold", {})
        rows = {id: row for id, row in rows.items() if row is not None}
        assert rows == dict(table.rows())
    again = loaded((id, row) for _, id, row in in_order(("hold", id, row) for id, row in rows.items()))
    assert state(again) == state(table)
    list(table.discard())
    assert set(follower.take().get("hold", {}).values()) <= {None}


def loaded(rows):
    table = HoldTable()
    for id, row in orjson.loads(orjson.dumps(list(rows))):
        table.load(id, row)
    return table


@given(st.lists(st.tuples(RECORDS, STEPS), max_size=40), st.integers(0, 40))
def test_table_that_was_kept_and_loaded_goes_on_as_the_other_does(records, kept_at):
    one = other = HoldTable()
    at = T
    for offset, (record, step) in enumerate(records):
        if offset == kept_at:
            other = loaded(one.rows())
            assert state(other) == state(one)
        at += step
        transitions = [(each.hold.id, each.ended) for each in one.apply(record, offset, at)]
        if other is not one:
            assert transitions == [(each.hold.id, each.ended) for each in other.apply(record, offset, at)]
            assert state(other) == state(one)
            assert placeless(other) == placeless(one)


@given(st.lists(st.tuples(RECORDS, STEPS), min_size=1, max_size=40))
def test_draft_says_what_the_table_will_and_changes_nothing(records):
    table, at = HoldTable(), T
    for offset, (record, step) in enumerate(records):
        at += step
        before = state(table)
        drafted = ended(table.draft().apply(record, offset, at))
        assert state(table) == before
        assert drafted == ended(table.apply(record, offset, at))


@pytest.mark.parametrize("row", [[1], None, [None, None, 5, "x"], [*"rtsutukae", None, 5]])
def test_row_that_is_none_is_refused(row):
    with pytest.raises(ValueError, match=r"."):
        HoldTable().load("h1", row)


@settings(max_examples=60)
@given(st.data())
@pytest.mark.slow
def test_replicas_with_wrong_clocks_agree_at_every_offset(data):
    """Each replica reads the log at its own pace and proposes by its own clock; the log takes what comes."""
    offsets = data.draw(st.lists(st.integers(-400_000, 400_000), min_size=2, max_size=3), "clocks")
    log, replicas, read = [], [HoldTable() for _ in offsets], [0] * len(offsets)
    states, at = {}, T

    def append(record):
        log.append((record, at))

    for _ in range(data.draw(st.integers(1, 60), "steps")):
        at += data.draw(STEPS.filter(lambda step: step >= 0), "passes")
        who = data.draw(st.integers(0, len(offsets) - 1), "replica")
        table = replicas[who]
        match data.draw(st.sampled_from(["claim", "read", "read", "expire", "any", "again"]), "does"):
            case "claim":
                append(data.draw(RECORDS))
            case "any":
                append(data.draw(RECORDS))
            case "again" if log:
                append(data.draw(st.sampled_from(log))[0])
            case "expire":
                for hold in table.all_live():
                    if at + offsets[who] >= hold.until:
                        append(Expire(hold.id))
            case _:
                for _ in range(data.draw(st.integers(1, 5))):
                    if read[who] < len(log):
                        table.apply(log[read[who]][0], read[who], log[read[who]][1])
                        read[who] += 1
                        assert_no_two_overlap(table)
                        assert states.setdefault(read[who], state(table)) == state(table)
    for who, table in enumerate(replicas):
        for offset in range(read[who], len(log)):
            table.apply(log[offset][0], offset, log[offset][1])
    assert all(state(table) == state(replicas[0]) for table in replicas)


@given(RECORDS)
def test_record_is_read_as_it_was_written(record):
    new = hold_record(record)
    assert read_hold_record(Record(HOLDS, 0, 0, T, new.key, new.value)) == record


def test_what_is_over_is_forgotten_as_fast_however_much_was_before_it():
    """Nobody would wait for one record, but for the many of one step."""
    table, many = HoldTable(), 100_000
    table.apply(claim("live", lease=MAX_LEASE), 0, T)
    started = thread_time()
    for number in range(many):
        table.apply(claim(f"h{number}", user=f"u{number}"), number + 1, T)
    refusing = (thread_time() - started) / many
    records, started = 0, thread_time()
    while table._outcomes._over:
        table.apply(Expire("none"), many + records, T + MAX_LEASE + MEMORY)
        records += 1
    assert records <= many / 3
    assert (thread_time() - started) / records < 2 * refusing


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(0, 9), st.lists, max_leaves=5).map(orjson.dumps))
def test_any_bytes_are_poison_and_raise_nothing_else(value):
    with pytest.raises(BadFieldError):
        read_hold_record(Record(HOLDS, 0, 0, T, None, value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tables": []},
        {"tables": ["t"] * 5},
        {"tables": "t"},
        {"from": 5, "to": 5},
        {"from": 5},
        {"lease_ms": 0},
        {"lease_ms": 1.5},
        {"n": True},
        {"user": None},
        {"holdId": "a b"},
        {"type": "hold"},
        {"type": ["claim"]},
    ],
)
def test_claim_with_a_wrong_field_is_poison(wrong):
    fields = orjson.loads(hold_record(claim()).value) | wrong
    with pytest.raises(BadFieldError):
        read_hold_record(Record(HOLDS, 0, 0, T, None, orjson.dumps(fields)))
