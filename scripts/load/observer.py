"""Who looks at a run while it lasts: takes the samples that come, and waits for what they are to show."""

import time
from collections.abc import Callable

from load.plan import Plan
from load.processes import Processes, RunError
from load.received import Finished
from load.totals import Totals

FIRST_TIMEOUT = 10.0
"""Seconds until at least one client has come; where nobody gets in, nobody waits long for that."""

CONNECT_TIMEOUT = 60.0
"""Seconds without another client that has come, after which those that are missing are given up."""

DRAIN_TIMEOUT = 12
"""Samples of each swarm without another delivery, 3 s, after which what is missing counts as lost.

Who is too busy with what has come to report it takes no sample meanwhile.
"""

LOOK = 0.1
"""Seconds between two samples of what the processes have seen, at most."""

Watcher = Callable[[str, Totals], None]
"""Is shown the name of the phase, and the totals, several times a second."""


class Observer:
    """Adds the samples of all `processes` up in `totals`, and shows these to the `watcher`."""

    def __init__(self, plan: Plan, processes: Processes, watcher: Watcher) -> None:
        self.totals = Totals()
        self._plan = plan
        self._processes = processes
        self._watcher = watcher

    def look(self, phase: str) -> int:
        """Take the samples that have come, and show the totals; return how many there were."""
        samples = list(self._processes.samples(LOOK))
        for index, sample in samples:
            self.totals.add(index, sample)
        self._watcher(phase, self.totals)
        return len(samples)

    def wait(self, phase: str, seconds: float) -> None:
        """Look for so many seconds."""
        until = time.time() + seconds
        while time.time() < until:
            self.look(phase)

    def wait_for_start(self) -> None:
        """Look until all processes have said something."""
        while len(self.totals.cpu) < self._plan.processes:
            self.look("starting")

    def wait_for_clients(self) -> float:
        """Look until all clients have come that are to; return when the last of them had. Raises `RunError`."""
        plan, totals = self._plan, self.totals
        came = time.time()
        patience = came + FIRST_TIMEOUT
        while totals.open_now < plan.present and time.time() < patience:
            seen = totals.connected
            self.look("connecting")
            if totals.connected > seen:
                came, patience = time.time(), time.time() + CONNECT_TIMEOUT
        if not totals.open_now:
            why = ", ".join(totals.failures) or "there was no answer"
            raise RunError(f"No client could subscribe at ws://{plan.host}:{plan.port}{plan.path}: {why}.")
        return came

    def wait_for_return(self, phase: str) -> None:
        """Look until all clients that were cut are back."""
        patience = time.time() + CONNECT_TIMEOUT
        while self.totals.open_now < self._plan.connections and time.time() < patience:
            self.look(phase)

    def wait_for_replays(self, phase: str) -> None:
        """Look until all clients have what they missed while they were away."""
        totals = self.totals
        replayed, patience = totals.replayed, time.time() + CONNECT_TIMEOUT
        while totals.behind_now and time.time() < patience:
            self.look(phase)
            if totals.replayed > replayed:
                replayed, patience = totals.replayed, time.time() + CONNECT_TIMEOUT

    def drain(self, expected: int) -> None:
        """Look until there are as many deliveries as `expected`, or no more come."""
        totals = self.totals
        silent, seen = 0, totals.deliveries
        while totals.deliveries < expected and silent < DRAIN_TIMEOUT * self._plan.processes:
            silent += self.look("draining")
            if totals.deliveries > seen:
                silent, seen = 0, totals.deliveries

    def finish(self, fed: list[int]) -> tuple[int, int]:
        """End all processes; return how many deliveries of what was `fed` were lost, and how many late."""
        lost = late = 0
        for index, message in self._processes.finish(fed):
            if isinstance(message, Finished):
                lost += message.lost
                late += message.late
            else:
                self.totals.add(index, message)
        return lost, late
