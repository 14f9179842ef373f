"""The state store in an LMDB environment: one file, which many may read while one process writes.

Every commit waits for the disk before it is the newest one, so that a crash of the machine leaves an older state, and
never half of one. A file that has lost its end is noticed when it is opened, for to look at it would end the process.
"""

import os
import struct
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    Entry,
    Size,
    StateError,
    StoredNote,
    StoredPage,
    StoredPair,
    StoredPublication,
)
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.blocks import NAME, Block, block_value, named, partition_of, per_block

MAP_BYTES = 64 << 30
"""Bytes that the file may grow to: addresses, not memory."""

KNOWN_LINES = 20_000
"""Channels whose keys are kept for the next commit, some 400 bytes each; to make them anew is much of its work."""

PORTION = 1000
"""Publications that are made blocks of together."""

LITTLE_SPACE = 16 << 20
"""Bytes that are free when an error may be for want of space."""

TABLES: dict[str, dict[str, Any]] = {
    "meta": {},
    "entities": {},
    "members": {"dupsort": True},
    "log": {},
    "lines": {},
    "marks": {},
    "pairs": {"dupsort": True, "dupfixed": True},
    "notes": {"dupsort": True, "dupfixed": True},
}
ENTRY_TABLES = ("log", "lines", "marks", "pairs", "notes")
FILE = "state.mdb"

