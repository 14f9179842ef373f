"""The state store in an LMDB environment: one file, which many may read while one process writes.

Every commit waits for the disk before it is the newest one, so that a crash of the machine leaves an older state, and
never half of one. A file that has lost its end is noticed when it is opened, for to look at it would end the process.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from mesaya_ws.core.state.interface import Changes, CorruptStateError, StateError
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.transaction import Lines, Transaction
from mesaya_ws.statestore.view import LmdbView

MAP_BYTES = 64 << 30
"""Bytes that the file may grow to: addresses, not memory."""

LITTLE_SPACE = 16 << 20
"""Bytes that are free when an error may be for want of space."""

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
        self._lines: Lines = {}
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
                str(self._path),
                subdir=False,
                map_size=MAP_BYTES,
                max_dbs=len(layout.TABLES),
                metasync=False,
                mode=0o640,
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
            self._tables = {name: env.open_db(name.encode(), **options) for name, options in layout.TABLES.items()}
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
                Transaction(txn, self._tables, self._lines).write(changes)
        except _LOST as error:
            raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
        except (lmdb.Error, OSError) as error:
            raise StateError(_sentence(self._path, error)) from error

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is open is still where it was."""
        try:
            return self._env is not None and self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def pin(self, on_damage: Callable[[str], None] = lambda reason: None) -> "PinnedView":
        """Return what is there now, for one thread; to be closed before the store is, or opened again.

        When an entity turns out to be damaged, `on_damage` is called with a sentence. Raises `StateError`.
        """
        try:
            return PinnedView(self._opened.begin(buffers=False), self._tables, on_damage)
        except lmdb.Error as error:
            raise StateError(_sentence(self._path, error)) from error

    def copy(self) -> None:
        """Put a copy of the open file where it was before it was deleted, or replaced. Raises `StateError`."""
        copied = self._path.with_name(f"{FILE}.copy")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            copied.unlink(missing_ok=True)
            self._opened.copy(str(copied))
            self._rename_aside()
            copied.replace(self._path)
        except _LOST as error:
            raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
        except (lmdb.Error, OSError) as error:
            raise StateError(_sentence(self._path, error)) from error

    @contextmanager
    def view(self) -> Iterator[LmdbView]:
        """Return what is there now; see `StateStore`."""
        with self._in_use:
            try:
                with self._opened.begin(buffers=False) as txn:
                    yield LmdbView(txn, self._tables)
            except _LOST as error:
                raise CorruptStateError(f"{self._path} is damaged ({error}).") from error
            except (lmdb.Error, OSError) as error:
                raise StateError(_sentence(self._path, error)) from error


class PinnedView(LmdbView):
    """A view that stays open. Its pages cannot be used again meanwhile, so it should be renewed after each commit."""

    def __init__(self, txn: Any, tables: Mapping[str, Any], on_damage: Callable[[str], None]) -> None:
        super().__init__(txn, tables)
        self._on_damage = on_damage
        self.reads = 0
        """How many entities have been looked up."""

    def get(self, table: str, id: str) -> bytes | None:
        """Return the value of an entity. Raises `CorruptStateError`."""
        self.reads += 1
        try:
            return super().get(table, id)
        except (lmdb.Error, CorruptStateError) as error:
            self._on_damage(str(error))
            raise CorruptStateError(f"The state cannot be read: {error}") from error

    def members(self, index: str, parent: str, start: bytes = b"") -> Iterator[bytes]:
        """Yield the members of a parent. Raises `CorruptStateError`."""
        try:
            yield from super().members(index, parent, start)
        except lmdb.Error as error:
            self._on_damage(str(error))
            raise CorruptStateError(f"The state cannot be read: {error}") from error

    def close(self) -> None:
        """Let its pages go."""
        self._txn.abort()


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
