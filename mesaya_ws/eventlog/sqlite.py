"""The embedded event log: one SQLite file that several processes append to and follow at the same time.

The file is in WAL mode with `synchronous=FULL`, so a commit that has returned is on the disk
(https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous). All records have one order, their
`seq`; inside of it each topic counts offsets of its own, from 0 and without holes, and has one partition. Records are
only ever removed from the beginning of a topic. Neither `seq` nor offsets are used twice, whatever is removed.

A connection lives and dies in one thread: the writer has one, each follower has one, and each read opens its own.
"""

import os
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from math import inf
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import attrs
import trio

from mesaya_ws.core.event_log import (
    Appended,
    Batch,
    EventLog,
    Extent,
    Gap,
    LogUnavailableError,
    NewRecord,
    News,
    OffsetGoneError,
    Outage,
    Partition,
    Record,
    RecordRefusedError,
    Replaced,
    Restored,
    Sources,
)
from mesaya_ws.settings import SettingsError

RECORD_BYTES = 1024 * 1024
"""Size of key and value together that a record may have; Kafka's producers have the same bound by default."""

PAGE_RECORDS, PAGE_BYTES = 500, 4 * 1024 * 1024
"""A page ends with the record that reaches either."""

GROUP_RECORDS = 5000
"""Records after which a transaction takes in no more waiting appends."""

APPEND_PATIENCE, READ_PATIENCE = 5.0, 1.0
"""Seconds to wait for a file that another program has locked."""

POLL_INTERVAL = 0.02
"""Seconds between two looks at whether other processes have appended; a look costs some 10 µs."""

LOOK_INTERVAL = 3.0
"""Seconds between two `Sources`."""

RETRY_INTERVAL = 0.5
"""Seconds between two tries to reach a file that is out of reach."""

_APPLICATION_ID = 0x4D595753
_FORMAT = 1
_SCHEMA = (
    "CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL, next INTEGER NOT NULL)",
    """CREATE TABLE record (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL REFERENCES topic, place INTEGER NOT NULL,
        timestamp INTEGER NOT NULL, key BLOB, value BLOB)""",
    "CREATE UNIQUE INDEX record_place ON record (topic, place)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_FORMAT}",
)

_TOPICS = """
    SELECT name, id, uuid, coalesce((SELECT min(place) FROM record WHERE record.topic = topic.id), next), next
    FROM topic"""
_PAGE = """
    SELECT seq, name, place, timestamp, key, value FROM record JOIN topic ON topic.id = record.topic
    WHERE seq > ? ORDER BY seq LIMIT ?"""
_READ = "SELECT place, timestamp, key, value FROM record WHERE topic = ? AND place >= ? ORDER BY place LIMIT ?"

_Answer = TypeVar("_Answer")


@asynccontextmanager
async def open_sqlite_log(path: Path, topics: Sequence[str]) -> AsyncIterator[EventLog]:
    """Open the log in the file `path`, which is created when it is missing, for the given topics.

    Raises `SettingsError` when the file cannot be used.
    """
    path = path.absolute()  # noqa: ASYNC240 - asks for the working directory, and no disk
    await trio.to_thread.run_sync(_prepare, path, topics)
    log = SqliteLog(path, topics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_in_own_thread, log._write, f"append to {path.name}")
        try:
            yield log
        finally:
            log._requests.put(None)


async def _in_own_thread(job: Callable[[], None], name: str) -> None:
    """Run a job that lasts: it takes none of the threads that others wait for."""
    await trio.to_thread.run_sync(job, thread_name=name, limiter=trio.CapacityLimiter(1))


@attrs.define(eq=False)
class _Request:
    """Records that wait to be appended, and what became of them: `appended`, or a `failure`."""

    records: Sequence[NewRecord]
    done: trio.Event = attrs.field(factory=trio.Event)
    withdrawn: bool = False
    appended: list[Appended] = attrs.field(factory=list)
    failure: str | None = None


