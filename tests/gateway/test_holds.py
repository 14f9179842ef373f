"""What instances propose of table holds, by their own clocks; the log decides by its own."""

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.interactions.hold import Ended
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
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.gateway.appends import Appends
from mesaya_ws.gateway.writers import build_holds
from tests.core.replicas import Replica, SharedLog, said, send
from tests.support.log import NOW, record

LEASE, RECONNECT = 300.0, 30.0


class Instance:
    """An instance that proposes, on a log that its tests read for it; its clock is wrong by so many seconds."""

    def __init__(self, log, name="a", wrong=0.0):
        self.log, self.failing, self.hanging = log, 0, False
        self.replica = Replica(log, name=name)
        self.rules = HoldRules(LEASE, name, trio.current_time, lambda: log.now + round(wrong * 1000))
        self.replica.holds = self.rules
        directory = self.replica.identities.directory
        self.holds = build_holds(self, self.replica.feed, self.rules, directory, RECONNECT)
        self.appends = Appends(self, self.replica.feed, on_place=self.holds.on_appended)
        self.replica.services.append = self.appends.append
        self.replica.report = self.on_record
        self.live = trio.Event()
        self.live.set()
        self.begun = 0

    async def append(self, records):
        await trio.lowlevel.checkpoint()
        if self.failing:
            self.failing -= 1
            raise LogUnavailableError("It is away.")
        self.begun += len(records)
        if self.hanging:
            await trio.sleep_forever()
        return [self.log.append(new.topic, new.value, new.key) for new in records]

    async def run(self, task_status=trio.TASK_STATUS_IGNORED):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.holds.run, self.live)
            nursery.start_soon(self.appends.run)
            task_status.started()

    def on_record(self, record, outcome):
        self.appends.on_record(record)
        self.holds.on_record(record, outcome)

    def read(self):
        self.replica.read()
        self.holds.progressed()
        self.appends.progressed()

    def hold(self, id="h1"):
        outcome = self.replica.feed.known.hold_outcome(id)
        return None if outcome is None else outcome.hold


class TimedLog(SharedLog):
    """A log whose clock runs as that of the test does, unless it is `stopped`."""

    def __init__(self):
        self.ahead, self.began, self.stopped = 0, trio.current_time(), None
        super().__init__()

    @property
    def now(self):
        passed = (trio.current_time() if self.stopped is None else self.stopped) - self.began
        return NOW + self.ahead + round(passed * 1000)

    @now.setter
    def now(self, value):
        self.ahead += value - self.now


@pytest.fixture
async def log():
    log = TimedLog()
    log.restaurant("r1", "o1")
    return log


@pytest.fixture(autouse=True)
def some_jitter():
    random.seed(7)


async def passes(log, seconds, *instances):
    """Let time pass here and in the log, and let the instances read as it does."""
    end = trio.current_time() + seconds
    while True:
        for _ in range(2):
            await wait_all_tasks_blocked()
            for instance in instances:
                instance.read()
        if trio.current_time() >= end:
            return
        await trio.sleep(min(0.5, end - trio.current_time()))


def claim(id="h1", tables=("t1",), slot=None, user="u1", replica="z", n=1):
    return Claim(id, "r1", tables, slot, user, round(LEASE * 1000), replica, n)


def write(log, said):
    new = hold_record(said)
    return log.append(new.topic, new.value, new.key)


def proposed(log, kind):
    records = (read_hold_record(each) for each in log.records if each.topic == HOLDS)
    return [each for each in records if isinstance(each, kind)]


async def test_hold_expires_within_a_second_or_two_of_its_end_whoever_claimed_it(log, nursery, autojump_clock):
    instances = [Instance(log, name) for name in "ab"]
    for instance in instances:
        await nursery.start(instance.run)
    write(log, claim())
    await passes(log, 0, *instances)
    await passes(log, LEASE - 1, *instances)
    assert proposed(log, Expire) == []
    await passes(log, 3, *instances)
    assert instances[0].hold().ended is Ended.EXPIRED
    assert 1 <= len(proposed(log, Expire)) <= 2
    await passes(log, 60, *instances)
    assert len(proposed(log, Expire)) <= 2, "then it rests"