_Lines = dict[tuple[str, Partition], bytes]
"""By channel and partition, the `named` key that these have in `lines`."""

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
        self._lines: _Lines = {}
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

    def __init__(self, txn: Any, tables: Mapping[str, "lmdb._Database"], lines: _Lines) -> None:
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
            txn.delete(b"entries", db=meta)
        txn.put(b"head", layout.sealed(changes.head), db=meta)
        self._put_entities(changes)
        self._put_members(changes)
        view = LmdbView(txn, tables)
        last, count = view.entries
        if changes.entries:
            if changes.entries[0].serial <= last:
                raise ValueError("serials of entries increase")
            self._append(changes.entries)
            last, count = changes.entries[-1].serial, count + len(changes.entries)
        floors = dict(view.floors)
        for partition, offset in changes.floors.items():
            floors[partition] = max(offset, floors.get(partition, 0))
        count -= self._forget(changes, count, view, floors)
        txn.put(b"entries", layout.sealed(layout.PLACE.pack(last, count)), db=meta)
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

    def _append(self, entries: Sequence[Entry]) -> None:
        if len(kinds := set(map(type, entries))) == 1 and StoredPublication in kinds:
            self._append_publications(entries)
            return
        if published := [entry for entry in entries if isinstance(entry, StoredPublication)]:
            self._append_publications(published)
        marks = [entry for entry in entries if not isinstance(entry, StoredPublication)]
        with self._txn.cursor(self._tables["marks"]) as cursor:
            cursor.putmulti([(layout.SERIAL.pack(mark.serial), layout.mark_value(mark)) for mark in marks], append=True)
        indexed: dict[str, list[tuple[bytes, bytes]]] = {"pairs": [], "notes": []}
        for mark in marks:
            table, key, value = layout.index_of(mark)
            indexed[table].append((key, value))
        for table, values in indexed.items():
            with self._txn.cursor(self._tables[table]) as cursor:
                cursor.putmulti(sorted(values))

    def _append_publications(self, published: Sequence[Entry]) -> None:
        """Append blocks of publications, and one value for each line that they are on.

        Every call lets other threads run meanwhile, which may take the time of many: so there are few calls.
        """
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        blocks = []
        # Not all at once: the garbage collector of the event loop would have to examine it all in one step.
        for first in range(0, len(published), PORTION):
            columns = zip(*published[first : first + PORTION], strict=True)
            channels, serials, partitions, offsets, times, frames = columns
            keys = self._keys(channels, partitions)
            for key, offset, serial in zip(keys, offsets, serials, strict=True):
                places[key] += (offset, serial)
            step = per_block(frames)
            for start in range(0, len(frames), step):
                part = slice(start, start + step)
                value = block_value(keys[part], serials[part], offsets[part], times[part], frames[part])
                blocks.append((layout.SERIAL.pack(serials[start]), value))
        with self._txn.cursor(self._tables["log"]) as cursor:
            _, added = cursor.putmulti(blocks, append=True)
            if added < len(blocks):
                raise ValueError("serials of entries increase")
        values = [(key[NAME:], struct.pack(f">{len(numbers)}Q", *numbers)) for key, numbers in places.items()]
        with self._txn.cursor(self._tables["lines"]) as cursor:
            cursor.putmulti(sorted((key + value[: layout.PLACE.size], value) for key, value in values))

    def _keys(self, channels: Sequence[str], partitions: Sequence[Partition]) -> list[bytes]:
        lines = self._lines
        try:
            return list(map(lines.__getitem__, zip(channels, partitions, strict=True)))
        except KeyError:
            for line in zip(channels, partitions, strict=True):
                if line not in lines:
                    lines[line] = named(layout.line_key(*line))
            return self._keys(channels, partitions)

    def _forget(self, changes: Changes, entries: int, view: "LmdbView", floors: dict[Partition, int]) -> int:
        """Forget the oldest entries, and raise the floors of the partitions of what they were made; return how many.

        Marks lie between publications as their serials do.
        """
        taken, surplus, count = view.entry_bytes(), 0, 0
        if changes.max_bytes is not None and taken > changes.max_bytes:
            surplus = -(-(taken - changes.max_bytes) * entries // taken)  # each counts alike
        indexed: dict[str, list[tuple[bytes, bytes]]] = {"pairs": [], "notes": []}
        lines: dict[bytes, int] = {}  # by line, the last offset that is forgotten
        serial = 0
        with self._txn.cursor(self._tables["log"]) as log, self._txn.cursor(self._tables["marks"]) as marks:
            is_block, is_mark = log.first(), marks.first()
            while count < FORGOTTEN_AT_ONCE and (is_block or is_mark):
                if is_mark and not (is_block and log.key() < marks.key()):
                    mark = layout.mark_in(layout.SERIAL.unpack(marks.key())[0], marks.value())
                    if mark.timestamp >= changes.keep_since and count >= surplus:
                        break
                    table, key, value = layout.index_of(mark)
                    indexed[table].append((key, value))
                    count += 1
                    marks.delete()
                    is_mark = bool(marks.key())  # the next one's
                    continue
                block = Block(log.value())
                columns = block.columns()
                gone, most = 0, min(block.count, FORGOTTEN_AT_ONCE - count)
                while gone < most and (columns.times[gone] < changes.keep_since or count + gone < surplus):
                    gone += 1
                if not gone:
                    break
                count += gone
                serial = columns.serials[gone - 1]
                lines.update(columns.last_offsets(gone))
                log.delete()
                is_block = bool(log.key())
                if gone < block.count:
                    # Marks may lie before what is left.
                    is_block = log.put(layout.SERIAL.pack(columns.serials[gone]), block.after(columns, gone))
        self._forget_marks(indexed)
        self._forget_places(sorted(lines), serial)
        for line, offset in lines.items():
            partition = partition_of(line)
            floors[partition] = max(offset + 1, floors.get(partition, 0))
        return count

    def _forget_marks(self, indexed: Mapping[str, list[tuple[bytes, bytes]]]) -> None:
        for table, values in indexed.items():
            with self._txn.cursor(self._tables[table]) as cursor:
                for key, value in sorted(values):
                    if cursor.set_key_dup(key, value):
                        cursor.delete()

    def _forget_places(self, lines: Iterable[bytes], serial: int) -> None:
        """Forget what lines have up to a serial."""
        with self._txn.cursor(self._tables["lines"]) as cursor:
            for line in lines:
                found = cursor.set_range(line)
                while found and cursor.key().startswith(line):
                    value = cursor.value()
                    left = b"".join(layout.PLACE.pack(*at) for at in layout.places_in(value) if at[1] > serial)
                    if len(left) == len(value):
                        break
                    cursor.delete()
                    if left:
                        cursor.put(line + left[: layout.PLACE.size], left)
                        break
                    found = bool(cursor.key())


class LmdbView:
    """A `StateView` of one transaction.

    It never asks for memory views; the types of lmdb allow for them everywhere, and so they are not used.
    """

    def __init__(self, txn: Any, tables: Mapping[str, "lmdb._Database"]) -> None:
        self._txn = txn
        self._tables = tables
        self._block: Block | None = None  # the last one that was read: the next publication may be there, too

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
        return self.entries[0]

    @property
    def entries(self) -> tuple[int, int]:
        """The serial of the last entry that was ever appended, and how many entries there are."""
        value = self._meta(b"entries")
        if value is None:
            return 0, 0
        serial, count = layout.PLACE.unpack(value)
        return serial, count

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
        runs = [self._serials(key, at, offsets.get(at, 0)) for at, key in self._lines(channel)]
        found: list[StoredPublication] = []
        size = 0
        for serial, offset, partition in runs[0] if len(runs) == 1 else merge(*runs):
            publication = self._publication(channel, serial, partition, offset)
            size += len(publication.frame)
            if found and size > max_bytes:
                return StoredPage(found, is_last=False)
            found.append(publication)
        return StoredPage(found, is_last=True)

    def count(self, channel: str, offsets: Mapping[Partition, int]) -> int:
        """Return how many publications there are on a channel at or after `offsets`."""
        total = 0
        for at, key in self._lines(channel):
            offset = offsets.get(at, 0)
            for value in self._values(key, offset):
                if layout.PLACE.unpack_from(value)[0] >= offset:
                    total += len(value) // layout.PLACE.size
                else:
                    total += sum(place[0] >= offset for place in layout.places_in(value))
        return total

    def latest(self, channel: str, count: int) -> list[StoredPublication]:
        """Return the last `count` publications of every partition on a channel."""
        latest: list[tuple[int, int, Partition]] = []
        for at, key in self._lines(channel):
            places: list[tuple[int, int]] = []
            with self._txn.cursor(self._tables["lines"]) as cursor:
                found = cursor.prev() if cursor.set_range(layout.line_end(key)) else cursor.last()
                while found and len(places) < count and cursor.key().startswith(key):
                    places = [*layout.places_in(cursor.value()), *places]
                    found = cursor.prev()
            latest += [(serial, offset, at) for offset, serial in places[-count:]]
        return [self._publication(channel, serial, at, offset) for serial, offset, at in sorted(latest)]

    def pairs(self, channel: str, offsets: Mapping[Partition, int]) -> Iterator[StoredPair]:
        """Yield by pair of partitions the first pair whose first record is at or after `offsets`."""
        prefix = layout.joined(channel, "")
        for first, key in self._pair_keys(channel):
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
                serial = cursor.value()
                mark = self._txn.get(serial, db=self._tables["marks"])
                note = None if mark is None else layout.mark_in(layout.SERIAL.unpack(serial)[0], mark)
                if not isinstance(note, StoredNote):
                    raise CorruptStateError("The state names a note that it does not have.")
                yield note
                found = cursor.next_dup()

    def size(self) -> Size:
        """Return how much there is."""
        entities = self._txn.stat(self._tables["entities"])
        members = self._txn.stat(self._tables["members"])
        firsts: list[tuple[int, int]] = []
        with self._txn.cursor(self._tables["log"]) as cursor:
            if cursor.first():
                block = Block(cursor.value())
                firsts.append((block.first, block.frame(block.first)[0]))
        with self._txn.cursor(self._tables["marks"]) as cursor:
            if cursor.first():
                mark = layout.mark_in(layout.SERIAL.unpack(cursor.key())[0], cursor.value())
                firsts.append((mark.serial, mark.timestamp))
        oldest = min(firsts)[1] if firsts else None
        return Size(
            self.entry_bytes(), _bytes(entities) + _bytes(members), self.entries[1], entities["entries"], oldest
        )

    def entry_bytes(self) -> int:
        """Return how many bytes of pages the entries take, with their indexes."""
        return sum(_bytes(self._txn.stat(self._tables[name])) for name in ENTRY_TABLES)

    def _pair_keys(self, channel: str) -> list[tuple[Partition, bytes]]:
        """Return the keys of the pairs on a channel, with the first partition of each."""
        prefix = layout.joined(channel, "")
        keys = []
        with self._txn.cursor(self._tables["pairs"]) as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                keys.append((layout.partition_in(key[len(prefix) :])[0], key))
                found = cursor.next_nodup()
        return keys

    def _lines(self, channel: str) -> list[tuple[Partition, bytes]]:
        """Return the lines of a channel, with their partitions."""
        prefix = layout.joined(channel, "")
        lines = []
        with self._txn.cursor(self._tables["lines"]) as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                line = key[: -layout.PLACE.size]
                lines.append((partition_of(line), line))
                found = cursor.set_range(layout.line_end(line))
        return lines

    def _values(self, line: bytes, offset: int) -> Iterator[bytes]:
        """Yield the values of a line that have places at or after an offset; the first one, others, too."""
        with self._txn.cursor(self._tables["lines"]) as cursor:
            start = layout.line_start(line, offset)
            found = cursor.prev() if cursor.set_range(start) else cursor.last()
            # What was committed together may begin before the offset, and end after it.
            if found and cursor.key().startswith(line) and cursor.value()[-16:-8] >= start[-16:-8]:
                yield cursor.value()
            found = cursor.set_range(start)
            while found and cursor.key().startswith(line):
                yield cursor.value()
                found = cursor.next()

    def _serials(self, line: bytes, partition: Partition, offset: int) -> Iterator[tuple[int, int, Partition]]:
        for value in self._values(line, offset):
            for at, serial in layout.places_in(value):
                if at >= offset:
                    yield serial, at, partition

    def _publication(self, channel: str, serial: int, partition: Partition, offset: int) -> StoredPublication:
        block = self._block
        if block is None or not block.first <= serial <= block.last:
            with self._txn.cursor(self._tables["log"]) as cursor:
                found = cursor.prev() if cursor.set_range(layout.SERIAL.pack(serial + 1)) else cursor.last()
                if not found:
                    raise CorruptStateError("The state names a publication that it does not have.")
                self._block = block = Block(cursor.value())
        time, frame = block.frame(serial)
        return StoredPublication(channel, serial, partition, offset, time, frame)


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
