"""The embedded log: the contract, and what is its own."""

import resource
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from subprocess import PIPE

import attrs
import pytest
import trio
import trio.testing

from mesaya_ws.core.log.epochs import Epochs
from mesaya_ws.core.log.events import (
    Available,
    EpochsBegun,
    Gap,
    LogMetadata,
    Records,
    TopicRecreated,
    Truncated,
    Unavailable,
)
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError
from mesaya_ws.core.log.records import NewRecord, OffsetRange, Partition, PartitionPosition
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.eventlog.sqlite import open_sqlite_log
from mesaya_ws.eventlog.sqlite.database import PAGE_RECORDS
from mesaya_ws.eventlog.sqlite.diagnosis import reason
from mesaya_ws.settings import Settings, SettingsError

from .contract import PATIENCE, LogContract, SlowEar, by_partition, following, numbered, places, read_all

TOPICS = ("a.events", "b.events", "c.events")
A, B, C = (Partition(topic, 0) for topic in TOPICS)


@attrs.frozen
class SqliteStore:
    path: Path
    topics = TOPICS
    foreign = "d.events"

    def open(self, **options: float) -> AbstractAsyncContextManager[EventLog]:
        return open_sqlite_log(self.path, self.topics, **options)

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            yield db

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody from appending, as a program in the middle of a transaction does."""
        with self.database() as db:
            db.execute("BEGIN IMMEDIATE")
            yield

    async def remove_before(self, partition: Partition, offset: int) -> None:
        with self.database() as db:
            db.execute(
                "DELETE FROM record WHERE topic = (SELECT id FROM topic WHERE name = ?) AND place < ?",
                (partition.topic, offset),
            )


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "log.sqlite3")


class TestSqliteLog(LogContract):
    pass


# The order


async def test_all_topics_have_one_order(store: SqliteStore):
    async with store.open() as log:
        new = [NewRecord(TOPICS[number % 3], b"%d" % number) for number in range(1000)]
        for start in range(0, 1000, 100):
            await log.append(new[start : start + 100])
        async with following(log) as ear:
            await ear.until_held(1000)
    assert [int(record.value) for record in ear.records] == list(range(1000))
    assert {batch.source for batch in ear.all(Records)} == {None}
    assert ear.news[0].lags == {None: 1000}


async def test_going_on_from_a_place_keeps_the_order(store: SqliteStore):
    async with store.open() as log:
        first = [NewRecord(TOPICS[number % 3], b"%d" % number) for number in range(300)]
        await log.append(first)
        cut = places(await log.extents())
        await log.append([NewRecord(TOPICS[number % 2], b"%d" % number) for number in range(300, 1300)])
        async with following(log, cut) as ear:
            await ear.until_held(1000)
        earlier = cut | {A: cut[A]._replace(next=0)}
        async with following(log, earlier) as other:
            await other.until_held(1100)
    assert [int(record.value) for record in ear.records] == list(range(300, 1300))
    assert [int(record.value) for record in other.records] == [*range(0, 300, 3), *range(300, 1300)]


async def test_what_waits_is_committed_together_and_in_order(store: SqliteStore):
    async with store.open() as log, following(log) as ear, trio.open_nursery() as nursery:
        with store.locked():
            for number in range(50):
                nursery.start_soon(log.append, [NewRecord(TOPICS[number % 3], b"%d" % number)])
                await trio.testing.wait_all_tasks_blocked()
        await ear.until_held(50)
    assert [int(record.value) for record in ear.records] == list(range(50))
    assert len({record.timestamp for record in ear.records}) <= 2, "the first, and all the others"


async def test_what_is_cancelled_while_it_waits_is_not_appended(store: SqliteStore):
    async with store.open() as log, following(log) as ear, trio.open_nursery() as nursery:
        with store.locked():
            nursery.start_soon(log.append, [NewRecord(TOPICS[0], b"being written")])
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.05) as waiting:
                await log.append([NewRecord(TOPICS[0], b"waiting")])
            assert waiting.cancelled_caught
        await log.append([NewRecord(TOPICS[0], b"later")])
        await ear.until_held(2)
    assert [record.value for record in ear.records] == [b"being written", b"later"]


async def test_a_log_has_only_the_topics_that_it_was_opened_for(store: SqliteStore):
    async with store.open() as all_topics, open_sqlite_log(store.path, TOPICS[:1]) as one_topic:
        await all_topics.append(numbered(TOPICS[0], 600) + numbered(TOPICS[1], 600) + numbered(TOPICS[0], 1))
        assert set(await one_topic.extents()) == {A}
        async with following(one_topic) as ear:
            await ear.until_held(601)
        assert ear.news[0].lags == {None: 601}
        assert set(by_partition(ear.records)) == {A}


async def test_a_page_of_large_records_is_short(store: SqliteStore):
    async with store.open() as log:
        await log.append([NewRecord(TOPICS[0], bytes(1_000_000)) for _ in range(12)])
        assert 0 < len(await log.read(A, 0)) < 10
        assert len(await read_all(log, A, 0, 500)) == 12
        async with following(log) as ear:
            await ear.until_held(12)
    assert max(len(batch.records) for batch in ear.all(Records)) < 10


async def test_follower_refreshes_metadata_now_and_then(store: SqliteStore):
    async with store.open(metadata_interval=0.05) as log, following(log) as ear:
        await log.append(numbered(TOPICS[0], 3))
        await ear.until(lambda: len(ear.all(LogMetadata)) >= 3 and ear.all(LogMetadata)[-1].extents[A].end == 3)
        # What it has appended is in the metadata before it has been delivered.
        await ear.until(lambda: ear.all(LogMetadata)[-1].lags == {None: 0})


async def test_topics_that_appear_are_reported(store: SqliteStore):
    async with store.open() as log:
        with store.database() as db:
            db.execute("DELETE FROM topic WHERE name = ?", TOPICS[:1])
        async with following(log) as ear:
            await ear.until(lambda: bool(ear.news))
            async with store.open() as other:
                await ear.until(lambda: any(A in look.extents for look in ear.all(LogMetadata)))
                await other.append(numbered(TOPICS[0], 3))
                await ear.until_held(3)
    looks = [set(news.extents) for news in ear.all(LogMetadata)]  # they are repeated, however little is new
    assert [look for look, _ in groupby(looks)] == [{B, C}, {A, B, C}]
    assert ear.all(TopicRecreated) == []


# A compacted topic


async def test_a_compacted_topic_keeps_the_last_record_of_every_key(store: SqliteStore):
    async with store.open() as log, open_sqlite_log(store.path, TOPICS[:1], compact=True) as compacted:
        await log.append([NewRecord(TOPICS[1], b"of another topic", b"k")])
        for value in (b"1", b"2", b"3"):
            await compacted.append([NewRecord(TOPICS[0], value, b"k"), NewRecord(TOPICS[0], value)])
        await compacted.append([NewRecord(TOPICS[0], b"4", b"k"), NewRecord(TOPICS[0], None, b"k")])
        async with following(log) as ear:
            await ear.until_held(5)
        assert await log.read(A, 1) == [record for record in ear.records if record.topic == A.topic]
        assert (await log.extents())[A] == OffsetRange(1, 8, (await compacted.extents())[A].topic_id)
    assert [(record.offset, record.value) for record in ear.records if record.topic == A.topic] == [
        (1, b"1"),
        (3, b"2"),
        (5, b"3"),
        (7, None),
    ]
    assert ear.all(Gap) == []


async def test_a_compacted_topic_does_not_make_the_file_grow(store: SqliteStore):
    async with open_sqlite_log(store.path, TOPICS[:1], compact=True) as log:
        sizes = []
        for _ in range(4):
            await log.append([NewRecord(TOPICS[0], bytes(100_000), b"%d" % key) for key in range(20)])
            with store.database() as db:
                sizes.append(db.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[-1] <= sizes[1]


# Retention


async def test_follower_gets_a_gap_for_records_removed_before_it_came(store: SqliteStore):
    async with store.open() as log, trio.open_nursery() as nursery:
        page = PAGE_RECORDS
        await log.append(numbered(TOPICS[0], page) + numbered(TOPICS[0], 10) + numbered(TOPICS[1], 10))
        slow = SlowEar()
        nursery.start_soon(log.follow, slow.deliver)
        await slow.until(lambda: len(slow.records) == page)
        await store.remove_before(A, page + 5)
        await store.remove_before(B, 10)
        slow.gate.set()
        await slow.until_held(page + 5)
        assert slow.all(Gap) == [Gap(A, page, page + 5), Gap(B, 0, 10)]
        assert [record.offset for record in slow.records[page:]] == [page + n for n in range(5, 10)]
        nursery.cancel_scope.cancel()


async def test_what_was_read_before_it_was_removed_is_no_gap(store: SqliteStore):
    async with store.open() as log, following(log) as ear:
        await log.append(numbered(TOPICS[0], 10))
        await ear.until_held(10)
        await store.remove_before(A, 10)
        await log.append(numbered(TOPICS[0], 1))
        await ear.until_held(11)
        assert ear.records[-1].offset == 10
        assert ear.all(Gap) == []


# Trouble with the file


@pytest.mark.slow
async def test_a_file_that_is_gone_is_an_outage_until_it_is_back(store: SqliteStore, tmp_path: Path):
    async with store.open() as log, following(log) as ear:
        await log.append(numbered(TOPICS[0], 3))
        await ear.until_held(3)
        store.path.rename(tmp_path / "elsewhere")
        await ear.until(lambda: bool(ear.all(Unavailable)))
        assert str(store.path) in ear.all(Unavailable)[0].reason
        with pytest.raises(LogUnavailableError, match=store.path.name):
            await log.append(numbered(TOPICS[0], 1))
        with pytest.raises(LogUnavailableError, match=store.path.name):
            await log.read(A, 0)
        with pytest.raises(LogUnavailableError, match=store.path.name):
            await log.extents()
        assert not store.path.exists(), "only the start of a log makes a file"
        (tmp_path / "elsewhere").rename(store.path)
        await ear.until(lambda: bool(ear.all(Available)))
        (appended,) = await log.append([NewRecord(TOPICS[0], b"3")])
        await ear.until(lambda: bool(ear.records) and ear.records[-1].offset == appended.offset)
        assert len(ear.all(Unavailable)) == len(ear.all(Available)) == 1
        assert ear.all(TopicRecreated) == []
        assert [record.offset for record in ear.records] == list(range(len(ear.records)))


@pytest.mark.slow
async def test_a_new_file_in_place_of_the_old_one_is_read_from_its_beginning(store: SqliteStore):
    async with store.open() as log, following(log) as ear:
        await log.append(numbered(TOPICS[0], 3))
        await ear.until_held(3)
        store.path.unlink()
        async with store.open() as fresh:
            await fresh.append(numbered(TOPICS[1], 2) + numbered(TOPICS[0], 1))
            await ear.until_held(6)
            assert {news.topic for news in ear.all(TopicRecreated)} == set(TOPICS)
            # It may have been looked at before it held anything.
            reported, held = ear.all(LogMetadata)[-1].extents, await fresh.extents()
            assert {at: extent.topic_id for at, extent in reported.items()} == {
                at: extent.topic_id for at, extent in held.items()
            }
            assert [(record.topic, record.offset) for record in ear.records[3:]] == [
                (TOPICS[1], 0),
                (TOPICS[1], 1),
                (TOPICS[0], 0),
            ]
            await log.append(numbered(TOPICS[2], 1))
            await ear.until_held(7)


async def test_a_copy_that_lacks_nothing_is_followed_on(store: SqliteStore, tmp_path: Path):
    """Others have opened the file since the copy was made: it gives out their epochs' ids again."""
    async with store.open(metadata_interval=0.05) as log, following(log) as ear:
        await log.append(numbered(A.topic, 3))
        await ear.until_held(3)
        back_up(store, tmp_path / "copy")
        for _ in range(2):
            async with store.open():
                pass
        await ear.until(lambda: len(ear.all(EpochsBegun)) > 1)
        put_back(store, tmp_path / "copy")
        looks = len(ear.all(LogMetadata))
        await log.append(numbered(A.topic, 1))
        await ear.until_held(4)
        await ear.until(lambda: len(ear.all(LogMetadata)) > looks + 1)
        reported = {at: number for news in ear.all(EpochsBegun) for at, _, number in news.begun}
        extents = await log.extents()
        assert await log.lost_ends({A: PartitionPosition(extents[A].topic_id, extents[A].end, reported[A])}) == set()
    assert not ear.all(Unavailable)


