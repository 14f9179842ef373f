import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.revocations import (
    Revocation,
    RevokedTokens,
    revocation_of,
    revocation_record,
)
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.topics import REVOCATIONS

NOW, DAY = 1_790_000_000_000, 86_400_000


def read(value):
    return revocation_of(Record(REVOCATIONS, 0, 0, NOW, None, value))


def test_revocation_is_read_as_it_was_written():
    revocation = Revocation("u1", NOW)
    record = revocation_record(revocation)
    assert (record.topic, record.key) == (REVOCATIONS, b"u1")
    assert read(record.value) == revocation


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"null", b'{"user": "u1"}', b'{"user": "u 1", "before": 1}', b'{"user": 1, "before": 1}']
    + [orjson.dumps({"user": "u1", "before": before}) for before in ("1", 1.5, True, -1, None)],
)
def test_record_that_says_something_else_revokes_nothing(value):
    assert read(value) is None


@given(st.binary())
def test_any_record_is_read_and_never_raises(value):
    assert read(value) is None or isinstance(read(value), Revocation)


def test_tokens_issued_earlier_or_at_no_said_time_are_dead():
    revoked = RevokedTokens(30 * 86_400)
    assert not revoked.is_revoked("u1", None, NOW)
    revoked.put(Revocation("u1", NOW), NOW, NOW)
    assert revoked.is_revoked("u1", None, NOW)
    assert revoked.is_revoked("u1", NOW / 1000 - 1, NOW)
    assert not revoked.is_revoked("u1", NOW / 1000, NOW)
    assert not revoked.is_revoked("u2", None, NOW)


def test_revocation_counts_for_the_age_of_tokens_and_is_dropped_after_it():
    revoked = RevokedTokens(86_400)
    revoked.put(Revocation("u1", NOW - 1000), NOW, NOW)
    assert revoked.is_revoked("u1", None, NOW + DAY - 1)
    assert not revoked.is_revoked("u1", None, NOW + DAY)
    revoked.put(Revocation("u2", NOW + DAY), NOW + DAY, NOW + DAY)
    assert len(revoked) == 1


def test_revocation_takes_no_earlier_one_back():
    revoked = RevokedTokens(86_400)
    revoked.put(Revocation("u1", NOW), NOW, NOW)
    revoked.put(Revocation("u1", NOW - 5000), NOW + 1, NOW)
    assert revoked.before("u1", NOW) == NOW


def test_revocations_are_bounded_and_the_bound_lets_nobody_in():
    revoked = RevokedTokens(86_400, most=2)
    for number in range(4):
        revoked.put(Revocation(f"u{number}", NOW + number * 1000), NOW + number, NOW)
    assert len(revoked) == 2
    for user in ("u0", "u1", "u2", "u3"):
        assert revoked.is_revoked(user, NOW / 1000 - 1, NOW)
    # What is as old as the revocations that gave way is dead, whosever it is.
    assert revoked.is_revoked("somebody", NOW / 1000 + 0.5, NOW)
    assert not revoked.is_revoked("somebody", NOW / 1000 + 1, NOW)
    assert not revoked.is_revoked("somebody", NOW / 1000 - 1, NOW + DAY + 1000)


def test_a_bound_that_was_met_concerns_everybody():
    revoked = RevokedTokens(86_400, most=1)
    revoked.put(Revocation("u0", NOW), NOW, NOW)
    assert revoked.concerns("u0")
    assert not revoked.concerns("somebody")
    revoked.put(Revocation("u1", NOW), NOW, NOW)
    assert revoked.concerns("somebody")


def test_revocations_that_gave_way_count_as_long_as_the_one_that_counts_longest():
    revoked = RevokedTokens(86_400, most=1)
    for user, appended_at in (("u0", NOW + 2000), ("u1", NOW + 1000), ("u2", NOW + 1000)):
        revoked.put(Revocation(user, NOW), appended_at, NOW)
    assert revoked.is_revoked("u0", NOW / 1000 - 1, NOW + DAY + 1500)
    assert not revoked.is_revoked("u0", NOW / 1000 - 1, NOW + DAY + 2000)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_whatever_the_order_what_is_revoked_is_dead_as_long_as_it_counts(revocations):
    revoked, now = RevokedTokens(0.01, most=3), 0
    said = []
    for user, before, time in revocations:
        now = max(now, time)
        revoked.put(Revocation(user, before), time, now)
        said.append((user, before, max(time, before) + 10))
        for other, dead_before, until in said:
            if until > now and dead_before > 0:
                assert revoked.is_revoked(other, (dead_before - 1) / 1000, now)
                assert revoked.is_revoked(other, None, now)
    assert len(revoked) <= 3