class SqliteLog:
    """An `EventLog` in a file; made by `open_sqlite_log`."""

    def __init__(self, path: Path, topics: Sequence[str]) -> None:
        self.path = path
        self.topics = frozenset(topics)
        self.trouble: str | None = None
        """Why the last append failed; None when it did not."""
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._wakers: set[threading.Event] = set()
        self._readers = trio.CapacityLimiter(4)
        self._token = trio.lowlevel.current_trio_token()

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. What is cancelled before it was written is not written."""
        accepted, refusal = records, None
        for number, record in enumerate(records):
            if refusal := self._refusal(record):
                accepted = records[:number]
                break
        request = _Request(accepted)
        if accepted:
            self._requests.put(request)
            try:
                await request.done.wait()
            finally:
                request.withdrawn = True
        else:
            await trio.lowlevel.checkpoint()
        if request.failure:
            raise LogUnavailableError(request.failure)
        if refusal:
            raise RecordRefusedError(refusal)
        return request.appended

    def _refusal(self, record: NewRecord) -> str | None:
        if record.topic not in self.topics:
            return f"{record.topic} is not one of the configured topics (KAFKA_TOPICS)."
        if (size := len(record.key or b"") + len(record.value or b"")) > RECORD_BYTES:
            return f"A record of {size} bytes for {record.topic} is too large: {RECORD_BYTES} are allowed."
        return None

    async def follow(self, deliver: Callable[[News], Awaitable[None]]) -> None:
        """See `EventLog.follow`. There is one source: the whole log."""
        follower = _Follower(self, deliver)
        self._wakers.add(follower.wake)
        try:
            await trio.to_thread.run_sync(
                follower.run, thread_name=f"follow {self.path.name}", limiter=trio.CapacityLimiter(1)
            )
        finally:
            self._wakers.discard(follower.wake)

    async def read(self, partition: Partition, start: int, limit: int = PAGE_RECORDS) -> list[Record]:
        """See `EventLog.read`. A page may hold fewer records than there are, when they are large."""
        return await self._ask(lambda db: _read(db, partition, start, limit))

    async def extents(self) -> Mapping[Partition, Extent]:
        """See `EventLog.extents`."""
        return await self._ask(lambda db: _extents(_topics(db, self.topics)))

    async def _ask(self, question: Callable[["_Connection"], _Answer]) -> _Answer:
        """Ask the file something, in a thread and on a connection of its own."""

        def ask() -> _Answer:
            try:
                with closing(_connect(self.path, READ_PATIENCE)) as db, _transaction(db):
                    return question(db)
            except sqlite3.Error as error:
                raise LogUnavailableError(_reason(self.path, error)) from error

        return await trio.to_thread.run_sync(ask, limiter=self._readers)

    async def _keep_writing(self) -> None:
        await trio.to_thread.run_sync(
            self._write, thread_name=f"append to {self.path.name}", limiter=trio.CapacityLimiter(1)
        )

    def _write(self) -> None:
        """Append what is asked for, in order; all that waits goes into one transaction. Runs in the writer's thread."""
        with ExitStack() as connections:
            db: _Connection | None = None
            while (requests := self._gather()) is not None:
                try:
                    if db is None or db.moved:
                        connections.close()
                        db = connections.enter_context(closing(_connect(self.path, APPEND_PATIENCE)))
                        _fit_out(db, self.topics)
                    _commit(db, requests)
                    self.trouble = None
                except sqlite3.Error as error:
                    self.trouble = _reason(self.path, error)
                    connections.close()
                    db = None
                self._token.run_sync_soon(_answer, requests, self.trouble)
                for waker in tuple(self._wakers):
                    waker.set()

    def _gather(self) -> list[_Request] | None:
        """Wait for requests and return all that wait; none of them is a mere try; None is the end."""
        requests: list[_Request] = []
        records = 0
        try:
            request = self._requests.get(timeout=RETRY_INTERVAL if self.trouble else None)
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


def _answer(requests: Sequence[_Request], failure: str | None) -> None:
    for request in requests:
        request.failure = failure
        request.done.set()


