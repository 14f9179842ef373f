"""Ends what a process has started when that process is gone, however it ended: tests start gateways and brokers.

A guardian is a process that waits for the end of the one that started it, by a pipe. What it ends has a mark in its
environment, which everything inherits that is started from then on.
"""

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "MESAYA_TESTS"

PATIENCE = 5.0
"""Seconds to end after SIGTERM."""


def start() -> None:
    """Start a guardian of this process, and mark what it starts; the pipe to it stays open until we end."""
    mark = f"{os.getpid()}-{secrets.token_hex(8)}"
    unmarked = {name: text for name, text in os.environ.items() if name != MARK}
    reads, _ = os.pipe()
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", __file__, mark],
        unmarked,
        file_actions=[(os.POSIX_SPAWN_DUP2, reads, 0)],
        setsid=True,
    )
    os.close(reads)
    os.environ[MARK] = mark


def marked(mark: str) -> Iterator[int]:
    """Return the processes that have the mark."""
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def end_all(mark: str, patience: float = PATIENCE) -> None:
    """End all processes that have the mark; those that do not end in time are killed."""
    deadline = time.monotonic() + patience
    signalled: set[int] = set()
    while left := set(marked(mark)):
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in left if number == signal.SIGKILL else left - signalled:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        signalled |= left
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_all(sys.argv[1])
