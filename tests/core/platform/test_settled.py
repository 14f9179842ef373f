from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.settled import DAY, SETTLED
from tests.support.log import event

KEEP = 3
NOON = 20_000 * DAY + DAY // 2
STATUS = {"reservation": "status", "payment": "paymentStatus"}


def at(day, number=0):
    return {"timestamp": NOON + round(day * DAY), "offset": number}


def known(projections):
    """Return all that is known, as a checkpoint has it; the order of what came in another order apart."""
    rows = ((table, id, value[:-1] if table != "settled" else value) for table, id, value in rows_of(projections))
    return sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows)


def new():
    return Projections(keep_settled_days=KEEP)


def apply(projections, *events):
    for each in events:
        projections.apply(each)
        projections.endings.end_all()


def restarted(projections):
    """Return projections that have begun with a checkpoint."""
    again = new()
    for row in rows_of(projections):
        load_row(again, *row)
    return again


def booked(id, day, number, status="COMPLETED"):
    return event(
        "reservation.status_changed", id, **at(day, number), restaurantId="R", userId="u", tableId="t", status=status
    )


def days_pass(until, first=0):
    """Return records of others, two at noon of each day: a single one does not say that a day has begun."""
    return [booked(f"of-{day}.{n}", day, 100 + 2 * day + n, "PENDING") for day in range(first, until) for n in range(2)]


@pytest.mark.parametrize("status", ["REJECTED", "CANCELLED", "COMPLETED", "NO_SHOW"])
def test_settled_reservation_is_forgotten_when_it_is_older_than_that(status):
    projections = new()
    apply(projections, booked("r", 0, 0, status), *days_pass(KEEP + 1))
    assert projections.entities["reservation"].knows("r")
    apply(projections, *days_pass(KEEP + 2, KEEP + 1))
    assert not projections.entities["reservation"].knows("r")
    assert b'"r"' not in b"".join(known(projections))


@pytest.mark.parametrize("status", ["PENDING", "CONFIRMED", "CHECKED_IN"])
def test_reservation_that_is_not_settled_stays(status):
    projections = new()
    apply(projections, booked("r", 0, 0, status), *days_pass(KEEP + 9))
    assert projections.entities["reservation"].knows("r")


def test_another_record_begins_the_days_anew_and_another_state_ends_them():
    projections = new()
    apply(projections, booked("r", 0, 0), booked("s", 0, 1), *days_pass(2), booked("r", 2, 900, "NO_SHOW"))
    apply(projections, booked("s", 2, 901, "CONFIRMED"), *days_pass(KEEP + 2, 2))
    table = projections.entities["reservation"]
    assert table.knows("r")
    apply(projections, *days_pass(KEEP + 5, KEEP + 2))
    assert not table.knows("r")
    assert table.knows("s")


@pytest.mark.parametrize("restart", range(2 * (KEEP + 2)))
def test_checkpoint_anywhere_forgets_at_the_same_record(restart):
    one, days = new(), days_pass(KEEP + 2)
    apply(one, booked("r", 0, 0), *days[:restart])
    another = restarted(one)
    for each in days[restart:]:
        apply(one, each)
        apply(another, each)
        assert known(one) == known(another)
    assert not another.entities["reservation"].knows("r")


def test_late_record_of_a_forgotten_reservation_is_one_of_an_unknown_one():
    projections, never_known = new(), new()
    days = days_pass(KEEP + 2)
    apply(projections, booked("r", 0, 0), *days)
    apply(never_known, *days)
    late = event("reservation.status_changed", "r", **at(KEEP + 2, 950), restaurantId="R", status="CANCELLED")
    outcome, expected = process(late, projections), process(late, never_known)
    assert outcome.messages == expected.messages
    assert [message.data["previousStatus"] for message in outcome.messages] == [None]
    assert known(projections) == known(never_known)


def test_payment_of_a_forgotten_reservation_waits_for_it_as_for_an_unknown_one():
    projections = new()
    apply(projections, booked("r", 0, 0))
    paid = event("payment.created", "p", **at(0), reservationId="r", amount=1)
    assert process(paid, projections).messages
    apply(projections, *days_pass(KEEP + 2))
    assert process(event("payment.created", "q", **at(KEEP + 2), reservationId="r", amount=1), projections).awaits


def test_single_record_from_the_future_makes_nothing_old():
    projections = new()
    apply(projections, booked("r", 0, 0), booked("x", 5000, 1, "PENDING"), *days_pass(2))
    assert projections.entities["reservation"].knows("r")


def test_without_days_nothing_is_forgotten():
    projections = Projections()
    apply(projections, booked("r", 0, 0), *days_pass(KEEP + 9))
    assert projections.entities["reservation"].knows("r")


def test_what_is_forgotten_is_in_no_checkpoint_and_many_are_forgotten_in_pieces():
    projections = new()
    for number in range(1000):
        projections.apply(booked(f"r{number}", 0, number))
    before = len(list(rows_of(projections)))
    days = days_pass(KEEP + 2)
    apply(projections, *days[:-1])
    projections.apply(days[-1])
    assert projections.endings.pending, "200 at once"
    assert sum(1 for _ in projections.endings.end_in_steps()) >= 3
    assert len(list(rows_of(projections))) == before - 1000 + len(days)


KINDS = st.sampled_from(sorted(SETTLED))
RECORDS = st.lists(
    st.tuples(
        KINDS,
        st.sampled_from("abcd"),
        st.floats(0, 2),
        st.sampled_from(["created", "updated", "status_changed", "status_changed", "deleted"]),
        st.sampled_from(["PENDING", "COMPLETED", "CANCELLED", None]),
        st.booleans(),
    ),
    max_size=40,
)


def log_of(records):
    """Return the events of each topic, in a partition each: times go on, and now and then back a little."""
    topics, day = {kind: [] for kind in SETTLED}, 0.0
    for number, (kind, id, passes, what, status, is_whole) in enumerate(records):
        day += passes - 0.1
        data = {} if status is None else {STATUS[kind]: status}
        if is_whole and kind == "reservation":
            data |= {"restaurantId": "R", "userId": "u", "tableId": "t"}
        elif is_whole:
            data |= {"reservationId": "a", "amount": number}
        topics[kind].append(event(f"{kind}.{what}", id, **at(day, number), **data))
    return topics


@given(RECORDS, st.integers(0, 2**32))
def test_all_forget_the_same_in_any_order_of_topics_and_from_a_checkpoint_anywhere(records, seed):
    topics, random = log_of(records), Random(seed)
    one = new()
    apply(one, *(each for events in topics.values() for each in events))
    another = new()
    rest = [list(events) for events in topics.values() if events]
    while rest:
        events = random.choice(rest)
        apply(another, events.pop(0))
        rest = [events for events in rest if events]
        if random.random() < 0.2:
            another = restarted(another)
    assert known(one) == known(another)
    assert known(restarted(one)) == known(one)
