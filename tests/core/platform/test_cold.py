"""Entities on disk are those in memory, whatever is committed when, and however little of them is in memory."""

from itertools import pairwise
from random import Random

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.feed.router import process
from mesaya_ws.core.platform.cold import CACHE_BYTES, KEPT_AT_ONCE, ColdRows, OnDisk
from mesaya_ws.core.platform.endings import ENDED_AT_ONCE, ON_DISK
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.rows import encoded, known_in
from mesaya_ws.core.platform.settled import DAY
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.state.interface import Changes, CorruptStateError
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.state.stored import PAGE, MemberIds, MemberIndex, Stored
from mesaya_ws.core.state.tracking import Tracking
from tests.support.log import event

NOON = 20_000 * DAY + DAY // 2
KEEP = 3
TOPICS = [topic_of("reservations"), topic_of("payments")]


class Disk:
    """Projections whose reservations and payments are on disk, and a store to which they are committed."""

    def __init__(self, store=None, cache_bytes=0, remembered=1000):
        self.store = MemoryState() if store is None else store
        self.remembered = remembered
        stored = Stored()
        stored.view = self.store
        self.on_disk = OnDisk(stored, cache_bytes)
        tracking = Tracking()
        self.projections = Projections(remembered, KEEP, tracking, self.on_disk)
        self.follower = tracking.follow()

    def commit(self, fails=False):
        """Commit what has changed, or fail to."""
        self.begin()(fails)

    def begin(self):
        """Take what is to be committed; return what commits it, or fails to."""
        taken, cold = self.follower.take(), self.projections.capture_cold()
        rows = {
            table: {id: None if value is None else encoded(value) for id, value in changed.items()}
            for table, changed in {**taken, "places": self.projections.next_places()}.items()
        }

        def commit(fails=False):
            if fails:
                self.follower.give_back(taken)
                return
            members = {name: changed for each in cold for name, changed in each.members.items()}
            self.store.commit(Changes(b"", rows, members, emptied=[name for each in cold for name in each.emptied]))
            for each in cold:
                list(each.committed(rows))

        return commit

    def reserve(self, ids):
        """Take in reservations."""
        for id in ids:
            process(event("reservation.created", id, restaurantId="R", status="PENDING"), self.projections)

    def restarted(self):
        """Return another one that goes on with what has been committed."""
        other = Disk(self.store, self.on_disk.cache_bytes, self.remembered)
        for table in self.store.tables():
            if table not in ("alive/reservation", "alive/payment"):
                rows = [(table, id, orjson.loads(value)) for id, value in self.store.rows(table)]
                for row in sorted(rows, key=lambda row: row[2][-1] if isinstance(row[2], list) else 0):
                    load_row(other.projections, *row)
        other.follower.take()
        return other


def known(projections):
    """Return all that is known, by table and id."""
    return {(table, id): encoded(value) for table, id, value in rows_of(projections)}


def story(random, count):
    """Yield events about a few reservations and payments of two restaurants, over some days; and what else happens."""
    day = 0.0
    for offset in range(count):
        day += random.choice([0, 0, 0.1, 0.4, 1.5])
        place = {"timestamp": NOON + round(day * DAY), "offset": offset}
        id, restaurant = random.choice("abcdef"), random.choice("RQ")
        fields = random.choice(
            [
                {
                    "restaurantId": restaurant,
                    "userId": "u",
                    "reservationTime": f"2026-01-2{random.randrange(4)}T19:00:00Z",
                },
                {"restaurantId": restaurant},
                {"numberOfGuests": offset},
                {"reservationTime": "2026-01-21T19:00:00Z"},
            ]
        )
        match random.randrange(12):
            case 0:
                yield event("reservation.deleted", id, **place)
            case 1:
                yield event(f"restaurant.{random.choice(['created', 'deleted'])}", restaurant, **place, name="x")
            case 2:
                yield random.choice(TOPICS)
            case 3 | 4:
                status = random.choice(["PENDING", "COMPLETED"])
                yield event("payment.updated", id, **place, reservationId=id, paymentStatus=status)
            case _:
                status = random.choice(["PENDING", "COMPLETED", "NO_SHOW"])
                yield event("reservation.updated", id, **place, **fields, status=status)


