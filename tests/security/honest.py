"""A client that does nothing wrong, while others do: it must be answered all the while."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.e2e.client import connected
from tests.security.aftermath import processes
from tests.support.gateway import Gateway
from tests.timing import PATIENCE

LONGEST_ANSWER = 1.0
"""Seconds that a gateway may work before it answers, whatever others do: see `HonestClient`."""

PERIOD = 0.05
"""Seconds between two questions."""


class HonestClient:
    """Asks a gateway again and again, in a thread of its own.

    `slowest` is how long the event loop worked at most, for others, until an answer had come: in seconds of its
    processor time, since a busy machine may let it wait for any time. `stalled` is how much longer than it should a
    pause between two questions took at most: so long may an answer lie there, while the gateway works on.

    One that `may_be_cut` connects again when its connection breaks, and is to be answered at once there; `cuts` counts.
    """

    def __init__(self, gateway: Gateway, *, may_be_cut: bool = False) -> None:
        self._gateway = gateway
        self._may_be_cut = may_be_cut
        self.cuts = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers = 0
        self.slowest = self.stalled = 0.0
        self.fault: BaseException | None = None

    def start(self) -> None:
        """Begin to ask, and return when the first answer has come."""
        self._thread.start()
        self._gateway.until(lambda: self.answers or self.fault, PATIENCE, "the honest client is answered")

    def stop(self) -> None:
        """End, and see that every answer has come in time."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the honest client waits for an answer"
        assert self.fault is None, self.fault
        assert self.answers > 0
        assert self.slowest < LONGEST_ANSWER + 2 * self.stalled

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._ask_for_ever()
                except (ConnectionClosed, ConnectionError, EOFError, InvalidMessage):
                    if not self._may_be_cut:
                        raise
                    self.cuts += 1
        except BaseException as fault:  # noqa: BLE001 - the test reports it
            self.fault = fault

    def _ask_for_ever(self) -> None:
        worked = self._worked()
        with connected(self._gateway.url) as client:
            client.subscribe("global:restaurants")
            while not self._stopping.is_set():
                assert client.ask(type="ping", id=self.answers)["id"] == self.answers
                self.slowest = max(self.slowest, self._worked() - worked)
                self.answers += 1
                answered = time.monotonic()
                self._stopping.wait(PERIOD)
                self.stalled = max(self.stalled, time.monotonic() - answered - PERIOD)
                worked = self._worked()

    def _worked(self) -> float:
        """Return the processor time of the event loops so far, which run in the first threads (proc(5), schedstat)."""
        total = 0
        for pid in processes(self._gateway):
            with suppress(FileNotFoundError, ProcessLookupError):  # a worker that has ended meanwhile
                total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return total / 1e9


@contextmanager
def honest_client(gateway: Gateway, *, may_be_cut: bool = False) -> Iterator[HonestClient]:
    """Have one for the time of the context."""
    client = HonestClient(gateway, may_be_cut=may_be_cut)
    client.start()
    try:
        yield client
    finally:
        client.stop()
