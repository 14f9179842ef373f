"""A gateway as an operator runs it: a process of its own, configured by its environment.

Everything here is synchronous; under Trio, what waits belongs into a thread (`trio.to_thread.run_sync`).
"""

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.command import MESAYA_WS, environment
from tests.timing import PATIENCE

START_TIMEOUT, END_TIMEOUT = 120.0, 60.0
"""Seconds for a gateway to become ready, and to end: it takes about one, and more on a busy machine."""

Answer = TypeVar("Answer")


class GatewayError(AssertionError):
    """A gateway did not do what it was waited for; the message ends with what it printed."""


def until(probe: Callable[[], Answer], seconds: float, what: str, period: float = 0.02) -> Answer:
    """Return what `probe` returns as soon as that is true. Raises `GatewayError` when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise GatewayError(f"Not within {seconds} s: {what}.")
        time.sleep(period)
    return answer


class Gateway:
    """One gateway process.

    It works in `folder`, so the embedded log and `.env` are those there; `settings` are its environment, and it sees
    nothing of the tests' own. PORT is a free one unless given.
    """

    def __init__(self, folder: Path, settings: dict[str, str], name: str = "gateway") -> None:
        self.folder = folder
        self.settings = settings
        self.log = folder / f"{name}.log"
        defaults = {"HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json", "AUTH": "off", "DRAIN_SECONDS": "0"}
        # Of its own: others in the same folder may run at the same time.
        defaults["STATE_DIR"] = str(folder / f"{name}.state")
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                [*MESAYA_WS, "serve"],
                cwd=folder,
                env=environment(defaults | settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._port: int | None = None

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has printed so far, logs included."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    @property
    def port(self) -> int:
        """The port that it listens on; waits until it does."""
        if self._port is None:
            self._port = int(self.event("listening")["port"])
        return self._port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return what it has logged under that name so far (needs LOG_FORMAT=json, which is the default here)."""
        found = []
        for line in self.output.splitlines():
            if line.startswith("{") and line.endswith("}"):
                entry = json.loads(line)
                if entry.get("event") == event:
                    found.append(entry)
        return found

    def event(self, event: str, seconds: float = START_TIMEOUT) -> dict[str, Any]:
        """Return the latest log entry of that name; waits for one."""
        return self.until(lambda: self.logged(event), seconds, f"the log says {event!r}")[-1]

    def until(self, probe: Callable[[], Answer], seconds: float, what: str) -> Answer:
        """Like the function `until`, and ends early when the process does."""

        def or_ended() -> Answer:
            answer = probe()
            if not answer and self.process.poll() is not None:
                raise GatewayError(f"The gateway has ended with {self.process.returncode}, before {what}.")
            return answer

        try:
            return until(or_ended, seconds, what)
        except GatewayError as error:
            raise GatewayError(f"{error}\n{self.output[-10_000:]}") from None

    def request(
        self, path: str, *, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of an HTTP answer.

        `body` is sent as JSON; in the names of `headers`, `_` stands for `-`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def publish(self, body: object, path: str = "/publish") -> tuple[int, dict[str, Any]]:
        """Post to one of the ways in, with the token that is set; return status and answer."""
        bearer = f"Bearer {self.settings['PUBLISH_TOKEN']}"
        status, _, answer = self.request(path, method="POST", body=body, Authorization=bearer)
        return status, json.loads(answer)

    def announce(self, title: str) -> int:
        """Publish an announcement, and return the status."""
        message = {"channel": "global:announcements", "type": "announcement.created", "data": {"title": title}}
        return self.publish(message)[0]

    def health(self) -> dict[str, Any]:
        """Return what `/health` says."""
        answer: dict[str, Any] = json.loads(self.request("/health")[2])
        return answer

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples called `name` that have these labels; 0 when there are none."""
        total = 0.0
        for line in self.request("/metrics")[2].decode().splitlines():
            sample, _, value = line.rpartition(" ")
            found, _, rest = sample.partition("{")
            if found == name and all(f'{label}="{text}"' in rest for label, text in labels.items()):
                total += float(value)
        return total

    def wait_ready(self, seconds: float = START_TIMEOUT) -> None:
        """Return when it would be given clients (`/health/ready` answers 200)."""
        self.until(self._is_ready, seconds, "/health/ready answers 200")

    def _is_ready(self) -> bool:
        try:
            return self.request("/health/ready")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = END_TIMEOUT) -> int:
        """Return its exit code once it has ended (negative: the signal that ended it)."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise GatewayError(f"The gateway has not ended within {seconds} s.\n{self.output[-10_000:]}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = END_TIMEOUT) -> int:
        """Signal it to end, and return its exit code."""
        self.send_signal(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it as a power cut does, if it still runs."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path, *, ready: bool = True, name: str = "gateway", **settings: str) -> Iterator[Gateway]:
    """Run a gateway in `folder`, and end it if that has not happened before.

    It is yielded when it is ready, or at once when not `ready`. `settings` are those of the product, in capitals. A
    gateway that printed a traceback fails the test.
    """
    gateway = Gateway(folder, settings, name)
    try:
        if ready:
            gateway.wait_ready()
        yield gateway
        if gateway.process.poll() is None:
            assert gateway.stop() == 0, gateway.output
        printed = gateway.output
        assert "Traceback" not in printed, printed
        assert '"exception"' not in printed, printed
    finally:
        gateway.kill()