@pytest.mark.parametrize("wrong", [-300.0, 300.0])
async def test_hold_ends_in_time_by_an_instance_whose_clock_is_minutes_wrong(log, nursery, autojump_clock, wrong):
    write(log, claim())
    instance = Instance(log, wrong=wrong)
    await nursery.start(instance.run)
    await passes(log, 0, instance)
    await passes(log, LEASE - 1, instance)
    assert instance.hold().ended is None
    assert len(proposed(log, Expire)) == 1, "one in vain, by which it knows the time of the log"
    await passes(log, 3, instance)
    assert instance.hold().ended is Ended.EXPIRED


async def test_expire_is_proposed_again_while_it_is_too_early_for_the_log(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    write(log, claim())
    await passes(log, 0, instance)
    log.stopped = trio.current_time()
    await passes(log, LEASE + 20, instance)
    assert instance.hold().ended is None
    early = len(proposed(log, Expire))
    assert 1 <= early <= 3, "each is a lesson in what time it is"
    log.stopped = None
    await passes(log, 310, instance)
    assert instance.hold().ended is Ended.EXPIRED


async def test_proposals_wait_for_a_log_that_is_away(log, nursery, autojump_clock, logged):
    instance = Instance(log)
    await nursery.start(instance.run)
    write(log, claim())
    await passes(log, 0, instance)
    instance.failing = 2
    await passes(log, LEASE + 1, instance)
    await passes(log, 5, instance)
    assert instance.hold().ended is Ended.EXPIRED
    assert [line["event"] for line in logged()] == [
        "the ends of table holds cannot be proposed",
        "the ends of table holds are proposed again",
    ]


async def test_hold_ends_when_its_user_has_been_away_for_long_enough(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    session = instance.replica.client("u1")
    watcher = instance.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, instance)
    assert [each["type"] for each in said(session)] == ["selected"]
    session.leave()
    await passes(log, 2 * RECONNECT, instance)
    assert instance.hold().ended is None, "another connection is open"
    watcher.leave()
    await passes(log, RECONNECT - 1, instance)
    assert instance.hold().ended is None
    await passes(log, 2, instance)
    assert instance.hold().ended is Ended.DISCONNECTED
    assert proposed(log, Detach) == [Detach("h1", "a", 1)]


async def test_user_who_comes_back_in_time_keeps_the_hold(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    session = instance.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, instance)
    for _ in range(3):
        session.leave()
        await passes(log, RECONNECT - 1, instance)
        session = instance.replica.client("u1")
    await passes(log, 2 * RECONNECT, instance)
    assert instance.hold().ended is None
    assert proposed(log, Detach | Attach) == []


async def test_user_who_moves_to_another_instance_keeps_the_hold(log, nursery, autojump_clock):
    one, other = instances = [Instance(log, name) for name in "ab"]
    for instance in instances:
        await nursery.start(instance.run)
    session = one.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, *instances)
    session.leave()
    moved = other.replica.client("u1")
    await passes(log, 2 * RECONNECT, *instances)
    assert [each.replica for each in proposed(log, Attach)] == ["b"]
    assert one.hold().attached.keys() == {"b"}
    moved.leave()
    await passes(log, RECONNECT + 1, *instances)
    assert one.hold().ended is other.hold().ended is Ended.DISCONNECTED


async def test_detach_that_is_on_its_way_is_followed_by_an_attach_of_a_user_who_is_back(log, nursery, autojump_clock):
    one, other = instances = [Instance(log, name) for name in "ab"]
    for instance in instances:
        await nursery.start(instance.run)
    tab = other.replica.client("u1")
    session = one.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, *instances)
    session.leave()
    await trio.sleep(RECONNECT + 1)  # the detach is appended, and not read
    assert len(proposed(log, Detach)) == 1
    one.replica.client("u1")
    await passes(log, 0, *instances)
    assert one.hold().attached.keys() == {"a", "b"}
    tab.leave()
    await passes(log, 2 * RECONNECT, *instances)
    assert one.hold().ended is None