@settings(deadline=None, phases=[Phase.generate])
@given(st.integers(0, 2**32), st.sampled_from([0, 2000, CACHE_BYTES]), st.sampled_from([1, 1000]))
@pytest.mark.slow
def test_what_is_known_is_the_same_on_disk_and_in_memory(seed, cache_bytes, remembered):
    random = Random(seed)
    memory, disk = Projections(remembered, KEEP), Disk(cache_bytes=cache_bytes, remembered=remembered)
    for each in story(random, 60):
        if isinstance(each, str):
            list(memory.replaced(each))
            list(disk.projections.replaced(each))
        else:
            before = disk.projections.draft()
            process(each, before)
            outcome = process(each, memory)
            assert process(each, disk.projections) == outcome
            memory.endings.end_all()
            disk.projections.endings.end_all()
        match random.randrange(6):
            case 0:
                disk.commit(fails=True)
            case 1:
                disk.commit()
            case 2:
                disk.commit()
                disk = disk.restarted()
        check(memory, disk.projections)
    disk.commit()
    assert {table for table, _ in known(disk.restarted().projections)} == {table for table, _ in known(memory)}
    assert known(disk.restarted().projections) == known(memory)


def check(memory, disk):
    """Check that all that is asked of projections is answered alike."""
    assert known(disk) == known(memory)
    for kind in ("reservation", "payment"):
        one, other = memory.entities[kind], disk.entities[kind]
        assert set(other.alive) == set(one.alive)
        assert len(other.alive) == len(one.alive)
        assert bool(other.alive) == bool(one.alive)
        for id in "abcdef":
            assert other.alive.get(id) == one.alive.get(id)
            assert (id in other.alive) == (id in one.alive)
            assert other.newest(id) == one.newest(id)
            assert other.last(id) == one.last(id)
    for restaurant in "RQ":
        for day in ("", "2026-01-20", "2026-01-22"):
            coming = list(memory.schedule.since(restaurant, day))
            assert list(disk.schedule.since(restaurant, day)) == coming
            assert disk.schedule.count_since(restaurant, day, 3) == min(3, len(coming))
        under = memory.entities["reservation"].children.under("restaurantId", restaurant)
        assert dict(disk.entities["reservation"].children.under("restaurantId", restaurant)) == under
        ids = [
            table.children.ids_under("restaurantId", restaurant)
            for table in (p.entities["reservation"] for p in (memory, disk))
        ]
        assert (
            taken(ids[0]) == taken(ids[1]) == [each["reservationId"] for each in memory.schedule.since(restaurant, "")]
        )


def taken(ids):
    found = []
    while ids:
        found.append(ids.pop())
    return found


def test_memory_is_bounded_whatever_is_read_and_written():
    disk = Disk(cache_bytes=20_000)
    for number in range(2000):
        place = {"timestamp": NOON, "offset": number}
        process(
            event("reservation.created", f"r{number}", **place, restaurantId="R", status="PENDING"), disk.projections
        )
        if number % 500 == 499:
            disk.commit()
    rows = disk.projections.entities["reservation"].cold
    assert 10 < len(rows.hot) < 100
    for number in range(2000):
        assert disk.projections.entities["reservation"].alive[f"r{number}"]["restaurantId"] == "R"
        assert f"nobody {number}" not in disk.projections.entities["reservation"].alive
        assert rows.cached_bytes <= 20_000 + 2000
    assert len(rows.hot) < 200
    assert len(disk.projections.entities["reservation"].alive) == 2000


def test_what_could_not_be_committed_stays_in_memory():
    disk = Disk()
    disk.reserve(["r"])
    disk.commit(fails=True)
    assert "r" in disk.projections.entities["reservation"].alive
    disk.commit()
    assert not disk.projections.entities["reservation"].cold.hot
    assert "r" in disk.projections.entities["reservation"].alive


