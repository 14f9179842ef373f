"""Reservations that nobody acknowledges are repeated, by the log's times, whoever proposes how often."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.interactions.acknowledgements import Ack, Open, Remind, ack_record, read_ack_record
from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Message, Outcome
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.gateway.proposals import SET_AT_ONCE
from mesaya_ws.gateway.reminders import Reminders
from tests.core.replicas import Replica, SharedLog
from tests.steps import counted_task_steps
from tests.support.log import record

AFTER = 60.0


class Instance:
    """An instance with reminders, on a log that its tests read for it."""

    def __init__(self, log):
        self.log, self.failing = log, 0
        self.replica = Replica(log)
        self.reminders = Reminders(self, self.replica.feed, AFTER, jitter=0.0, time_ms=lambda: log.now)
        self.replica.report = self.reminders.on_record
        self.live = trio.Event()
        self.live.set()

    async def append(self, records):
        await trio.lowlevel.checkpoint()
        if self.failing:
            self.failing -= 1
            raise LogUnavailableError("It is away.")
        return [self.log.append(new.topic, new.value, new.key) for new in records]


@pytest.fixture
def log():
    return SharedLog()


def proposed(log):
    return [read_ack_record(each) for each in log.records if each.topic == ACKS]


def created(log, id="x1"):
    new = record("reservation.created", id, restaurantId="r1", userId="u1")
    log.append(new.topic, new.value)


async def passes(log, seconds, *instances):
    """Let time pass here and in the log, and let the instances read."""
    await trio.sleep(seconds)
    log.now += round(seconds * 1000)
    for instance in instances:
        instance.replica.read()
    await wait_all_tasks_blocked()
    for instance in instances:
        instance.replica.read()
    await wait_all_tasks_blocked()


async def test_reservation_is_repeated_three_times_whoever_proposes(log, nursery, autojump_clock):
    instances = [Instance(log), Instance(log)]
    for instance in instances:
        nursery.start_soon(instance.reminders.run, instance.live)
    created(log)
    await passes(log, 0, *instances)
    assert proposed(log) == [Open("x1", "r1", 60_000)] * 2
    for n in (1, 2, 3):
        await passes(log, AFTER - 1, *instances)
        assert instances[0].replica.feed.known.acknowledgement("x1").reminded == n - 1
        await passes(log, 2, *instances)
        await passes(log, 2, *instances)
        assert instances[0].replica.feed.known.acknowledgement("x1").reminded == n
    count = len(proposed(log))
    await passes(log, 10 * AFTER, *instances)
    assert len(proposed(log)) == count, "then it rests"


async def test_acknowledged_reservation_is_not_repeated(log, nursery, autojump_clock):
    instance = Instance(log)
    nursery.start_soon(instance.reminders.run, instance.live)
    created(log)
    await passes(log, 0, instance)
    new = ack_record(Ack("x1", "r1", "o1"))
    log.append(new.topic, new.value, new.key)
    await passes(log, 0, instance)
    await passes(log, 3 * AFTER, instance)
    assert [type(each) for each in proposed(log)] == [Open, Ack]


async def test_proposal_too_early_for_the_log_is_made_again(log, nursery, autojump_clock):
    instance = Instance(log)
    nursery.start_soon(instance.reminders.run, instance.live)
    created(log)
    await passes(log, 0, instance)
    await trio.sleep(AFTER + 0.1)  # the log's clock stands still
    instance.replica.read()
    assert proposed(log)[1:] == [Remind("x1", "r1", 1)]
    assert instance.replica.feed.known.acknowledgement("x1").reminded == 0
    await passes(log, AFTER, instance)
    await passes(log, 5, instance)
    assert instance.replica.feed.known.acknowledgement("x1").reminded == 1


async def test_instance_that_starts_goes_on_with_what_is_open(log, nursery, autojump_clock):
    new = ack_record(Open("x1", "r1", 60_000))
    log.append(new.topic, new.value, new.key)
    instance = Instance(log)
    nursery.start_soon(instance.reminders.run, instance.live)
    await passes(log, AFTER + 1, instance)
    await passes(log, 3, instance)
    assert instance.replica.feed.known.acknowledgement("x1").reminded == 1


async def test_instance_that_starts_looks_at_what_is_acknowledged_in_small_steps(log, nursery):
    instance = Instance(log)
    acks = instance.replica.feed.known.projections.acks
    for number in range(20 * SET_AT_ONCE):
        acks.apply(Open(f"x{number}", "r1", 60_000), log.now)
        acks.apply(Ack(f"x{number}", "r1", "o1"), log.now)
    with counted_task_steps() as steps:
        nursery.start_soon(instance.reminders.run, instance.live)
        await wait_all_tasks_blocked()
    assert steps.taken >= 20


async def test_what_was_created_long_ago_or_is_no_new_reservation_is_not_proposed(log, nursery):
    instance = Instance(log)
    nursery.start_soon(instance.reminders.run, instance.live)
    old = record("reservation.created", "x1", restaurantId="r1")._replace(timestamp=log.now - 700_000)
    message = Message("restaurant:r1:reservations", "reservation.created", "t", {"reservationId": "x1"})
    instance.reminders.on_record(old, Outcome([message], Disposition.PUBLISHED))
    created(log, "x2")
    instance.replica.read()
    updated = record("reservation.updated", "x2", restaurantId="r1", numberOfGuests=3)
    log.append(updated.topic, updated.value)
    instance.replica.read()
    await wait_all_tasks_blocked()
    assert proposed(log) == [Open("x2", "r1", 60_000)]
    assert old.topic == topic_of("reservations")


async def test_proposal_waits_for_a_log_that_is_away(log, nursery, autojump_clock, logged):
    instance = Instance(log)
    instance.failing = 2
    nursery.start_soon(instance.reminders.run, instance.live)
    created(log)
    instance.replica.read()
    await trio.sleep(5)
    assert proposed(log) == [Open("x1", "r1", 60_000)]
    assert [line["event"] for line in logged()] == ["reminders cannot be proposed", "reminders are proposed again"]
