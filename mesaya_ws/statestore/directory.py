"""The state directory: a folder for each process that keeps state in it, locked as long as that process lives.

A worker that relieves another one begins while that one still runs, so folders are taken, not assigned: the first one
that nobody has. One that was left behind is taken again, and brings with it what its owner knew.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

LOCK = "owner"
STARTS = "starts"

MAX_STARTS = 3
"""Starts from a store that may end before the process is ready; the next one begins without it. So a store that ends
the process does so three times, whatever is wrong with it."""


class StateInUseError(Exception):
    """Another process keeps its state there. Says so in a sentence."""


class StateFolder:
    """One of `count` folders of a directory: from `take` to `release` it is nobody else's."""

    def __init__(self, directory: Path, count: int = 1) -> None:
        self._directory = directory
        self._count = count
        self._descriptor: int | None = None
        self._path: Path | None = None

    def release(self) -> None:
        """Let others have the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._path = None

    def take(self) -> Path:
        """Take a folder that nobody has, unless one is taken already and has not been removed since; return it.

        Raises `StateInUseError` when others have all of them, and `OSError` when it cannot be created or written.
        """
        if not self._is_there():
            self.release()  # it can be made anew, and taken, by others
        owners = []
        for number in range(self._count if self._path is None else 0):
            path = self._directory / str(number)
            path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            if owner := _lock(descriptor):
                os.close(descriptor)
                owners.append(owner)
                continue
            self._descriptor, self._path = descriptor, path
            break
        if self._path is None:
            raise StateInUseError(
                f"{self._directory.absolute()} is used by another process ({', '.join(owners)}): each needs its own."
            )
        return self._path

    def _is_there(self) -> bool:
        """Return whether the folder that was taken is still there, as far as that can be said."""
        if self._descriptor is None or self._path is None:
            return False
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self._path / LOCK), os.fstat(self._descriptor))
        return False


def _lock(descriptor: int) -> str | None:
    """Lock the file of a folder's owner, and say there who that is; return the present owner if it has one."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?"
    with suppress(OSError):  # who it is matters less than that it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return None


def note_start(folder: Path) -> bool:
    """Note that a process starts from what is in a folder; return whether it may: too many have not become ready.

    Raises `OSError`.
    """
    path = folder / STARTS
    try:
        starts = len(path.read_bytes())
    except FileNotFoundError:
        starts = 0
    path.write_bytes(b"." * (starts + 1) if starts < MAX_STARTS else b".")
    return starts < MAX_STARTS


def note_ready(folder: Path) -> None:
    """Note that the process is ready: what is in the folder can be used."""
    with suppress(OSError):
        (folder / STARTS).unlink(missing_ok=True)
