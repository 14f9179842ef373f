"""A place that holds a record must hold what that record depended on."""

from math import inf

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Message, Outcome
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.dependencies import Dependencies
from mesaya_ws.core.recovery.recent_records import AT_ONCE, RecentRecords
from tests.steps import most_calls_in_a_step
from tests.support.instance import a_window
from tests.timing import take

BOOKED, PAID, TABLES = (Partition(topic_of(domain), 0) for domain in ("reservations", "payments", "tables"))
STAFF, PLAN = parse_channel("restaurant:R:reservations"), parse_channel("restaurant:R:tables")


@pytest.fixture
def window():
    return a_window(seconds=inf)


@pytest.fixture
def dependencies(window):
    return Dependencies(window)


def published(channel=STAFF, **more):
    return Outcome([Message(channel.name, "x", "", {})], Disposition.PUBLISHED, **more)


def unpublished(*awaits):
    return Outcome((), Disposition.ORPHAN, awaits=awaits)


def holds(dependencies, channel=STAFF, **offsets):
    names = {"booked": BOOKED, "paid": PAID, "tables": TABLES}
    return dependencies.clean(channel, {names[name]: offset for name, offset in offsets.items()})


def test_who_has_the_payment_must_have_the_reservation(dependencies):
    dependencies.note(BOOKED, 5, published(known=("reservation:v",)))
    dependencies.note(PAID, 7, published(parents=("reservation:v",)))
    assert holds(dependencies, booked=6, paid=8)
    assert holds(dependencies, booked=6, paid=7)
    assert holds(dependencies, booked=5, paid=7)
    assert not holds(dependencies, booked=5, paid=8)
    assert holds(dependencies, PLAN, tables=1)


def test_record_before_its_parent_was_published_to_nobody_here(dependencies):
    dependencies.note(PAID, 7, unpublished("reservation:v"))
    assert holds(dependencies, paid=7, booked=5)
    dependencies.note(BOOKED, 5, published(known=("reservation:v",)))
    assert holds(dependencies, paid=8, booked=5)
    assert not holds(dependencies, paid=7, booked=5), "others may have sent it"
    assert not holds(dependencies, paid=7, booked=6)


def test_record_with_its_parent_is_replayed_to_who_lacks_both(dependencies):
    dependencies.note(TABLES, 7, unpublished("section:s"))
    sections = Partition(topic_of("sections"), 0)
    dependencies.note(sections, 5, published(PLAN, known=("section:s",)))
    assert dependencies.clean(PLAN, {TABLES: 7, sections: 5})
    assert dependencies.clean(PLAN, {TABLES: 8, sections: 5})
    assert not dependencies.clean(PLAN, {TABLES: 7, sections: 6})


def test_what_waits_for_one_that_waits_itself_waits_for_both(dependencies):
    upgrade = parse_channel("user:u:notifications")
    subscriptions, restaurants = (Partition(topic_of(domain), 0) for domain in ("subscriptions", "restaurants"))
    dependencies.note(PAID, 3, unpublished("subscription:b"))
    dependencies.note(
        subscriptions, 4, Outcome((), Disposition.ORPHAN, awaits=("restaurant:R",), known=("subscription:b",))
    )
    dependencies.note(
        restaurants, 5, Outcome((), Disposition.BACKFILLED, known=("restaurant:R",), concerned=(upgrade.name,))
    )
    assert not dependencies.clean(upgrade, {PAID: 3, subscriptions: 5, restaurants: 6})
    assert dependencies.clean(upgrade, {PAID: 4, subscriptions: 5, restaurants: 6})


def test_of_two_records_of_one_thing_who_has_the_second_must_have_the_first(dependencies):
    other = BOOKED._replace(number=1)
    dependencies.note(BOOKED, 5, published(), entity="reservation:v")
    dependencies.note(other, 2, published(), entity="reservation:v")
    assert not dependencies.clean(STAFF, {BOOKED: 5, other: 3})
    assert dependencies.clean(STAFF, {BOOKED: 6, other: 3})
    assert dependencies.clean(STAFF, {BOOKED: 6, other: 2})


def test_what_the_window_has_let_go_of_is_lacked_by_nobody(dependencies, window):
    window.raise_floor(BOOKED, 6)
    dependencies.note(BOOKED, 5, published(known=("reservation:v",)))
    dependencies.note(PAID, 7, published(parents=("reservation:v",)))
    assert holds(dependencies, booked=6, paid=8)
    assert not dependencies._pairs


