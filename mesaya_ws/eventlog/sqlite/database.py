"""The file of the embedded log: its tables, what is asked of them, and what can be wrong with it.

The file is in WAL mode with `synchronous=FULL`, so a commit that has returned is on the disk
(https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous). All records have one order, their
`seq`; within it each topic has offsets of its own (the column `place`), from 0 and without holes. Records are removed
only from the beginning of a topic; or, in a compacted one, when a later record has their key, in the same commit.
Neither `seq` nor offsets are used twice, unless the file is restored from a copy. Therefore each opening for appending
begins a new epoch with a random number.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import randbits
from time import monotonic, sleep, time_ns
from typing import NamedTuple
from uuid import uuid4

from mesaya_ws.core.log.epochs import REMEMBERED, Epochs
from mesaya_ws.core.log.records import Appended, NewRecord, Record
from mesaya_ws.eventlog.sqlite import schema
from mesaya_ws.eventlog.sqlite.diagnosis import reason

PAGE_RECORDS, PAGE_BYTES = 200, 4 * 1024 * 1024
"""A page ends with the record that reaches either. The event loop decodes a page in a few milliseconds."""


class DatabaseError(Exception):
    """The file cannot be used; the message is a sentence that names it, and says what to do."""


class Topic(NamedTuple):
    """A topic, which holds the offsets `begin <= offset < end`."""

    uuid: str
    begin: int
    end: int


class Page(NamedTuple):
    """Records in order; `seq` is that of the last one, and `more` whether there may be more after it."""

    records: list[Record]
    seq: int
    more: bool


class Epoch(NamedTuple):
    """From the offset `place` on, `topic` was written in the epoch `number`; later epochs have a higher `id`."""

    id: int
    topic: str
    place: int
    number: int


def by_topic(epochs: Iterable[Epoch]) -> dict[str, Epochs]:
    """Return the epochs by topic; they must be in the order of their offsets."""
    known: dict[str, Epochs] = {}
    for _, topic, place, number in epochs:
        known.setdefault(topic, Epochs()).begin(place, number)
    return known


class Database:
    """A connection to the file, for one thread, which must close it. `path` is absolute.

    It waits `timeout` seconds for locks of others, and keeps so many `epochs` of a topic. All methods raise
    `DatabaseError`.
    """

    def __init__(self, path: Path, timeout: float, *, create: bool = False, epochs: int = REMEMBERED) -> None:
        self.path = path
        self._timeout = timeout
        self._max_epochs = epochs
        self._knows_epochs = False
        self._ends: dict[str, int] = {}  # as of our last append
        with self._errors_explained():
            self._db = sqlite3.connect(
                f"{path.as_uri()}?mode={'rwc' if create else 'rw'}", uri=True, timeout=timeout, isolation_level=None
            )
        try:
            self._file = self._file_at_path()
            self._check_kind(empty_is_fine=create)
            self._check_not_moved()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._db.close()

    @property
    def moved(self) -> bool:
        """Whether the file at the path no longer is the opened one."""
        return self._file_at_path() != self._file

    def _file_at_path(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_not_moved(self) -> None:
        if self.moved:
            raise DatabaseError(
                f"{self.path} has been removed or replaced: put it back, or restart to begin a new one."
            )

    def _check_kind(self, *, empty_is_fine: bool) -> None:
        with self._transaction():  # another process may be creating the file right now
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (format,) = self._db.execute("PRAGMA user_version").fetchone()
        if application != schema.APPLICATION_ID and not (empty_is_fine and application == tables == 0):
            raise DatabaseError(f"{self.path} belongs to another program: choose another file.")
        if format > schema.FORMAT:
            raise DatabaseError(
                f"{self.path} was written by a newer version of mesaya-ws (format {format}, this one knows "
                f"{schema.FORMAT}): run that version, or choose another file."
            )

    def migrate(self, topics: Iterable[str]) -> None:
        """Add missing tables and topics, begin an epoch of these, and make commits durable."""
        self._use_wal()
        with self._errors_explained():
            self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction("IMMEDIATE"):
            if self._db.execute("PRAGMA user_version").fetchone() == (0,):
                for statement in schema.TABLES:
                    self._db.execute(statement)
            self._db.executemany(schema.ADD_TOPIC, [(name, str(uuid4())) for name in topics])
            self._begin_epoch(topics)

    def _begin_epoch(self, topics: Iterable[str]) -> None:
        self._db.execute(schema.EPOCH_TABLE)
        number = schema.FIRST_EPOCH | randbits(62)
        self._db.executemany(schema.BEGIN_EPOCH, [(number, name) for name in topics])
        self._db.execute(schema.FORGET_EPOCHS, (self._max_epochs,))

    def _use_wal(self) -> None:
        """Put the file into WAL mode, in which it can be read while it is written; this is stored in the file."""
        deadline = monotonic() + self._timeout
        with self._errors_explained():
            while True:
                try:
                    (mode,) = self._db.execute("PRAGMA journal_mode = WAL").fetchone()
                    break
                except sqlite3.OperationalError as error:
                    # SQLite does not wait for another process that does the same at this moment.
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                        raise
                    sleep(0.02)
        if mode != "wal":
            raise DatabaseError(f"{self.path} is where processes cannot share memory: choose a local disk.")

    def append(self, groups: Iterable[Iterable[NewRecord]], *, compact: bool = False) -> list[list[Appended]]:
        """Append all records in one transaction; when it returns they are on the disk, at the offsets returned.

        `groups` are iterated once the transaction holds the write lock. The file is written even without records. With
        `compact`, records with a key replace earlier ones of their topic and key.
        """
        places: list[list[Appended]] = []
        with self._transaction("IMMEDIATE"):
            known = self._db.execute("SELECT name, id, next FROM topic").fetchall()
            ids, ends = {name: id for name, id, _ in known}, {name: end for name, _, end in known}
            if any(ends.get(name, 0) < end for name, end in self._ends.items()):
                # An older copy has been written over the file: these offsets have been assigned already.
                self._begin_epoch(ids)
            now = time_ns() // 1_000_000
            rows = []
            for group in groups:
                appended = []
                for topic, value, key in group:
                    offset = ends[topic]
                    ends[topic] = offset + 1
                    rows.append((ids[topic], offset, now, key, value))
                    appended.append(Appended(topic, 0, offset, now))
                places.append(appended)
            self._db.executemany(schema.ADD_RECORD, rows)
            if compact:
                # SQLite reuses the space. There is no index of keys, since compacted topics are small.
                keyed = [(topic, offset, key) for topic, offset, _, key, _ in rows if key is not None]
                self._db.executemany(schema.COMPACT, keyed)
            longer = [(ends[name], id) for name, id, end in known if ends[name] != end or not rows]
            self._db.executemany("UPDATE topic SET next = ? WHERE id = ?", longer)
        self._ends = ends
        self._check_not_moved()  # otherwise nobody reads what was committed
        return places

    def try_to_write(self) -> None:
        """Raise `DatabaseError` if the file cannot be written now; nothing is written."""
        with self._errors_explained():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("ROLLBACK")

    def version(self) -> int:
        """Return a number that changes with each commit of another connection, in any process."""
        with self._errors_explained():
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def topics(self) -> dict[str, Topic]:
        """Return all topics by name."""
        with self._transaction():
            return self._topics()

    def after(
        self, seq: int | None, places: Mapping[str, int], epoch: int
    ) -> tuple[dict[str, Topic], list[Epoch], Page]:
        """Return all topics, the epochs with a higher id than `epoch`, and a page of all records after `seq`.

        Without `seq`, the page begins with the first record that is at or after its topic's offset in `places`.
        """
        with self._transaction():
            start = self._seq_before(places) if seq is None else seq
            page = self._page(schema.PAGE, (start, PAGE_RECORDS))
            return self._topics(), self._epochs(epoch), page._replace(seq=max(start, page.seq))

    def _seq_before(self, places: Mapping[str, int]) -> int:
        firsts = [row[0] for place in places.items() if (row := self._db.execute(schema.FIRST, place).fetchone())]
        return min(firsts) - 1 if firsts else int(self._db.execute(schema.LAST).fetchone()[0])

    def epochs(self) -> tuple[dict[str, Topic], dict[str, Epochs]]:
        """Return all topics and their epochs, as of one moment."""
        with self._transaction():
            return self._topics(), by_topic(self._epochs(0))

    def _epochs(self, id: int) -> list[Epoch]:
        return [Epoch(*row) for row in self._db.execute(schema.EPOCHS, (id,))] if self._has_epochs() else []

    def _has_epochs(self) -> bool:
        """Return whether a version that knows epochs has opened the file for appending."""
        if not self._knows_epochs:
            self._knows_epochs = self._db.execute(schema.HAS_EPOCHS).fetchone() == (1,)
        return self._knows_epochs

    def read(self, topic: str, start: int, limit: int) -> tuple[Topic | None, Page]:
        """Return a topic, if it exists, and a page of its records from offset `start` on, as of one moment."""
        with self._transaction():
            return self._topics().get(topic), self._page(schema.READ, (topic, start, limit))

    def _topics(self) -> dict[str, Topic]:
        return {name: Topic(uuid, begin, end) for name, uuid, begin, end in self._db.execute(schema.TOPICS)}

    def _page(self, query: str, arguments: tuple[str | int, ...]) -> Page:
        records: list[Record] = []
        seq = size = 0
        with closing(self._db.execute(query, arguments)) as rows:
            for seq, *record in rows:
                records.append(Record(*record))
                size += len(record[-1] or b"") + len(record[-2] or b"")
                if len(records) >= PAGE_RECORDS or size >= PAGE_BYTES:
                    return Page(records, seq, True)
        return Page(records, seq, False)

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        with self._errors_explained():
            self._db.execute(f"BEGIN {kind}")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path} {reason(error)}.") from error