@pytest.mark.slow
async def test_a_file_that_stays_locked_is_an_outage(store: SqliteStore):
    async with store.open(append_timeout=0.1) as log, following(log) as ear:
        with store.locked():
            with pytest.raises(LogUnavailableError, match="locked by another program"):
                await log.append(numbered(TOPICS[0], 1))
            await ear.until(lambda: bool(ear.all(Unavailable)))
        await ear.until(lambda: bool(ear.all(Available)))
        await log.append(numbered(TOPICS[0], 1))
        await ear.until_held(1)


@pytest.mark.slow
async def test_a_full_disk_is_an_outage_until_there_is_room(store: SqliteStore):
    """A limit on the size of files stands for the end of the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with store.open() as log, following(log) as ear:
        await log.append(numbered(TOPICS[0], 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
        try:
            with pytest.raises(LogUnavailableError, match=store.path.name):
                await log.append([NewRecord(TOPICS[0], bytes(1_000_000))])
            await ear.until(lambda: bool(ear.all(Unavailable)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await ear.until(lambda: bool(ear.all(Available)))
        (appended,) = await log.append(numbered(TOPICS[0], 1))
        await ear.until_held(2)
    assert appended.offset == 1


def test_every_trouble_has_a_sentence_of_its_own():
    codes = ["BUSY", "READONLY", "FULL", "CANTOPEN", "IOERR", "NOTADB", "CORRUPT", "ERROR"]
    said = set()
    for code in codes:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{code}")
        said.add(reason(error))
        error.sqlite_errorcode |= 1 << 8
        assert reason(error) in said, "details change nothing"
    assert len(said) == len(codes)


# At the start


async def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        async with open_sqlite_log(path, TOPICS):
            pass
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but longer than a header of one: " + "-" * 100)
    before = path.read_bytes()
    assert "is not an event log" in await refusal(path)
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "other.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE cats (name)")
    before = path.read_bytes()
    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused(store: SqliteStore):
    async with store.open():
        pass
    with store.database() as db:
        db.execute("PRAGMA user_version = 2")
    assert "newer version" in await refusal(store.path)


async def test_a_path_where_no_file_can_be_is_refused(tmp_path: Path):
    assert "see its directory" in await refusal(tmp_path / "missing" / "log.sqlite3")
    assert "see its directory" in await refusal(tmp_path)


async def test_an_empty_file_and_a_strange_name_are_fine(tmp_path: Path):
    path = tmp_path / "50% of what? #1 é.sqlite3"
    path.touch()
    async with open_sqlite_log(path, TOPICS) as log:
        await log.append(numbered(TOPICS[0], 1))
    assert path.stat().st_size > 0


async def test_many_may_open_a_new_file_at_once(store: SqliteStore):
    ids = []

    async def open_and_append(number: int) -> None:
        async with store.open() as log:
            await log.append([NewRecord(TOPICS[0], b"%d" % number)])
            ids.append({extent.topic_id for extent in (await log.extents()).values()})

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(open_and_append, number)
    assert all(these == ids[0] for these in ids)


async def test_without_brokers_the_log_is_the_file_of_the_settings(store: SqliteStore):
    async with open_event_log(Settings(event_log_file=store.path, kafka_topics=TOPICS)) as log:
        await log.append(numbered(TOPICS[0], 1))
    async with store.open() as log:
        assert (await log.extents())[A].end == 1


# The end


def open_files() -> list[str]:
    """Name the files that this process has open."""
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


async def test_no_thread_and_no_open_file_is_left(store: SqliteStore):
    async with store.open() as log:
        async with following(log) as ear:
            await log.append(numbered(TOPICS[0], 3))
            await ear.until_held(3)
            assert [name for name in open_files() if name.startswith(str(store.path))]
            assert f"follow {store.path.name}" in {thread.name for thread in threading.enumerate()}
        assert f"follow {store.path.name}" not in {thread.name for thread in threading.enumerate()}
    assert not [thread.name for thread in threading.enumerate() if store.path.name in thread.name]
    assert not [name for name in open_files() if name.startswith(str(store.path))]


# Other processes

WRITER = """
import sys, trio
from pathlib import Path
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.eventlog.sqlite import open_sqlite_log

