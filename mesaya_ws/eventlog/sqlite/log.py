"""The embedded log as an `EventLog`: one writer thread for all appends, and one thread for each follower.

An SQLite connection belongs to one thread: the writer has one, each follower has one, and each read opens its own.
"""

import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
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
from mesaya_ws.eventlog.sqlite.follower import METADATA_INTERVAL, READ_TIMEOUT, RETRY_INTERVAL, Follower, extents
from mesaya_ws.settings import SettingsError

RECORD_BYTES = 1024 * 1024
"""Bytes of a record's key and value together; Kafka's producers have the same bound by default."""

GROUP_RECORDS = 5000
"""Records after which a transaction includes no more waiting appends."""

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
    log = SqliteLog(path, topics, open_database, metadata_interval, compact=compact)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_in_own_thread, log._write, f"append to {path.name}")
        try:
            yield log
        finally:
            log._requests.put(None)


def _prepare(open_database: Callable[..., Database], topics: Sequence[str]) -> None:
    try:
        with closing(open_database(create=True)) as file:
            file.migrate(topics)
    except DatabaseError as error:
        raise SettingsError([f"EVENT_LOG_FILE: {error}"]) from error


async def _in_own_thread(job: Callable[[], None], name: str) -> None:
    """Run a long job without using up one of Trio's limited worker threads."""
    await trio.to_thread.run_sync(job, thread_name=name, limiter=trio.CapacityLimiter(1))


@attrs.define(eq=False)
class _Request:
    """Records that wait to be appended, and the result when `done` is set: `appended`, or a `failure`."""

    records: Sequence[NewRecord]
    done: trio.Event = attrs.field(factory=trio.Event)
    withdrawn: bool = False
    appended: list[Appended] = attrs.field(factory=list)
    failure: str | None = None


class SqliteLog:
    """An `EventLog` in a file; made by `open_sqlite_log`."""

    def __init__(
        self,
        path: Path,
        topics: Sequence[str],
        open_database: Callable[[], Database],
        metadata_interval: float,
        *,
        compact: bool,
    ) -> None:
        self._path = path
        self._open = open_database
        self._metadata_interval = metadata_interval
        self._compact = compact
        self._topics = frozenset(topics)
        self._trouble: str | None = None
        self._older_copy = threading.Event()
        """Set when the file turns out to be an older copy: the writer must reopen it, which begins an epoch."""
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._wakers: set[threading.Event] = set()
        self._readers = trio.CapacityLimiter(4)
        self._token = trio.lowlevel.current_trio_token()

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. Records whose append is cancelled before they were written are not written."""
        refused = next(((n, why) for n, record in enumerate(records) if (why := self._refusal(record))), None)
        request = _Request(records[: refused[0]] if refused else records)
        if request.records:
            self._requests.put(request)
            try:
                await request.done.wait()
            finally:
                request.withdrawn = True
        else:
            await trio.lowlevel.checkpoint()
        if request.failure:
            raise LogUnavailableError(request.failure)
        if refused:
            raise RecordRejectedError(refused[1])
        return request.appended

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
            lambda: self._trouble,
            self._older_copy.set,
            self._metadata_interval,
        )
        self._wakers.add(follower.wake)
        try:
            await _in_own_thread(follower.run, f"follow {self._path.name}")
        finally:
            self._wakers.discard(follower.wake)

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

    def _write(self) -> None:
        """Append what is requested, in order, all waiting requests in one transaction. Runs in the writer's thread."""
        with ExitStack() as opened:
            file: Database | None = None
            while (requests := self._gather()) is not None:
                try:
                    if file is None or file.moved or self._older_copy.is_set():
                        self._older_copy.clear()
                        opened.close()
                        file = opened.enter_context(closing(self._open()))
                        file.migrate(self._topics)
                    groups = (() if request.withdrawn else request.records for request in requests)
                    places = file.append(groups, compact=self._compact)
                    for request, appended in zip(requests, places, strict=True):
                        request.appended = appended
                    self._trouble = None
                except DatabaseError as error:
                    opened.close()
                    file = None
                    self._trouble = str(error)
                self._token.run_sync_soon(_complete, requests, self._trouble)
                for waker in tuple(self._wakers):
                    waker.set()

    def _gather(self) -> list[_Request] | None:
        """Return all waiting requests, or none to check whether trouble is over; None when the log is closed."""
        requests: list[_Request] = []
        records = 0
        try:
            request = self._requests.get(timeout=RETRY_INTERVAL if self._trouble else None)
            while request is not None:
                requests.append(request)
                records += len(request.records)
                if records >= GROUP_RECORDS:
                    return requests
                request = self._requests.get_nowait()
        except queue.Empty:
            return requests
        if not requests:
            return None
        self._requests.put(None)  # for the next time
        return requests


def _differs(epoch: int | None, known: int | None) -> bool:
    """Return whether both epochs are known, and differ."""
    return None not in (epoch, known) and epoch != known


def _complete(requests: Sequence[_Request], failure: str | None) -> None:
    for request in requests:
        request.failure = failure
        request.done.set()
