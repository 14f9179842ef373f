"""The command `mesaya-ws`, in processes of its own that see nothing of the tests' environment."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests import guardian
from tests.timing import PATIENCE

MESAYA_WS = (sys.executable, "-m", "mesaya_ws")


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a process that is to have these settings, and no others; empty ones are left out."""
    names = ("PATH", "HOME", "LANG", "TMPDIR", guardian.MARK)
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    chosen = {name: value for name, value in settings.items() if value}
    return {**inherited, "PYTHONUNBUFFERED": "1", **chosen}


def run(folder: Path, *arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` to its end, and return how it ended and what it printed."""
    return subprocess.run(
        [*MESAYA_WS, *arguments],
        cwd=folder,
        env=environment(settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def started(
    folder: Path, *arguments: str, stdout: IO[bytes] | int = subprocess.PIPE, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a command in `folder` beside the test; it is killed when it takes too long, and at the end."""
    process = subprocess.Popen(
        [*MESAYA_WS, *arguments],
        cwd=folder,
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(PATIENCE, process.kill)
    guard.start()
    try:
        with process:
            yield process
            process.kill()
    finally:
        guard.cancel()


def produce(folder: Path, records: Iterable[object], **settings: str) -> None:
    """Append records `{"topic", "key", "value"}` to the log, by default the embedded one in `folder`."""
    lines = "".join(f"{json.dumps(record)}\n" for record in records)
    done = run(folder, "produce", "-", stdin=lines, **settings)
    assert done.returncode == 0, done.stderr
