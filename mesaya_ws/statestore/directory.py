"""The state directory: a folder for each process that keeps state in it, locked as long as that process lives.

A worker that relieves another one begins while that one still runs, so folders are taken, not assigned: the first one
that nobody has. One that was left behind is taken again, and brings with it what its owner knew.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "owner"
STARTS = "starts"

MAX_STARTS = 3
"""Starts from a store that may end before the process is ready; the next one begins without it. So a store that ends
the process does so three times, whatever is wrong with it."""


class StateInUseError(Exception):
    """Another process keeps its state there. Says so in a sentence."""


@contextmanager
def taken_folder(directory: Path, count: int = 1) -> Iterator[Path]:
    """Take one of `count` folders in a directory, for the time of the context.

    Raises `StateInUseError` when others have all of them, and `OSError` when it cannot be created or written.
    """
    owners = []
    for number in range(count):
        folder = directory / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owners.append(os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?")
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            yield folder
            return
        finally:
            os.close(descriptor)
    raise StateInUseError(
        f"{directory.absolute()} is used by another process ({', '.join(owners)}): give each its own STATE_DIR."
    )


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