async def append(log, topic):
    for number in range(int(sys.argv[2])):
        (appended,) = await log.append([NewRecord(topic, b"%d" % number)])
        print(topic, appended.offset, flush=True)

async def main():
    topics = sys.argv[3:]
    async with open_sqlite_log(Path(sys.argv[1]), topics) as log, trio.open_nursery() as nursery:
        for topic in topics:
            nursery.start_soon(append, log, topic)

trio.run(main)
"""


def writer(store: SqliteStore, count: int, *topics: str) -> list[str]:
    return [sys.executable, "-c", WRITER, str(store.path), str(count), *topics]


@pytest.mark.slow
async def test_several_processes_append_and_are_followed_in_one_order(store: SqliteStore):
    async with store.open() as log, following(log) as ear, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.run_process, writer(store, 50, *TOPICS))
        await ear.until_held(450)
    held = by_partition(ear.records)
    assert {partition: [record.offset for record in records] for partition, records in held.items()} == {
        partition: list(range(150)) for partition in (A, B, C)
    }


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_killed_writer(store: SqliteStore):
    acknowledged = 0
    async with store.open() as log, following(log) as ear:
        for _ in range(5):
            async with trio.open_nursery() as nursery:
                run = partial(trio.run_process, writer(store, 10**9, *TOPICS), stdout=PIPE, check=False)
                process = await nursery.start(run)
                said = b""
                with trio.fail_after(PATIENCE):
                    while said.count(b"\n") < 30:
                        said += await process.stdout.receive_some()
                process.kill()
                async for more in process.stdout:
                    said += more
            lines = [line.split() for line in said.decode().split("\n")[:-1]]
            extents = await log.extents()
            for topic, offset in lines:
                assert int(offset) < extents[Partition(topic, 0)].end
            acknowledged += len(lines)
            with store.database() as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            await log.append(numbered(TOPICS[0], 1))
        await ear.until_held(acknowledged + 5)
        extents = await log.extents()
        await ear.until_held(sum(extent.end for extent in extents.values()))
    for partition, records in by_partition(ear.records).items():
        assert [record.offset for record in records] == list(range(extents[partition].end))


# A file that is put back from a backup


def back_up(store: SqliteStore, to: Path) -> None:
    with store.database() as db, closing(sqlite3.connect(to)) as copy:
        db.backup(copy)


def put_back(store: SqliteStore, copy: Path) -> None:
    for rest in store.path.parent.glob(f"{store.path.name}-*"):
        rest.unlink()
    copy.replace(store.path)


async def place_of(log: EventLog, partition: Partition, count: int) -> PartitionPosition:
    """Return where somebody is who has read so many records, of all partitions."""
    epochs = Epochs()
    async with following(log) as ear:
        await ear.until_held(count)
        for news in ear.news:
            for at, first, number in news.begun if isinstance(news, EpochsBegun) else ():
                if at == partition:
                    epochs.begin(first, number)
        end = by_partition(ear.records)[partition][-1].offset + 1
        return PartitionPosition((await log.extents())[partition].topic_id, end, epochs.at(end))


async def test_a_file_that_was_put_back_from_a_backup_gives_offsets_out_in_another_epoch(
    store: SqliteStore, tmp_path: Path
):
    async with store.open() as log:
        await log.append(numbered(A.topic, 10) + numbered(B.topic, 10))
        kept = await place_of(log, B, 20)
        back_up(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 5))
        lost = await place_of(log, A, 25)
    put_back(store, tmp_path / "copy")
    async with store.open() as log:
        assert await log.lost_ends({A: lost, B: kept}) == {A}, "it is shorter"
        await log.append(numbered(A.topic, 20) + numbered(B.topic, 20))
        assert await log.lost_ends({A: lost, B: kept}) == {A}, "it is not, but has other records"
        here = await place_of(log, A, 60)
        assert await log.lost_ends({A: here}) == set()


async def test_each_opening_by_one_who_may_append_is_an_epoch_if_something_was_appended(store: SqliteStore):
    for _ in range(3):
        async with store.open() as log, store.open():
            await log.append(numbered(A.topic, 1))
    with store.database() as db:
        rows = db.execute(
            "SELECT name, place, number FROM epoch JOIN topic ON topic.id = topic ORDER BY place"
        ).fetchall()
    assert [place for name, place, _ in rows if name == A.topic] == [0, 1, 2]
    assert [place for name, place, _ in rows if name == B.topic] == [0]
    assert len({number for _, _, number in rows}) == 3
    assert all(2**31 <= number < 2**63 for _, _, number in rows)


async def test_so_many_epochs_are_kept_and_no_more(store: SqliteStore):
    for _ in range(5):
        async with store.open() as log:
            await log.append(numbered(A.topic, 1))
    async with store.open(epochs=2) as log, following(log) as ear:
        await ear.until_held(5)
    [reported] = ear.all(EpochsBegun)
    assert [first for at, first, _ in reported.begun if at == A] == [3, 4, 5]


async def test_a_file_of_before_there_were_epochs_gets_them(store: SqliteStore):
    async with store.open() as log:
        await log.append(numbered(A.topic, 3))
    with store.database() as db:
        db.execute("DROP TABLE epoch")
    async with store.open() as log:
        assert await log.lost_ends({A: PartitionPosition((await log.extents())[A].topic_id, 3, 7)}) == set(), (
            "nothing is known"
        )
        await log.append(numbered(A.topic, 1))
        async with following(log) as ear:
            await ear.until_held(4)
    [reported] = ear.all(EpochsBegun)
    assert [first for at, first, _ in reported.begun if at == A] == [3]


def write_over(store: SqliteStore, copy: Path) -> None:
    """Put a copy back into the same file, as SQLite's own `.restore` does."""
    with store.database() as db, closing(sqlite3.connect(copy)) as source:
        source.backup(db)


