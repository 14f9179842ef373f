"""The state store in an LMDB environment: one file, which many may read while one process writes.

Every commit waits for the disk before it is the newest one, so that a crash of the machine leaves an older state, and
never half of one. A file that has lost its end is noticed when it is opened, for to look at it would end the process.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from heapq import merge
from pathlib import Path
from typing import Any

import lmdb

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.interface import (
    FORGOTTEN_AT_ONCE,
    Changes,
    CorruptStateError,
    Size,
    StateError,
    StoredNote,
    StoredPage,
    StoredPair,
    StoredPublication,
)
from mesaya_ws.statestore import layout

MAP_BYTES = 64 << 30
"""Bytes that the file may grow to: addresses, not memory."""

KNOWN_LINES = 20_000
"""Channels whose keys are kept for the next commit, some 400 bytes each."""

LITTLE_SPACE = 16 << 20
"""Bytes that are free when an error may be for want of space."""

TABLES: dict[str, dict[str, Any]] = {
    "meta": {},
    "entities": {},
    "members": {"dupsort": True},
    "log": {},
    "lines": {"dupsort": True, "dupfixed": True},
    "pairs": {"dupsort": True, "dupfixed": True},
    "notes": {"dupsort": True, "dupfixed": True},
}
FILE = "state.mdb"

_LOST = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.BadTxnError)


class LmdbState:
    """A `StateStore` in a folder, which must exist and be nobody else's (see `directory`).

    It is opened by `reopen`. `set_aside` says, in a sentence, why what was there could not be used; None if it could.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._env: lmdb.Environment | None = None
        self._tables: dict[str, lmdb._Database] = {}
        self._lines: dict[str, layout.Line] = {}  # by channel, that of its last publication
        self._inode = 0
        self._in_use = threading.Lock()  # of those who look, while it is being opened again
        self.set_aside: str | None = None

    def reopen(self) -> None:
        """Open the store again, or for the first time; see `StateStore`."""
        with self._in_use:
            self._close()
            self.set_aside = None
            try:
                try:
                    self._open()
                except CorruptStateError as error:
                    self._close()
                    self.set_aside = str(error)
                    self._rename_aside()
                    self._open()
            except (lmdb.Error, OSError) as error:
                self._close()
                raise StateError(_sentence(self._path, error)) from error

    def discard(self, reason: str) -> None:
        """Set aside what is there, for a `reason`, and begin with an empty store. Raises `StateError`."""
        with self._in_use:
            self._close()
            try:
                self._rename_aside()
                self._open()
            except (lmdb.Error, OSError) as error:
                self._close()
                raise StateError(_sentence(self._path, error)) from error
            self.set_aside = reason

    def close(self) -> None:
        """Let go of the file."""
        with self._in_use:
            self._close()

    def _close(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env, self._tables = None, {}

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._env = env = lmdb.open(
                str(self._path), subdir=False, map_size=MAP_BYTES, max_dbs=len(TABLES), metasync=False, mode=0o640
            )
        except _LOST as error:
            raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
        info = env.info()
        stat = self._path.stat()
        if stat.st_size < (info["last_pgno"] + 1) * env.stat()["psize"]:
            raise CorruptStateError(f"{self._path} has lost its end.")
        self._inode = stat.st_ino
        env.reader_check()  # those that were killed
        try:
            is_new = info["last_txnid"] == 0
            self._tables = {name: env.open_db(name.encode(), **options) for name, options in TABLES.items()}
            with env.begin(write=is_new, db=self._tables["meta"]) as txn:
                if is_new:
                    txn.put(b"format", layout.FORMAT)
                elif txn.get(b"format") != layout.FORMAT:
                    raise CorruptStateError(f"{self._path} is of another version.")
                elif (head := txn.get(b"head")) is not None:
                    layout.unsealed(head)
        except (*_LOST, lmdb.IncompatibleError) as error:
            raise CorruptStateError(f"{self._path} is damaged ({error}).") from error

    def _rename_aside(self) -> None:
        """Keep the damaged file under another name, the last one of them: somebody may want to know."""
        for name in (FILE, f"{FILE}-lock"):
            path = self._folder / name
            if path.exists():
                path.replace(path.with_name(f"{name}.aside"))

    @property
    def _opened(self) -> lmdb.Environment:
        if self._env is None:
            raise StateError(f"{self._path} is not open.")
        return self._env

    def commit(self, changes: Changes) -> None:
        """Commit all of `changes`, or nothing; see `StateStore`."""
        env = self._opened
        try:
            if self._path.stat().st_ino != self._inode:
                raise StateError(f"{self._path} has been replaced by another file.")
            with env.begin(write=True) as txn:
                _Writing(txn, self._tables, self._lines).write(changes)
        except _LOST as error:
            raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
        except (lmdb.Error, OSError) as error:
            raise StateError(_sentence(self._path, error)) from error

    @contextmanager
    def view(self) -> Iterator["LmdbView"]:
        """Return what is there now; see `StateStore`."""
        with self._in_use:
            try:
                with self._opened.begin(buffers=False) as txn:
                    yield LmdbView(txn, self._tables)
            except _LOST as error:
                raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
            except (lmdb.Error, OSError) as error:
                raise StateError(_sentence(self._path, error)) from error


class _Writing:
    """One transaction that writes."""

    def __init__(self, txn: Any, tables: Mapping[str, "lmdb._Database"], lines: dict[str, layout.Line]) -> None:
        self._txn = txn
        self._tables = tables
        if len(lines) > KNOWN_LINES:
            lines.clear()
        self._lines = lines

    def write(self, changes: Changes) -> None:
        """Write all of `changes`."""
        txn, tables = self._txn, self._tables
        meta = tables["meta"]
        if changes.anew:
            for name, table in tables.items():
                if name != "meta":
                    txn.drop(table, delete=False)
            txn.delete(b"floors", db=meta)
            txn.delete(b"last_serial", db=meta)
        txn.put(b"head", layout.sealed(changes.head), db=meta)
        self._put_entities(changes)
        self._put_members(changes)
        self._append(changes)
        view = LmdbView(txn, tables)
        floors = dict(view.floors)
        for partition, offset in changes.floors.items():
            floors[partition] = max(offset, floors.get(partition, 0))
        self._forget(changes, view, floors)
        if floors != view.floors:
            txn.put(b"floors", layout.floors_value(floors), db=meta)

    def _put_entities(self, changes: Changes) -> None:
        if not changes.entities:
            return
        changed = sorted((layout.joined(*place), value) for place, value in changes.entities.items())
        put = [(key, layout.sealed(value)) for key, value in changed if value is not None]
        with self._txn.cursor(self._tables["entities"]) as cursor:
            cursor.putmulti(put)
        for key, value in changed:
            if value is None:
                self._txn.delete(key, db=self._tables["entities"])

    def _put_members(self, changes: Changes) -> None:
        with self._txn.cursor(self._tables["members"]) as cursor:
            for key, belongs in sorted(changes.members.items()):
                parent, member = layout.joined(*key[:2]), key[2]
                if belongs:
                    cursor.put(parent, member, dupdata=False)
                elif cursor.set_key_dup(parent, member):
                    cursor.delete()

    def _append(self, changes: Changes) -> None:
        if not changes.entries:
            return
        txn, tables = self._txn, self._tables
        put: list[tuple[bytes, bytes]] = []
        indexed: dict[str, list[tuple[bytes, bytes]]] = {"lines": [], "pairs": [], "notes": []}
        in_lines, lines = indexed["lines"], self._lines
        pack_serial, pack_place = layout.SERIAL.pack, layout.PLACE.pack
        for entry in changes.entries:
            if isinstance(entry, StoredPublication):
                channel, serial, partition, offset, timestamp, frame = entry
                line = lines.get(channel)
                if line is None or line.partition != partition:
                    line = lines[channel] = layout.Line(channel, partition)
                put.append((pack_serial(serial), line.value(offset, timestamp, frame)))
                in_lines.append((line.key, pack_place(offset, serial)))
            else:
                put.append((pack_serial(entry.serial), layout.entry_value(entry)))
                table, key, value = layout.index_of(entry)
                indexed[table].append((key, value))
        with txn.cursor(tables["log"]) as cursor:
            _, added = cursor.putmulti(put, append=True)
            if added < len(put):
                raise ValueError("serials of entries increase")
        for table, entries in indexed.items():
            with txn.cursor(tables[table]) as cursor:
                cursor.putmulti(sorted(entries))
        last = layout.SERIAL.pack(changes.entries[-1].serial)
        txn.put(b"last_serial", layout.sealed(last), db=tables["meta"])

    def _forget(self, changes: Changes, view: "LmdbView", floors: dict[Partition, int]) -> None:
        """Forget the oldest entries, and raise the floors of the partitions of what they were made."""
        tables = self._tables
        taken, entries = view.entry_bytes(), self._txn.stat(tables["log"])["entries"]
        excess = 0 if changes.max_bytes is None else taken - changes.max_bytes
        gone: dict[str, list[tuple[bytes, bytes]]] = {}
        with self._txn.cursor(tables["log"]) as log:
            found = log.first()
            for _ in range(FORGOTTEN_AT_ONCE):
                if not found:
                    break
                entry = layout.entry_in(layout.SERIAL.unpack(log.key())[0], log.value())
                if entry.timestamp >= changes.keep_since and excess <= 0:
                    break
                excess -= taken // entries
                table, key, indexed = layout.index_of(entry)
                gone.setdefault(table, []).append((key, indexed))
                if isinstance(entry, StoredPublication):
                    floors[entry.partition] = max(entry.offset + 1, floors.get(entry.partition, 0))
                log.delete()
                found = bool(log.key())  # the next one's
        for table, entries in gone.items():
            with self._txn.cursor(tables[table]) as cursor:
                for key, value in sorted(entries):
                    if cursor.set_key_dup(key, value):
                        cursor.delete()


class LmdbView:
    """A `StateView` of one transaction.

    It never asks for memory views; the types of lmdb allow for them everywhere, and so they are not used.
    """

    def __init__(self, txn: Any, tables: Mapping[str, "lmdb._Database"]) -> None:
        self._txn = txn
        self._tables = tables

    def _meta(self, name: bytes) -> bytes | None:
        value = self._txn.get(name, db=self._tables["meta"])
        return None if value is None else layout.unsealed(value)

    @property
    def head(self) -> bytes | None:
        """What the last commit said of its place in the log."""
        return self._meta(b"head")

    @property
    def floors(self) -> Mapping[Partition, int]:
        """By partition, the offset from which on nothing has been forgotten."""
        value = self._txn.get(b"floors", db=self._tables["meta"])
        return {} if value is None else dict(layout.floors_in(value))

    @property
    def last_serial(self) -> int:
        """The serial of the last entry that was ever appended."""
        value = self._meta(b"last_serial")
        last: int = 0 if value is None else layout.SERIAL.unpack(value)[0]
        return last

    def get(self, table: str, id: str) -> bytes | None:
        """Return the value of an entity."""
        value = self._txn.get(layout.joined(table, id), db=self._tables["entities"])
        return None if value is None else layout.unsealed(value)

    def rows(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Yield the ids and values of a table."""
        prefix = layout.joined(table, "")
        with self._txn.cursor(self._tables["entities"]) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                yield layout.id_in(cursor.key()), layout.unsealed(cursor.value())
                found = cursor.next()

    def members(self, index: str, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members of a parent from `start` on."""
        key = layout.joined(index, parent)
        with self._txn.cursor(self._tables["members"]) as cursor:
            # An empty start is no value that a member could have.
            found = cursor.set_range_dup(key, start) if start else cursor.set_key(key)
            while found:
                yield cursor.value()
                found = cursor.next_dup()

    def since(self, channel: str, offsets: Mapping[Partition, int], max_bytes: int) -> StoredPage:
        """Return the first publications on a channel at or after `offsets`."""
        runs = [self._serials(key, offsets.get(at, 0)) for at, key in self._lines("lines", channel)]
        found: list[StoredPublication] = []
        size = 0
        for serial in runs[0] if len(runs) == 1 else merge(*runs):
            publication = self._publication(serial)
            size += len(publication.frame)
            if found and size > max_bytes:
                return StoredPage(found, is_last=False)
            found.append(publication)
        return StoredPage(found, is_last=True)

    def count(self, channel: str, offsets: Mapping[Partition, int]) -> int:
        """Return how many publications there are on a channel at or after `offsets`."""
        total = 0
        for at, key in self._lines("lines", channel):
            with self._txn.cursor(self._tables["lines"]) as cursor:
                if cursor.set_range_dup(key, layout.place(offsets.get(at, 0))):
                    is_all = cursor.value() == _first(cursor, key)
                    total += cursor.count() if is_all else self._count_from(key, offsets.get(at, 0))
        return total

    def _count_from(self, key: bytes, offset: int) -> int:
        with self._txn.cursor(self._tables["lines"]) as cursor:
            cursor.set_range_dup(key, layout.place(offset))
            return sum(1 for _ in cursor.iternext_dup(keys=False, values=False))

    def latest(self, channel: str, count: int) -> list[StoredPublication]:
        """Return the last `count` publications of every partition on a channel."""
        serials = []
        for _, key in self._lines("lines", channel):
            with self._txn.cursor(self._tables["lines"]) as cursor:
                found = cursor.set_key(key) and cursor.last_dup()
                for _ in range(count):
                    if not found:
                        break
                    serials.append(layout.PLACE.unpack(cursor.value())[1])
                    found = cursor.prev_dup()
        return [self._publication(serial) for serial in sorted(serials)]

    def pairs(self, channel: str, offsets: Mapping[Partition, int]) -> Iterator[StoredPair]:
        """Yield by pair of partitions the first pair whose first record is at or after `offsets`."""
        prefix = layout.joined(channel, "")
        for first, key in self._lines("pairs", channel):
            second, _ = layout.partition_in(key[len(prefix) + len(layout.partition_key(first)) :])
            with self._txn.cursor(self._tables["pairs"]) as cursor:
                if cursor.set_range_dup(key, layout.place(offsets.get(first, 0))):
                    first_offset, second_offset, serial = layout.PAIR.unpack(cursor.value())
                    yield StoredPair(channel, serial, first, first_offset, second, second_offset, 0)

    def notes(self, channel: str) -> Iterator[StoredNote]:
        """Yield all notes of a channel."""
        with self._txn.cursor(self._tables["notes"]) as cursor:
            found = cursor.set_key(layout.joined(channel, ""))
            while found:
                entry = self._entry(layout.SERIAL.unpack(cursor.value())[0])
                if isinstance(entry, StoredNote):
                    yield entry
                found = cursor.next_dup()

    def size(self) -> Size:
        """Return how much there is."""
        entities = self._txn.stat(self._tables["entities"])
        members = self._txn.stat(self._tables["members"])
        oldest = None
        with self._txn.cursor(self._tables["log"]) as cursor:
            if cursor.first():
                oldest = layout.entry_in(0, cursor.value()).timestamp
        entries = self._txn.stat(self._tables["log"])["entries"]
        return Size(self.entry_bytes(), _bytes(entities) + _bytes(members), entries, entities["entries"], oldest)

    def entry_bytes(self) -> int:
        """Return how many bytes of pages the entries take, with their indexes."""
        return sum(_bytes(self._txn.stat(self._tables[name])) for name in ("log", "lines", "pairs", "notes"))

    def _lines(self, table: str, channel: str) -> list[tuple[Partition, bytes]]:
        """Return the keys that a table has of a channel, with the partition that each begins with."""
        prefix = layout.joined(channel, "")
        keys = []
        with self._txn.cursor(self._tables[table]) as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                keys.append((layout.partition_in(key[len(prefix) :])[0], key))
                found = cursor.next_nodup()
        return keys

    def _serials(self, key: bytes, offset: int) -> Iterator[int]:
        with self._txn.cursor(self._tables["lines"]) as cursor:
            found = cursor.set_range_dup(key, layout.place(offset))
            while found:
                yield layout.PLACE.unpack(cursor.value())[1]
                found = cursor.next_dup()

    def _publication(self, serial: int) -> StoredPublication:
        entry = self._entry(serial)
        if not isinstance(entry, StoredPublication):
            raise CorruptStateError("The state names a publication that is none.")
        return entry

    def _entry(self, serial: int) -> StoredPublication | StoredPair | StoredNote:
        value = self._txn.get(layout.SERIAL.pack(serial), db=self._tables["log"])
        if value is None:
            raise CorruptStateError("The state names an entry that it does not have.")
        return layout.entry_in(serial, value)


def _first(cursor: Any, key: bytes) -> bytes:
    """Return the first value of a key, at which the cursor stands then."""
    cursor.set_key(key)
    value: bytes = cursor.value()
    return value


def _bytes(stat: Mapping[str, int]) -> int:
    """Return the bytes of all pages of a table."""
    return (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"]


def _sentence(path: Path, error: Exception) -> str:
    if isinstance(error, lmdb.MapFullError):
        return f"{path} has reached its largest size, {MAP_BYTES >> 30} GiB."
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"{path} cannot be used: {reason.rstrip('.')}{_space(path)}."


def _space(path: Path) -> str:
    """Return how much may still be written, if it is little: a full disk is an input/output error to LMDB."""
    with suppress(OSError):
        disk = os.statvfs(path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < LITTLE_SPACE:
            return f" ({free >> 10} KiB are free)"
    return ""