class _Follower:
    """One follower's place in the log. All of it runs in the follower's thread, except for `deliver`."""

    def __init__(self, log: SqliteLog, deliver: Callable[[News], Awaitable[None]]) -> None:
        self.wake = threading.Event()
        self._log = log
        self._deliver = deliver
        self._seq = 0
        self._next: dict[str, int] = {}
        self._ids: dict[str, str] = {}
        self._look_at = -inf
        self._down = False

    def run(self) -> None:
        """Read for ever, on one connection after the other; cancellation ends it."""
        while True:
            try:
                with closing(_connect(self._log.path, READ_PATIENCE)) as db:
                    self._read_on(db)
            except sqlite3.Error as error:
                self._tell_state(_reason(self._log.path, error))
                trio.from_thread.run(trio.sleep, RETRY_INTERVAL)

    def _read_on(self, db: "_Connection") -> None:
        """Hand over what the log holds and what comes, until another file is in its place."""
        version = None
        while not db.moved:
            trio.from_thread.check_cancelled()
            self.wake.clear()
            # Changes when any other connection, of this process or another, has committed something.
            (latest,) = db.execute("PRAGMA data_version").fetchone()
            if latest != version or monotonic() >= self._look_at:
                news, more = self._next_news(db)
                for item in news:
                    trio.from_thread.run(self._deliver, item)
                version = None if more else latest
            else:
                self.wake.wait(POLL_INTERVAL)
            self._tell_state(self._log.trouble)

    def _tell_state(self, trouble: str | None) -> None:
        if trouble and not self._down:
            trio.from_thread.run(self._deliver, Outage(trouble))
        elif self._down and not trouble:
            trio.from_thread.run(self._deliver, Restored())
        self._down = bool(trouble)

    def _next_news(self, db: "_Connection") -> tuple[list[News], bool]:
        """Return what is to be told next, and whether the log holds more behind it."""
        with _transaction(db):
            topics = _topics(db, self._log.topics)
            with closing(db.execute(_PAGE, (self._seq, PAGE_RECORDS))) as cursor:
                rows, more = _page(cursor)
        if any(self._ids.get(name) == topic.uuid and self._next[name] > topic.end for name, topic in topics.items()):
            raise _WrongFileError("holds less than has been read from it: put the newer file back, or restart")
        replaced: list[News] = []
        gaps: list[News] = []
        for name, topic in topics.items():
            known = self._ids.get(name)
            if known == topic.uuid:
                if topic.begin > self._next[name]:
                    gaps.append(Gap(Partition(name, 0), self._next[name], topic.begin))
                    self._next[name] = topic.begin
                continue
            if known is not None:
                replaced.append(Replaced(name, topic.uuid))
                # Another file: its order is to be read from the beginning.
                self._seq, rows, more = 0, [], True
            self._ids[name], self._next[name] = topic.uuid, topic.begin
            self._look_at = -inf
        news = replaced
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + LOOK_INTERVAL
            news.append(Sources(_extents(topics), {None: self._lag(topics)}))
        news += gaps
        records = self._take(rows)
        if not more:
            self._next.update((name, topic.end) for name, topic in topics.items())
        if records:
            news.append(Batch(None, records, self._lag(topics)))
        return news, more

    def _take(self, rows: Iterable[Any]) -> list[Record]:
        """Move on behind `rows`, and return those that are to be handed over."""
        places = self._next
        records = []
        for seq, topic, offset, timestamp, key, value in rows:
            self._seq = seq
            if topic in places and offset >= places[topic]:
                places[topic] = offset + 1
                records.append(Record(topic, 0, offset, timestamp, key, value))
        return records

    def _lag(self, topics: Mapping[str, "_Topic"]) -> int:
        return sum(topic.end - self._next[name] for name, topic in topics.items())


# The file


class _WrongFileError(sqlite3.DatabaseError):
    """The file is not the log that it should be; the message is the rest of a sentence about it."""