def test_a_topic_that_is_created_again_depends_on_nothing(dependencies):
    dependencies.note(BOOKED, 5, published(known=("reservation:v",)))
    dependencies.note(PAID, 7, published(parents=("reservation:v",)))
    dependencies.note(PAID, 8, unpublished("reservation:w"))
    dependencies.note(BOOKED, 6, published(known=("reservation:w",)))
    list(dependencies.replaced(PAID.topic))
    assert holds(dependencies, booked=5, paid=8)
    assert holds(dependencies, booked=5, paid=0)
    dependencies.note(PAID, 0, published(parents=("reservation:v",)))
    assert not holds(dependencies, booked=5, paid=1)


@pytest.mark.parametrize("forget", [lambda it: it.replaced(BOOKED.topic), lambda it: it.truncated(BOOKED, 0)])
def test_of_many_channels_it_is_forgotten_bit_by_bit(window, forget):
    dependencies = Dependencies(window)
    for number in range(10 * AT_ONCE):
        channel = parse_channel(f"user:{number}:notifications")
        parent = f"reservation:{number}"
        dependencies.note(BOOKED, 2 * number, unpublished(parent))
        dependencies.note(BOOKED, 2 * number + 1, published(channel, known=(parent,)))
        dependencies.note(PAID, 2 * number, unpublished(parent))
        dependencies.note(PAID, 2 * number + 1, published(channel, parents=(parent,), known=(parent,)))
    assert most_calls_in_a_step(forget(dependencies)) < 20 * AT_ONCE
    assert dependencies.clean(channel, {PAID: 2 * number + 2})


def test_what_a_log_has_lost_the_end_of_is_forgotten_from_there_on(dependencies):
    for number in range(3):
        dependencies.note(BOOKED, number, published(known=(f"reservation:{number}",)))
        dependencies.note(PAID, number, published(parents=(f"reservation:{number}",)))
    dependencies.note(PAID, 3, unpublished("reservation:3"))
    dependencies.note(BOOKED, 3, published(known=("reservation:3",)))
    for partition in (BOOKED, PAID):
        list(dependencies.truncated(partition, 1))
    assert not holds(dependencies, booked=0, paid=1)
    assert holds(dependencies, booked=1, paid=1), "what others may have sent is no more"
    dependencies.note(BOOKED, 1, published(known=("reservation:new",)))
    dependencies.note(PAID, 1, published(parents=("reservation:2",)))
    assert holds(dependencies, booked=1, paid=2), "the reservation of that name was lost"
    dependencies.note(PAID, 2, published(parents=("reservation:new",)))
    assert not holds(dependencies, booked=1, paid=3)


def test_before_what_had_to_be_forgotten_nobody_is_sure(window):
    dependencies = Dependencies(window, remembered=3)
    for number in range(6):
        dependencies.note(BOOKED, number, published(known=(f"reservation:{number}",)))
        dependencies.note(PAID, number, published(parents=(f"reservation:{number}",)))
    assert not holds(dependencies, booked=0, paid=0)
    assert holds(dependencies, booked=6, paid=6)
    assert holds(dependencies, booked=3, paid=3)
    assert not holds(dependencies, booked=5, paid=6)
    assert len(dependencies._known) <= 3


def test_what_is_dropped_with_the_window_takes_no_place(window):
    dependencies = Dependencies(window, remembered=3)
    for number in range(100):
        dependencies.note(BOOKED, number, published(known=(f"reservation:{number}",)))
        dependencies.note(PAID, number, published(parents=(f"reservation:{number}",)))
        window.raise_floor(BOOKED, number)
    assert holds(dependencies, booked=99, paid=99), "though long ago more was known than is remembered"
    assert len(dependencies._known) <= 3


@pytest.mark.slow
def test_to_remember_takes_no_longer_the_more_is_remembered():
    def remember(count):
        """Return what 20,000 records take when so many are remembered, and each makes the first one of no use."""
        window = a_window(seconds=inf)
        recent = RecentRecords(window, count + 1)

        def put(numbers):
            for number in numbers:
                window.raise_floor(BOOKED, number - count)
                recent.put(f"reservation:{number}", {BOOKED: number})

        put(range(2 * count))
        rounds = iter([range(2 * count, 2 * count + 20_000), range(2 * count + 20_000, 2 * count + 40_000)])
        return take(lambda: put(next(rounds)))

    assert remember(100_000) < 4 * remember(100)
