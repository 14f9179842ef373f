"""A gateway of the load test's own, for the time of a run."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from load.process import Observed
from load.processes import RunError

START_TIMEOUT = 3600.0
"""Seconds; a gateway is ready when it has read its log, which may be long, and the machine busy."""

COMMAND = (str(Path(sys.executable).with_name("mesaya-ws")), "serve")


def free_port() -> int:
    """Return a port that nobody listens on at present."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(command: Sequence[str] = COMMAND, **settings: str) -> Iterator[tuple[Observed, dict[str, str]]]:
    """Run a gateway with an embedded log of its own and open channels; yield it, and its settings, when it is ready.

    Raises `RunError` when it does not get ready. `settings` add to the gateway's, or change them.
    """
    with TemporaryDirectory(prefix="mesaya-ws-load-") as directory:
        port = free_port()
        chosen = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "AUTH": "off",
            "KAFKA_BROKERS": "",
            "EVENT_LOG_FILE": f"{directory}/log.sqlite3",
            "LOG_LEVEL": "warning",
            "MAX_CONNECTIONS": "1000000",
            "DRAIN_SECONDS": "0",
            **settings,
        }
        process = subprocess.Popen(command, cwd=directory, env={**os.environ, **chosen})
        try:
            _wait(process, f"http://127.0.0.1:{chosen['PORT']}/health/ready")
            yield Observed(process.pid), chosen
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RunError(f"The gateway ended with {process.returncode}; what it said is above.")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RunError(f"The gateway was not ready within {START_TIMEOUT:.0f} s.")
