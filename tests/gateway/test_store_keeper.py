import os
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import LogMetadata, Records, Truncated
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.state.interface import Changes, CorruptStateError, StateError
from mesaya_ws.gateway import store_keeper as module
from mesaya_ws.gateway.opened_store import StateLostError
from mesaya_ws.gateway.store_keeper import StoreKeeper
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import SettingsError
from mesaya_ws.statestore.directory import MAX_STARTS, StateFolder
from mesaya_ws.statestore.store import FILE
from tests.support.instance import a_feed
from tests.support.log import NOW, record
from tests.timing import PATIENCE

ANNOUNCEMENTS = Partition(topic_of("announcements"), 0)
RESERVATIONS = Partition(topic_of("reservations"), 0)
CHANNEL = parse_channel("global:announcements")


class Instance:
    """A feed that announces, and its store in `directory`."""

    def __init__(self, directory, max_bytes=1 << 20, *, begins=True, **options):
        self.feed = a_feed(max_bytes=max_bytes, retention=Retention(1e6, 1 << 30), cache_bytes=0)
        self.metrics, self.status = Metrics(), Status()
        soon = {"flush_interval": 0.05, "check_interval": 0.01}
        self.store = StoreKeeper(StateFolder(directory), self.feed, self.metrics, self.status, **soon, **options)
        self.number = self.reserved = 0
        if not begins:
            return
        self.feed.ingest(LogMetadata({at: OffsetRange(0, 0, "id") for at in (ANNOUNCEMENTS, RESERVATIONS)}, {}), NOW)
        list(self.feed.process(NOW))

    def announce(self):
        said = record("announcement.created", f"a{self.number}", offset=self.number, timestamp=NOW, title="t")
        self.number += 1
        self.feed.ingest(Records(ANNOUNCEMENTS, [said], 0), NOW)
        list(self.feed.process(NOW))

    def reserve(self, id):
        """Take in a reservation, of which nothing stays in memory when it is committed."""
        said = record(
            "reservation.created", id, offset=self.reserved, timestamp=NOW, restaurantId="R", status="PENDING"
        )
        self.reserved += 1
        self.feed.ingest(Records(RESERVATIONS, [said], 0), NOW)
        list(self.feed.process(NOW))

    async def committed(self):
        """Return when what has been announced is in the store."""
        with trio.fail_after(PATIENCE):
            while self.metrics.state is None or self.feed.persistent.uncommitted or self.store.is_failing:
                await self.next_try()

    async def next_try(self):
        """Return after the next try to commit, while the feed goes on as it does in a gateway."""
        list(self.feed.process(NOW))
        await self.store.next_try()

    async def count(self):
        return await self.store.read(lambda view: view.count(CHANNEL.name, {}))


@pytest.fixture
async def instance(tmp_path, nursery):
    instance = Instance(tmp_path)
    with instance.store:
        await trio.to_thread.run_sync(instance.store.open)
        nursery.start_soon(instance.store.run)
        yield instance
        nursery.cancel_scope.cancel()


async def test_what_is_published_is_committed_with_its_place(instance):
    for _ in range(3):
        instance.announce()
    await instance.committed()
    assert await instance.count() == 3
    assert instance.metrics.state.entries >= 3, "and notes"
    assert not instance.feed.history.anew


async def test_commit_that_was_under_way_is_not_taken_for_the_one_that_was_requested(instance):
    """It may have captured what it writes before the rest was published."""
    writers = instance.store._writers
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, writers:
            instance.announce()
            while not writers.statistics().tasks_waiting:
                await trio.lowlevel.checkpoint()
            instance.announce()
            nursery.start_soon(instance.store.commit_now)
            await wait_all_tasks_blocked(0.05)
    assert await instance.count() == 2


async def test_a_second_process_in_the_directory_is_refused_with_a_sentence(instance, tmp_path):
    with pytest.raises(SettingsError, match=f"STATE_DIR: {tmp_path} is used by another process"):
        Instance(tmp_path).store.__enter__()