async def test_user_who_is_back_is_not_told_of_a_hold_that_a_detach_on_its_way_ends(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    session = instance.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, instance)
    session.leave()
    await trio.sleep(RECONNECT + 1)  # the detach is appended, and not read
    back = instance.replica.client("u1")
    send(back, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1", id=1)
    assert said(back) == []
    await passes(log, 0, instance)
    [answer] = [each for each in said(back) if "id" in each]
    assert (answer["type"], answer["reason"]) == ("released", "disconnected")


async def test_user_whose_claim_is_taken_back_from_a_hold_that_stays_is_attached_anew(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    for each in (claim(replica="b"), claim(replica="a", n=900)):
        write(log, each)
    await passes(log, 0, instance)
    instance.replica.client("u1")
    write(log, Release("h1", None, "abandoned", "a", 900))
    await passes(log, 0, instance)
    assert instance.hold().attached.keys() == {"b", "a"}


async def test_claim_that_is_read_after_its_user_has_left_for_good_ends_too(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    write(log, claim(replica="a", n=5))
    await passes(log, 0, instance)
    await passes(log, RECONNECT + 1, instance)
    assert instance.hold().ended is Ended.DISCONNECTED


async def test_claim_that_was_answered_unavailable_and_turns_up_is_taken_back(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    session = instance.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await trio.sleep(10.1)  # it is appended, and not read
    assert said(session)[0]["code"] == "unavailable"
    await passes(log, 0, instance)
    assert proposed(log, Release) == [Release("h1", None, "abandoned", "a", 1)]
    assert instance.hold().ended is Ended.ABANDONED


async def test_reservation_of_the_user_ends_the_hold_that_it_makes_good(log, nursery, autojump_clock):
    instances = [Instance(log, name) for name in "ab"]
    for instance in instances:
        await nursery.start(instance.run)
    session = instances[0].replica.client("u1")
    for number in (1, 2):
        send(session, "table.select", restaurantId="r1", tableIds=[f"t{number}"], holdId=f"h{number}")
    await passes(log, 0.5, *instances)
    said(session)
    reserve(log, "x1", tableId="t1", userId="u1")
    await passes(log, 1, *instances)
    assert instances[1].hold("h1").ended is Ended.RESERVED
    assert instances[1].hold("h2").ended is None
    assert 1 <= len(proposed(log, Convert)) <= 2
    assert [(each["type"], each["holdId"], each["reason"]) for each in said(session)] == [
        ("released", "h1", "reserved")
    ]


@pytest.mark.parametrize(
    ("slot", "fields", "ends"),
    [
        (None, {"tableId": "t1", "userId": "u2"}, True),
        (None, {"tableId": "t9", "userId": "u2"}, False),
        (None, {"tableId": "t9", "userId": "u1"}, True),
        (None, {"userId": "u1"}, True),
        ((19, 21), {"tableId": "t1", "userId": "u2", "reservationTime": "2027-01-22T20:00:00Z"}, True),
        ((19, 21), {"tableId": "t1", "userId": "u2", "reservationTime": "2027-01-22T21:00:00Z"}, False),
    ],
)
async def test_reservation_ends_a_hold_by_its_table_and_time_or_else_by_its_user(
    log, nursery, autojump_clock, slot, fields, ends
):
    instance = Instance(log)
    await nursery.start(instance.run)
    midnight = 1_800_576_000_000  # 2027-01-22
    hours = slot and Slot(*(midnight + hour * 3_600_000 for hour in slot))
    write(log, claim(slot=hours))
    await passes(log, 0, instance)
    reserve(log, "x1", **fields)
    await passes(log, 1, instance)
    assert (instance.hold().ended is Ended.RESERVED) is ends


def reserve(log, id, **fields):
    new = record("reservation.created", id, restaurantId="r1", status="PENDING", **fields)
    log.append(new.topic, new.value)


async def test_user_is_informed_of_the_end_on_all_connections_and_of_a_release_once(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    phone, tablet = instance.replica.client("u1"), instance.replica.client("u1")
    send(phone, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, instance)
    said(phone)
    send(phone, "table.release", holdId="h1", id=1)
    await passes(log, 0, instance)
    [answer], [notice] = said(phone), said(tablet)
    assert answer == {"id": 1, **notice}
    assert (notice["type"], notice["reason"]) == ("released", "released")
    assert instance.rules.releasing == {}
    send(phone, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h2")
    await passes(log, 0.5, instance)
    send(phone, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h3", id=3)
    await passes(log, 0.5, instance)
    said(phone)
    send(phone, "table.release", holdId="h3", id=4)
    await passes(log, 0.5, instance)
    [answer] = said(phone)
    assert (answer["id"], answer["holdId"], answer["reason"]) == (4, "h2", "released")
    assert instance.rules.releasing == {}


async def test_instance_that_starts_attends_to_the_holds_that_there_are(log, nursery, autojump_clock):
    write(log, claim())
    write(log, claim("h2", ("t2",), user="u2", replica="a", n=1))
    instance = Instance(log)
    session = instance.replica.client("u1")
    await nursery.start(instance.run)
    await passes(log, 0, instance)
    assert instance.hold().attached.keys() == {"z", "a"}
    await passes(log, RECONNECT + 1, instance)
    assert instance.hold("h2").ended is Ended.DISCONNECTED
    await passes(log, LEASE + 2, instance)
    assert instance.hold().ended is Ended.EXPIRED
    assert [each["reason"] for each in said(session)] == ["expired"]


async def test_own_appends_say_what_time_it_is_for_the_log(log, nursery, autojump_clock):
    instance = Instance(log, wrong=300.0)
    await nursery.start(instance.run)
    assert instance.rules.log_time() == log.now + 300_000
    session = instance.replica.client("u1")
    send(session, "table.select", restaurantId="r1", tableIds=["t1"], holdId="h1")
    await passes(log, 0, instance)
    assert abs(instance.rules.log_time() - log.now) <= 10
    assert abs(instance.replica.feed.states.log_time() - log.now) <= 10


def select(session, hold, table):
    send(session, "table.select", restaurantId="r1", tableIds=[table], holdId=hold, id=hold)


async def test_of_all_who_rush_for_a_table_while_the_log_hangs_one_is_written(log, nursery, autojump_clock):
    """Or all would begin their records when the first one's time is over, a moment before their own is."""
    instance = Instance(log)
    instance.hanging = True
    await nursery.start(instance.run)
    guests = [instance.replica.client(f"u{number}") for number in range(20)]
    for number, guest in enumerate(guests):
        select(guest, f"h{number}", "t1")
        await trio.sleep(0.1)
    await passes(log, 9, instance)
    assert [[answer["code"] for answer in said(guest)] for guest in guests] == [["unavailable"]] * 20
    assert instance.begun == 1
    assert not instance.rules.rushes._claims


async def test_hold_that_is_taken_back_has_ended_before_those_who_waited_are_written(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    for number in range(10):  # in whichever order Trio runs what is due
        winner, other = (instance.replica.client(f"{name}{number}") for name in "wo")
        for guest, name in ((winner, "winner"), (other, "other")):
            select(guest, f"{name}-{number}", f"t{number}")
            await wait_all_tasks_blocked()
        winner.leave()
        await passes(log, 1, instance)
        assert [answer["type"] for answer in said(other)] == ["selected"]
    assert len(proposed(log, Release)) == 10


async def test_release_is_answered_once_though_an_earlier_one_was_unavailable(log, nursery, autojump_clock):
    instance = Instance(log)
    await nursery.start(instance.run)
    phone = instance.replica.client("u1")
    select(phone, "h1", "t1")
    await passes(log, 1, instance)
    said(phone)
    send(phone, "table.release", holdId="h1", id=1)
    await trio.sleep(5)
    send(phone, "table.release", holdId="h1", id=2)
    await trio.sleep(5.1)  # the first is appended, and not read
    assert said(phone)[0]["code"] == "unavailable"
    await passes(log, 0, instance)
    assert [answer.get("id") for answer in said(phone)] == [2]
    assert instance.rules.releasing == {}
