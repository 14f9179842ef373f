"""The embedded log as an `EventLog`: one writer thread for all appends, and one thread for each follower.

An SQLite connection belongs to one thread: the writer has one, each follower has one, and each read opens its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from mesaya_ws.core.log.epochs import REMEMBERED, Epochs
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import (
    EventLog,
    LogUnavailableError,
    OffsetGoneError,
    Paused,
    RecordRejectedError,
    nothing_is_paused,
)
from mesaya_ws.core.log.records import BEGINNING, Appended, NewRecord, OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.eventlog.sqlite.database import PAGE_RECORDS, Database, DatabaseError
from mesaya_ws.eventlog.sqlite.follower import METADATA_INTERVAL, READ_TIMEOUT, Follower, extents
from mesaya_ws.eventlog.sqlite.writer import Writer
from mesaya_ws.settings import SettingsError

RECORD_BYTES = 1024 * 1024
"""Bytes of a record's key and value together; Kafka's producers have the same bound by default."""

APPEND_TIMEOUT = 5.0
"""Seconds to wait for a file that another program has locked."""

_Answer = TypeVar("_Answer")


@asynccontextmanager
async def open_sqlite_log(
    path: Path,
    topics: Sequence[str],
    *,
    compact: bool = False,
    append_timeout: float = APPEND_TIMEOUT,
    metadata_interval: float = METADATA_INTERVAL,
    epochs: int = REMEMBERED,
) -> AsyncIterator[EventLog]:
    """Open the log in the file `path` for the given topics; a missing file is created.

    With `compact`, an appended record replaces earlier ones of the same topic and key. Appends wait for other programs
    for `append_timeout` seconds, and followers read metadata every `metadata_interval`; so many `epochs` of a topic are
    kept. Raises `SettingsError` when the file cannot be used.
    """
    path = path.absolute()  # noqa: ASYNC240 - asks for the working directory, and no disk
    open_database = partial(Database, path, append_timeout, epochs=epochs)
    await trio.to_thread.run_sync(_prepare, open_database, topics)
    writer = Writer(open_database, frozenset(topics), compact=compact)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_in_own_thread, writer.run, f"append to {path.name}")
        try:
            yield SqliteLog(path, topics, writer, metadata_interval)
        finally:
            writer.close()


def _prepare(open_database: Callable[..., Database], topics: Sequence[str]) -> None:
    try:
        with closing(open_database(create=True)) as file:
            file.migrate(topics)
    except DatabaseError as error:
        raise SettingsError([f"EVENT_LOG_FILE: {error}"]) from error


async def _in_own_thread(job: Callable[[], None], name: str) -> None:
    """Run a long job without using up one of Trio's limited worker threads."""
    await trio.to_thread.run_sync(job, thread_name=name, limiter=trio.CapacityLimiter(1))


class SqliteLog:
    """An `EventLog` in a file; made by `open_sqlite_log`."""

    def __init__(self, path: Path, topics: Sequence[str], writer: Writer, metadata_interval: float) -> None:
        self._path = path
        self._topics = frozenset(topics)
        self._writer = writer
        self._metadata_interval = metadata_interval
        self._readers = trio.CapacityLimiter(4)

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. Records whose append is cancelled before they were written are not written."""
        refused = next(((n, why) for n, record in enumerate(records) if (why := self._refusal(record))), None)
        appended: list[Appended] = []
        if accepted := records[: refused[0]] if refused else records:
            appended = await self._writer.append(accepted)
        else:
            await trio.lowlevel.checkpoint()
        if refused:
            raise RecordRejectedError(refused[1])
        return appended

    def _refusal(self, record: NewRecord) -> str | None:
        if record.topic not in self._topics:
            return f"{record.topic} is not one of the configured topics (KAFKA_TOPICS)."
        if (size := len(record.key or b"") + len(record.value or b"")) > RECORD_BYTES:
            return f"A record of {size} bytes for {record.topic} is too large: {RECORD_BYTES} are allowed."
        return None

    async def follow(
        self,
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition] = BEGINNING,
        paused: Paused = nothing_is_paused,
    ) -> None:
        """See `EventLog.follow`. The whole log is one source."""
        follower = Follower(
            self._path,
            self._topics,
            deliver,
            start,
            lambda: self._writer.trouble,
            self._writer.older_copy.set,
            self._metadata_interval,
        )
        self._writer.wakers.add(follower.wake)
        try:
            await _in_own_thread(follower.run, f"follow {self._path.name}")
        finally:
            self._writer.wakers.discard(follower.wake)

    async def read(self, partition: Partition, start: int, limit: int = PAGE_RECORDS) -> list[Record]:
        """See `EventLog.read`. A page may hold fewer records than there are, when they are large."""
        topic, page = await self._query(lambda file: file.read(partition.topic, start, limit))
        if topic is None or partition.number != 0 or start < topic.begin:
            raise OffsetGoneError(f"{partition.topic} does not hold offset {start} of partition {partition.number}.")
        return page.records

    async def extents(self, *, skip_refused: bool = False) -> Mapping[Partition, OffsetRange]:
        """See `EventLog.extents`."""
        topics = await self._query(Database.topics)
        return extents({name: topic for name, topic in topics.items() if name in self._topics})

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """See `EventLog.lost_ends`."""
        asked = {partition.topic: place for partition, place in places.items() if partition.number == 0}
        topics, epochs = await self._query(Database.epochs)
        return {
            Partition(name, 0)
            for name, (topic_id, next_offset, epoch) in asked.items()
            if name in topics
            and topics[name].uuid == topic_id
            and (topics[name].end < next_offset or _differs(epoch, epochs.get(name, Epochs()).at(next_offset)))
        }

    async def _query(self, question: Callable[[Database], _Answer]) -> _Answer:
        """Query the file, in a thread and on a connection of its own."""

        def ask() -> _Answer:
            with closing(Database(self._path, READ_TIMEOUT)) as file:
                return question(file)

        try:
            return await trio.to_thread.run_sync(ask, limiter=self._readers)
        except DatabaseError as error:
            raise LogUnavailableError(str(error)) from error


def _differs(epoch: int | None, known: int | None) -> bool:
    """Return whether both epochs are known, and differ."""
    return None not in (epoch, known) and epoch != known