async def write_on(copy: Path, *records: NewRecord) -> None:
    async with open_sqlite_log(copy, TOPICS) as log:
        await log.append(records)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


@pytest.mark.parametrize("restore", [put_back, write_over])
@pytest.mark.parametrize("more", [0, 1, 2, 5])
async def test_an_older_copy_is_followed_on_from_where_it_agrees(
    store: SqliteStore, tmp_path: Path, restore: Callable[[SqliteStore, Path], None], more: int
):
    """More or less may have been written on in the copy than is lost."""
    async with store.open() as log, following(log) as ear:
        await log.append(numbered(A.topic, 3) + numbered(B.topic, 3))
        back_up(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 2))
        await ear.until_held(8)
        if more:
            await write_on(tmp_path / "copy", *(NewRecord(A.topic, b"other") for _ in range(more)))
        restore(store, tmp_path / "copy")
        await ear.until(lambda: Truncated(A, 3) in ear.news)
        lost = ear.news.index(Truncated(A, 3))
        # Before anything is appended: the metadata are those of the copy.
        await ear.until(lambda: any(isinstance(news, LogMetadata) for news in ear.news[lost:]))
        await log.append([NewRecord(A.topic, b"new"), NewRecord(B.topic, b"new")])
        await ear.until_held(8 + more + 2)
        here = await place_of(log, A, 6 + more + 2)
        assert await log.lost_ends({A: here}) == set()
    assert ear.all(Truncated) == [Truncated(A, 3)]
    assert ear.all(Unavailable) == []
    assert [(record.topic, record.offset, record.value) for record in ear.records[8:]] == [
        *((A.topic, offset, b"other") for offset in range(3, 3 + more)),
        (A.topic, 3 + more, b"new"),
        (B.topic, 3, b"new"),
    ]
    [begun, *_] = [
        (first, ear.news.index(news))
        for news in ear.all(EpochsBegun)
        for at, first, _ in news.begun
        if at == A and ear.news.index(news) > lost
    ]
    assert begun[0] == 3, "only the epochs that are new are repeated"
    assert begun[1] < next(n for n, news in enumerate(ear.news) if n > lost and isinstance(news, Records))
    assert next(news for news in ear.news[lost:] if isinstance(news, LogMetadata)).extents[A].end == 3 + more