@pytest.mark.parametrize("stored", [0, 1, KEPT_AT_ONCE + 1])
@pytest.mark.parametrize("cache_bytes", [0, CACHE_BYTES])
def test_all_rows_are_read_although_a_commit_ends_meanwhile(stored, cache_bytes):
    disk = Disk(cache_bytes=cache_bytes)
    rows = disk.projections.entities["reservation"].cold
    old, new = [f"m{number:03}" for number in range(stored)], ["a", "b", "m0", "z"]
    disk.reserve(old)
    disk.commit()
    disk.reserve(new)
    commit = disk.begin()
    reads = [rows.ids(), (id for id, _ in rows.items())]
    found = [[next(read)] for read in reads]
    commit()
    for ids, read in zip(found, reads, strict=True):
        assert sorted([*ids, *read]) == sorted([*old, *new])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"7",
        b"[{}, [1, 2, 3], 4, 1]",
        b"[[], [1, 2, 3], 4, 0]",
        b"[{}, 3, 4, 0]",
        b"{",
        b"[{}, [1, 2, 3]]",
        b'[{}, [1, 2, "3"], 4]',
        b"[[], [1, 2, 3], 4]",
    ],
)
def test_what_is_no_row_is_corrupt_and_reported(value):
    with pytest.raises((ValueError, TypeError)):
        known_in(value)
    stored, reported = Stored(), []
    stored.on_damage = reported.append
    stored.view = store = MemoryState()
    store.commit(Changes(b"", {"alive/x": {"a": value}}))
    with pytest.raises(CorruptStateError):
        ColdRows("alive/x", OnDisk(stored, CACHE_BYTES)).find("a")
    assert len(reported) == 1


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from([b"a", b"b", b"c"]), st.booleans(), st.booleans())))
def test_members_are_those_of_the_store_with_what_has_changed(changes):
    stored = Stored()
    stored.view = store = MemoryState()
    index, expected = MemberIndex("of", stored), {"p": set(), "q": set()}
    for parent, member, belongs, commits in changes:
        index.put(parent, member, belongs=belongs)
        (expected[parent].add if belongs else expected[parent].discard)(member)
        if commits:
            store.commit(Changes(b"", members={"of": index.capture()}))
            index.committed()
        for each, members in expected.items():
            assert list(index.members(each)) == sorted(members)
            assert index.page(each, b"b", 1) == sorted(member for member in members if member >= b"b")[:1]
            assert index.count(each, b"", 2) == min(2, len(members))
        assert index.parents() >= {each for each, members in expected.items() if members}


def test_ids_of_many_members_are_taken_in_pages_and_removed():
    stored = Stored()
    stored.view = store = MemoryState()
    index = MemberIndex("of", stored)
    names = [f"{number:05}" for number in range(2 * PAGE + 3)]
    store.commit(Changes(b"", members={"of": {"p": {name.encode(): True for name in names}}}))
    assert taken(MemberIds(index, "p", removes=True)) == names
    assert not list(index.members("p"))
    ids = MemberIds(index, "p")
    assert not ids
    with pytest.raises(IndexError):
        ids.pop()


def test_what_does_not_exist_takes_no_memory_when_it_is_looked_for():
    reservations = Disk().projections.entities["reservation"]
    for number in range(10):
        assert reservations.alive.get(f"r{number}") is None
        assert f"r{number}" not in reservations.alive
    assert len(reservations.cold.hot) == 1


def test_of_what_is_on_disk_less_is_forgotten_in_one_step_than_in_memory():
    disk = Disk()
    alive, endings = disk.projections.entities["reservation"].alive, disk.projections.endings

    def complete(id, offset, timestamp):
        place = {"offset": offset, "timestamp": timestamp}
        disk.projections.apply(event("reservation.created", id, **place, restaurantId="R", status="COMPLETED"))

    for number in range(2 * ENDED_AT_ONCE):
        complete(f"r{number}", number, NOON)
    disk.commit()
    for number in range(2 * ENDED_AT_ONCE, 2 * ENDED_AT_ONCE + 2):  # a single record from the future makes nothing old
        complete("late", number, NOON + (KEEP + 1) * DAY)
    steps = [left := len(alive)]
    while endings.end_some():
        steps.append(left := len(alive))
    assert left == 1
    assert max(before - after for before, after in pairwise(steps)) <= ENDED_AT_ONCE // ON_DISK
