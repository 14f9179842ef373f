"""Programs of `tests/node`: their packages, and running them."""

import contextlib
import fcntl
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.timing import PATIENCE

FOLDER = Path(__file__).resolve().parent.parent / "node"


def required(program: str) -> str:
    """Return where `program` is; without it the test is skipped, but fails where nobody would notice (CI)."""
    if found := shutil.which(program):
        return found
    reason = f"{program} is not installed"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI, this test must not be skipped")
    pytest.skip(reason)


def install() -> str:
    """Install the packages that are locked, unless they are there; return where Node is."""
    node, npm = required("node"), required("npm")
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    with (FOLDER / "package.json").open() as guard:
        # Several test runs may be at it at once.
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts"], cwd=FOLDER, capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.fail(f"npm ci failed in {FOLDER}:\n{done.stderr}")
            os.utime(installed)
    return node


class Program:
    """A running program that reports what happens in lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._reported: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self._reported.put(json.loads(line))
        self._reported.put(None)

    def next(self, name: str) -> Any:
        """Return what it reports next under that name; what it reports before is passed over."""
        return self.next_of({name})[name]

    def next_of(self, names: Set[str]) -> dict[str, Any]:
        """Return the next line that has one of these names; what it reports before is passed over."""
        passed = []
        while True:
            try:
                message = self._reported.get(timeout=PATIENCE)
            except queue.Empty:
                pytest.fail(f"Nothing called {names} within {PATIENCE} s; reported was {passed}")
            if message is None:
                pytest.fail(f"The program has ended without {names}; reported was {passed}")
            if names & message.keys():
                return message
            passed.append(message)

    def say(self, lines: Iterable[object]) -> None:
        """Write lines of JSON to its standard input."""
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(f"{json.dumps(line)}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End it, and let go of all that it held."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()


@contextmanager
def running_node(script: str, *arguments: str, **variables: str) -> Iterator[Program]:
    """Run a program of `tests/node`, with `variables` in its environment; it ends when its standard input does."""
    command = [install(), script, *arguments]
    process = subprocess.Popen(
        command, cwd=FOLDER, env=os.environ | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    program = Program(process)
    try:
        yield program
    finally:
        program.close()