async def test_a_store_whose_file_is_deleted_is_begun_anew_and_promises_nothing_before(instance, tmp_path):
    instance.announce()
    await instance.committed()
    (tmp_path / "0" / FILE).unlink()
    instance.announce()
    with trio.fail_after(PATIENCE):
        while not instance.metrics.state_failures or instance.store.is_failing:
            await instance.next_try()
    instance.announce()
    await instance.committed()
    assert await instance.count() == 1
    assert instance.feed.history.floors[ANNOUNCEMENTS] == 2
    assert not instance.feed.history.reaches_back(CHANNEL, {ANNOUNCEMENTS: 1})
    assert instance.status.state is None


async def test_a_store_that_has_what_is_not_in_memory_is_written_again_when_its_file_is_deleted(instance, tmp_path):
    for number in range(3):
        instance.reserve(f"r{number}")
    await instance.committed()
    reservations = instance.feed.known.projections.entities["reservation"]
    (tmp_path / "0" / FILE).unlink()
    instance.reserve("r3")
    with trio.fail_after(PATIENCE):
        while not instance.metrics.state_failures or instance.store.is_failing:
            assert all(f"r{number}" in reservations.alive for number in range(4)), "they are read from what is open"
            await instance.next_try()
    await instance.committed()
    assert not reservations.cold.hot, "all is on disk"
    assert [f"r{number}" in reservations.alive for number in range(5)] == [True] * 4 + [False]
    assert await instance.store.read(lambda view: view.ids("alive/reservation", None, 9)) == ["r0", "r1", "r2", "r3"]


async def test_what_is_looked_up_is_counted_by_whether_it_was_in_memory(instance):
    instance.reserve("r0")
    await instance.committed()
    before, hits = instance.metrics.entity_reads, instance.metrics.entity_hits
    alive = instance.feed.known.projections.entities["reservation"].alive
    assert alive.get("r0") == alive["r0"]
    instance.reserve("r1")
    await instance.committed()
    with trio.fail_after(PATIENCE):
        while instance.metrics.entity_reads == before or instance.metrics.entity_hits == hits:
            await instance.next_try()


async def test_a_process_ends_when_what_is_not_in_memory_is_damaged_and_the_next_one_begins_anew(tmp_path):
    instance, path = Instance(tmp_path), tmp_path / "0" / FILE

    async def live():
        with instance.store:
            await trio.to_thread.run_sync(instance.store.open)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(instance.store.run)
                instance.reserve("r0")
                await instance.committed()
                with path.open("r+b") as file:
                    file.seek(path.read_bytes().index(b'"reservationId":"r0"'))
                    file.write(b"????")
                    file.flush()
                    os.fsync(file.fileno())
                with pytest.raises(CorruptStateError):
                    instance.feed.known.projections.entities["reservation"].alive.get("r0")
                with trio.fail_after(PATIENCE):
                    await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await live()
    assert raised.group_contains(StateLostError)
    assert path.with_name(f"{FILE}.aside").exists()
    again = Instance(tmp_path, begins=False)
    with again.store:
        await trio.to_thread.run_sync(again.store.open)
        assert await again.store.stored(FakeLog(), [ANNOUNCEMENTS.topic]) is None


async def test_a_disk_that_cannot_be_written_leaves_what_it_has_to_be_read(instance, monkeypatch):
    instance.reserve("r0")
    await instance.committed()

    def fail(changes):
        raise StateError("The disk is full.")

    with monkeypatch.context() as full:
        full.setattr(instance.store._store.opened, "commit", fail)
        instance.reserve("r1")
        with trio.fail_after(PATIENCE):
            while not instance.store.is_failing:
                await instance.next_try()
        await instance.next_try()
        alive = instance.feed.known.projections.entities["reservation"].alive
        assert "r0" in alive
        assert "r1" in alive
    await instance.committed()
    assert await instance.store.read(lambda view: view.ids("alive/reservation", None, 9)) == ["r0", "r1"]