async def test_an_older_copy_that_lacks_records_of_others_alone_is_followed_on(store: SqliteStore, tmp_path: Path):
    """It gives out again the numbers of the order that those had, to records that are to be delivered."""
    async with store.open() as others, open_sqlite_log(store.path, TOPICS[:1]) as log, following(log) as ear:
        await log.append(numbered(A.topic, 1))
        back_up(store, tmp_path / "copy")
        await others.append(numbered(B.topic, 20) + numbered(A.topic, 1))
        await ear.until_held(2)
        await write_on(tmp_path / "copy", NewRecord(A.topic, b"other"))
        put_back(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 1))
        await ear.until_held(4)
    assert ear.all(Truncated) == [Truncated(A, 1)]
    assert [record.offset for record in ear.records] == [0, 1, 1, 2]


async def test_who_begins_at_a_place_that_is_lost_goes_back(store: SqliteStore, tmp_path: Path):
    async with store.open() as log:
        await log.append(numbered(A.topic, 3))
        back_up(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 2))
        lost = await place_of(log, A, 5)
    put_back(store, tmp_path / "copy")
    async with store.open() as log, following(log, {A: lost}) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        assert ear.news[0] == Truncated(A, 3)
        await log.append([NewRecord(A.topic, b"new")])
        await ear.until_held(1)
    assert ear.records[0].offset == 3