class _Connection(sqlite3.Connection):
    """A connection that knows which file it has opened."""

    path: Path
    file: tuple[int, int] | None

    @property
    def moved(self) -> bool:
        """Whether the file at the path no longer is the opened one."""
        return _file_at(self.path) != self.file

    def check_place(self) -> None:
        """Raise an error when the file has moved: what is committed to it, the others do not see."""
        if self.moved:
            raise _WrongFileError("has been removed or replaced: put it back, or restart to begin a new one")


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _connect(path: Path, patience: float, *, create: bool = False) -> _Connection:
    """Open the file, and see that it is an event log. Raises `sqlite3.Error`."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=patience,
        isolation_level=None,
        factory=_Connection,
    )
    try:
        db.path, db.file = path, _file_at(path)
        _check_kind(db, empty_is_fine=create)
        db.execute("PRAGMA synchronous = FULL")
        db.check_place()
    except BaseException:
        db.close()
        raise
    return db


def _check_kind(db: _Connection, *, empty_is_fine: bool) -> None:
    """See that the file is an event log that we understand. Raises `sqlite3.DatabaseError`."""
    with _transaction(db):  # another process may be making the file right now
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (format,) = db.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID and not (empty_is_fine and application == tables == 0):
        raise _WrongFileError("is not an event log of mesaya-ws, but another program's: choose another file")
    if format > _FORMAT:
        raise _WrongFileError(
            f"was written by a newer version of mesaya-ws (format {format}, this one knows {_FORMAT}): "
            "run that version, or choose another file"
        )


@contextmanager
def _transaction(db: _Connection, kind: str = "DEFERRED") -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _prepare(path: Path, topics: Iterable[str]) -> None:
    """Create what is missing of the file, its tables and topics. Raises `SettingsError`."""
    try:
        with closing(_connect(path, APPEND_PATIENCE, create=True)) as db:
            _fit_out(db, topics)
    except sqlite3.Error as error:
        raise SettingsError([f"EVENT_LOG: {_reason(path, error)}"]) from error


def _fit_out(db: _Connection, topics: Iterable[str]) -> None:
    """Add what is missing of tables and topics. Raises `sqlite3.Error`."""
    _use_wal(db)
    with _transaction(db, "IMMEDIATE"):
        if db.execute("PRAGMA user_version").fetchone() == (0,):
            for statement in _SCHEMA:
                db.execute(statement)
        db.executemany(
            "INSERT INTO topic (name, uuid, next) VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
            [(name, str(uuid4())) for name in topics],
        )


def _use_wal(db: _Connection) -> None:
    """Make the file one that can be read while it is written; a property of the file that stays.

    SQLite does not wait for others that do the same at this moment.
    """
    deadline = monotonic() + APPEND_PATIENCE
    while True:
        try:
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(POLL_INTERVAL)
        else:
            break
    if mode != "wal":
        raise _WrongFileError("is where SQLite cannot share memory between processes: choose a local disk")


class _Topic(NamedTuple):
    """A topic as it is now: it holds the offsets `begin <= offset < end`."""

    id: int
    uuid: str
    begin: int
    end: int


def _topics(db: _Connection, names: frozenset[str]) -> dict[str, _Topic]:
    """Return those of the named topics that exist."""
    return {name: _Topic(*rest) for name, *rest in db.execute(_TOPICS) if name in names}


def _extents(topics: Mapping[str, _Topic]) -> dict[Partition, Extent]:
    return {Partition(name, 0): Extent(topic.begin, topic.end, topic.uuid) for name, topic in topics.items()}


def _commit(db: _Connection, requests: Sequence[_Request]) -> None:
    """Append the records of all requests, and note in them where; when it returns they are on the disk."""
    with _transaction(db, "IMMEDIATE"):
        ids = dict(db.execute("SELECT name, id FROM topic"))
        ends = dict(db.execute("SELECT name, next FROM topic"))
        now = time_ns() // 1_000_000
        rows = []
        for request in requests:
            for topic, value, key in () if request.withdrawn else request.records:
                offset = ends[topic]
                ends[topic] = offset + 1
                rows.append((ids[topic], offset, now, key, value))
                request.appended.append(Appended(topic, 0, offset, now))
        db.executemany("INSERT INTO record (topic, place, timestamp, key, value) VALUES (?, ?, ?, ?, ?)", rows)
        db.executemany("UPDATE topic SET next = ? WHERE id = ?", [(ends[name], id) for name, id in ids.items()])
    db.check_place()


def _page(cursor: Iterable[Any]) -> tuple[list[Any], bool]:
    """Return rows that end with key and value, as many as a page holds, and whether there may be more."""
    rows = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += len(row[-1] or b"") + len(row[-2] or b"")
        if len(rows) >= PAGE_RECORDS or size >= PAGE_BYTES:
            return rows, True
    return rows, False


def _read(db: _Connection, partition: Partition, start: int, limit: int) -> list[Record]:
    topic = _topics(db, frozenset([partition.topic])).get(partition.topic)
    if topic is None or partition.number != 0 or start < topic.begin:
        raise OffsetGoneError(f"{partition.topic} does not hold offset {start} of partition {partition.number}.")
    with closing(db.execute(_READ, (topic.id, start, limit))) as cursor:
        rows, _ = _page(cursor)
    return [Record(*partition, *row) for row in rows]


def _reason(path: Path, error: sqlite3.Error) -> str:
    """Say what is wrong with the file in a sentence that a person can act on."""
    if isinstance(error, _WrongFileError):
        return f"{path} {error}."
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = "is locked by another program: end that one, or wait for it"
        case sqlite3.SQLITE_READONLY:
            what = "cannot be written: see the rights of the file and its directory, and whether the disk is read-only"
        case sqlite3.SQLITE_FULL:
            what = "cannot grow, the disk is full: make room"
        case sqlite3.SQLITE_CANTOPEN:
            what = "is not there or cannot be opened: see its directory, and the rights of both"
        case sqlite3.SQLITE_IOERR:
            what = f"cannot be read or written ({error}): see the disk, and the room that is left on it"
        case sqlite3.SQLITE_NOTADB:
            what = "is not an event log of mesaya-ws: choose another file"
        case sqlite3.SQLITE_CORRUPT:
            what = "is damaged: put a sound copy in its place"
        case _:
            what = f"cannot be used: {error}"
    return f"{path} {what}."