@pytest.mark.parametrize("step", ["view", "pin"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_what_was_committed_is_not_committed_again_when_it_could_not_be_seen(
    instance, monkeypatch, step, is_first
):
    """The commit is on disk, and what follows it fails."""
    if not is_first:
        instance.reserve("r0")
        await instance.committed()
    opened = instance.store._store.opened

    def fail(*_):
        raise StateError("There are too many readers.")

    with monkeypatch.context() as full:
        full.setattr(opened, step, fail)
        instance.reserve("r1")
        instance.announce()
        with trio.fail_after(PATIENCE):
            while not instance.store.is_failing:
                await instance.next_try()
        await instance.next_try()
        assert "r1" in instance.feed.known.projections.entities["reservation"].alive
        instance.reserve("r2")
        instance.announce()
    await instance.committed()
    ids = [f"r{number}" for number in range(is_first, 3)]
    assert await instance.store.read(lambda view: view.ids("alive/reservation", None, 9)) == ids
    assert set(instance.feed.known.projections.entities["reservation"].alive) == set(ids)
    assert await instance.count() == 2
    assert instance.feed.history.reaches_back(CHANNEL, {}), "nothing was begun anew"


async def test_a_directory_that_cannot_be_written_is_said_and_used_when_it_can(tmp_path, nursery):
    place = tmp_path / "state"
    place.write_text("a file")
    instance = Instance(place)
    with instance.store:
        await trio.to_thread.run_sync(instance.store.open)
        nursery.start_soon(instance.store.run)
        instance.announce()
        assert "STATE" not in str(instance.status.reasons)
        assert any("The state directory cannot be used" in reason for reason in instance.status.reasons)
        assert instance.status.state is not None
        assert await instance.count() is None
        place.unlink()
        await instance.committed()
        assert await instance.count() == 1, "what came meanwhile was kept"
        assert instance.status.state is None
        nursery.cancel_scope.cancel()


async def test_a_value_that_has_changed_has_the_store_set_aside(instance, tmp_path):
    instance.announce()
    await instance.committed()
    frame = (await instance.store.read(lambda view: view.since(CHANNEL.name, {}, 1000))).publications[0].frame
    path = tmp_path / "0" / FILE
    with path.open("r+b") as file:
        at = path.read_bytes().index(frame)
        file.seek(at)
        file.write(b"?" * 4)
        file.flush()
        os.fsync(file.fileno())
    assert await instance.store.read(lambda view: view.since(CHANNEL.name, {}, 1000)) is None
    with trio.fail_after(PATIENCE):
        while instance.store.is_failing:
            await instance.next_try()
    assert path.with_name(f"{FILE}.aside").exists()
    instance.announce()
    await instance.committed()
    assert await instance.count() == 1


async def test_a_log_that_has_lost_its_end_begins_the_store_anew(instance):
    for _ in range(3):
        instance.announce()
    await instance.committed()
    instance.feed.ingest(Truncated(ANNOUNCEMENTS, 1), NOW)
    list(instance.feed.process(NOW))
    instance.feed.progress.gaps_announced()
    assert instance.feed.history.anew, "nothing is read from the store until then"
    assert not instance.feed.history.reaches_back(CHANNEL, {ANNOUNCEMENTS: 0}), "nothing is promised of before"
    instance.number = 1
    instance.announce()
    await instance.committed()
    with trio.fail_after(PATIENCE):
        while instance.feed.history.anew:
            await instance.store.next_try()
    assert await instance.count() == 1


async def test_a_store_with_which_no_start_succeeds_is_not_used_for_ever(tmp_path):
    for number in range(MAX_STARTS + 1):
        assert not (tmp_path / "0" / f"{FILE}.aside").exists(), number
        instance = Instance(tmp_path)
        instance.feed.progress.live = False
        with instance.store:
            await trio.to_thread.run_sync(instance.store.open)
    assert (tmp_path / "0" / f"{FILE}.aside").exists()


async def test_a_store_with_which_a_process_became_ready_is_used_again(tmp_path):
    for _ in range(2 * MAX_STARTS):
        instance = Instance(tmp_path)
        instance.feed.progress.live = False
        with instance.store:
            await trio.to_thread.run_sync(instance.store.open)
            instance.store.note_ready()
    assert not (tmp_path / "0" / f"{FILE}.aside").exists()


async def test_the_log_waits_at_the_start_while_too_much_is_to_be_committed(tmp_path, nursery):
    instance = Instance(tmp_path, max_waiting=2)
    with instance.store:
        await trio.to_thread.run_sync(instance.store.open)
        instance.announce()
        instance.announce()
        instance.feed.progress.live = False
        with trio.move_on_after(0.05) as waiting:
            await instance.store.make_room()
        assert waiting.cancelled_caught
        nursery.start_soon(instance.store.run)
        with trio.fail_after(PATIENCE):
            await instance.store.make_room()
        nursery.cancel_scope.cancel()


async def test_a_view_that_raises_is_no_error_of_the_caller(instance):
    def fail(view):
        raise module.StateError("The disk is gone.")

    assert await instance.store.read(partial(fail)) is None
    assert instance.store.is_failing


async def test_a_gateway_goes_on_where_the_store_stands_with_all_that_is_known(tmp_path, nursery):
    first, log = Instance(tmp_path), FakeLog()
    with first.store:
        await trio.to_thread.run_sync(first.store.open)
        assert await first.store.stored(log, [ANNOUNCEMENTS.topic]) is None
        nursery.start_soon(first.store.run)
        for _ in range(3):
            first.announce()
        await first.committed()
        nursery.cancel_scope.cancel()
    second = Instance(tmp_path, begins=False)
    with second.store:
        await trio.to_thread.run_sync(second.store.open)
        stored = await second.store.stored(log, [ANNOUNCEMENTS.topic])
        assert stored.head.cut.places[ANNOUNCEMENTS].next == 3
        assert await second.store.resume(stored)
    assert list(second.feed.known.rows()) == list(first.feed.known.rows())
    assert not second.feed.persistent.uncommitted - 2, "but for the barriers, nothing has to be written again"


@pytest.mark.parametrize("fault", ["the log is another one", "the log has lost records", "a row is none"])
async def test_a_store_that_must_not_be_believed_is_set_aside_when_it_is_next_written(tmp_path, nursery, fault):
    first, log = Instance(tmp_path), FakeLog()
    if fault == "the log has lost records":
        first.feed.coverage.has_read_lost = True
    with first.store:
        await trio.to_thread.run_sync(first.store.open)
        nursery.start_soon(first.store.run)
        first.announce()
        await first.committed()
        nursery.cancel_scope.cancel()
        if fault == "a row is none":
            with first.store._store.opened.view() as view:
                head = view.head
            first.store._store.opened.commit(Changes(head, {"alive/announcement": {"a0": b"7"}}))
    if fault == "the log is another one":
        log.id = "another"
    second = Instance(tmp_path, begins=False)
    with second.store:
        await trio.to_thread.run_sync(second.store.open)
        stored = await second.store.stored(log, [ANNOUNCEMENTS.topic])
        assert (stored is None) == (fault != "a row is none")
        assert stored is None or not await second.store.resume(stored)
        assert not list(second.feed.known.projections.entities["announcement"].rows())
    assert second.store._store.damage is not None


class FakeLog:
    """A log of one topic, which nothing has happened to but that its `id` may be another one."""

    id = "id"

    async def extents(self, *, skip_refused=False):
        return {ANNOUNCEMENTS: OffsetRange(0, 3, self.id)}

    async def lost_ends(self, places):
        return []