async def test_who_appends_to_an_older_copy_in_the_same_file_begins_an_epoch(store: SqliteStore, tmp_path: Path):
    """It is the same file, so that nobody opens it anew, and it may be longer by the time that somebody looks."""
    async with store.open() as log:
        await log.append(numbered(A.topic, 3))
        back_up(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 2))
        lost = await place_of(log, A, 5)
        write_over(store, tmp_path / "copy")
        await log.append(numbered(A.topic, 5))
        assert await log.lost_ends({A: lost}) == {A}
        assert await log.lost_ends({A: await place_of(log, A, 8)}) == set()


async def test_epoch_begins_for_a_follower_of_an_older_copy(store: SqliteStore, tmp_path: Path):
    async with store.open() as others, store.open() as log, following(log) as ear:
        await log.append(numbered(A.topic, 1))
        await others.append(numbered(A.topic, 2))
        back_up(store, tmp_path / "copy")
        await others.append(numbered(A.topic, 2))
        lost = await place_of(log, A, 5)
        await ear.until_held(5)
        write_over(store, tmp_path / "copy")
        await ear.until(lambda: bool(ear.all(Truncated)))
        await log.append(numbered(A.topic, 5))
        assert await log.lost_ends({A: lost}) == {A}
        assert await log.lost_ends({A: await place_of(log, A, 8)}) == set()
        await ear.until_held(10)
    assert ear.all(Truncated) == [Truncated(A, 3)]
