"""A run: its phases, and what came of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from load.books import Finished
from load.crew import Crew, RunError, starting
from load.feed import Feed
from load.plan import Plan
from load.process import Observed, cpu_of, machine_cpu
from load.result import Result
from load.tally import Tally

CONNECT_PATIENCE = 60.0
"""Seconds without another client that has come, after which those that are missing are given up."""

DRAIN_PATIENCE = 3.0
"""Seconds without another delivery after which what is missing counts as lost."""

LOOK = 0.1
"""Seconds between two looks at what the processes have seen, at most."""

Watcher = Callable[[str, Tally], None]
"""Is shown the name of the phase, and the tally, several times a second."""


@frozen
class _Clocks:
    """Processor time up to a moment, in seconds."""

    at: float
    server: float
    all: float
    known: float

    def others_since(self, before: "_Clocks") -> float:
        """Return how many cores were busy since then with what is not of this run."""
        return max(0.0, self.all - before.all - (self.known - before.known)) / max(0.001, self.at - before.at)


class Run:
    """A plan that is carried out on a server, by a crew; `company` is who works for them, a broker for example."""

    def __init__(
        self, plan: Plan, crew: Crew, server: Observed | None, watcher: Watcher, company: Sequence[Observed] = ()
    ) -> None:
        self.tally = Tally()
        self._plan = plan
        self._crew = crew
        self._server = server
        self._watcher = watcher
        self._company = company

    def execute(self) -> Result:
        """Go through all phases."""
        plan, tally = self._plan, self.tally
        self._crew.wait_for_feed()
        memory, begun = self._memory(), self._clocks()
        came = self._connect()
        opened = self._clocks()
        self._pass("connected", 1.0)
        memory, subscribed = self._memory() - memory, tally.open_now

        deliveries, clocks = tally.deliveries, dict(tally.cpu)
        storm_seconds = memory_per_stopped = None
        start, writes = self._clocks(), self._writes()
        started = start.at
        if plan.backlog:
            self._pile_up()
            started = time.time()
        else:
            self._crew.start_feed()
            if plan.stopped:
                memory_per_stopped = self._stop_some()
            else:
                storm_seconds = self._disturb()
        events, feed_cpu = self._crew.stop_feed()
        fed_for = time.time() - start.at
        expected = self._expected(plan.fed(events))
        self._drain(expected)
        end, writes = self._clocks(), self._writes() - writes
        done, used, took = tally.deliveries - deliveries, end.server - start.server, end.at - started
        lost, late = self._finish(plan.fed(events))
        client_cpu = max((tally.cpu[index] - clocks.get(index, 0.0) for index in tally.cpu), default=0.0)
        return Result(
            connections=subscribed,
            connections_per_second=subscribed / max(0.001, came - begun.at),
            opening=tally.opening,
            events=events,
            deliveries=done,
            deliveries_per_second=done / max(0.001, tally.last - started),
            expected=expected,
            lost=lost if events else 0,
            late=late,
            duplicates=tally.duplicates,
            misrouted=tally.misrouted,
            latency=tally.latency,
            server_cpu=used if self._server else None,
            cpu_per_delivery=used / done if self._server and done else None,
            deliveries_per_write=done / writes if writes else None,
            cpu_share=used / took if self._server else None,
            memory_per_connection=memory / subscribed if memory > 0 else None,
            cpu_per_connection=(opened.server - begun.server) / subscribed if self._server else None,
            records_per_second=events / max(0.001, tally.last - started) if plan.backlog else None,
            cpu_per_record=used / events if self._server and plan.backlog else None,
            client_cpu_share=client_cpu / took,
            # A backlog is fed before it counts.
            feed_cpu_share=0.0 if plan.backlog else feed_cpu / fed_for,
            others_cpu=end.others_since(begun),
            failures=tally.failures,
            recovered=tally.recovered,
            unrecovered=tally.unrecovered,
            replayed=tally.replayed,
            storm_seconds=storm_seconds,
            storm_latency=tally.by_part["storm"],
            calm_latency=tally.by_part["calm"],
            stopped_latency=tally.by_part["stopped"],
            memory_per_stopped=memory_per_stopped,
            moments=tally.moments,
        )

    def _connect(self) -> float:
        """Let all come; return when the last of them had come."""
        plan, tally = self._plan, self.tally
        self._crew.order("connect")
        came = time.time()
        patience = came + CONNECT_PATIENCE
        while tally.open_now < plan.connections and time.time() < patience:
            seen = tally.connected
            self._look("connecting")
            if tally.connected > seen:
                came, patience = time.time(), time.time() + CONNECT_PATIENCE
        if not tally.open_now:
            raise RunError(f"No client could subscribe: {tally.failures or 'the server does not answer'}.")
        return came

    def _pile_up(self) -> None:
        """Have all events fed while the server stands still, and let it go on."""
        if self._server is None:
            raise RunError("A backlog needs a server on this machine, to stop it.")
        with self._server.standing_still():
            self._crew.start_feed()
            while not self._crew.has_fed:
                self._look("piling up")

    def _disturb(self) -> float | None:
        """Let the run last, with what is to happen in it; return how long a storm took."""
        plan, tally = self._plan, self.tally
        if plan.cut_every:
            self._crew.order("start_cutting")
            self._pass("cutting", plan.duration)
            self._crew.order("stop_cutting")
            self._until_all_are_back("coming back")
            return None
        if not plan.storm:
            self._pass("feeding", plan.duration)
            return None
        self._pass("before the storm", plan.duration / 3)
        self._crew.order("cut_all")
        self._pass("away", plan.away)
        began, tally.part = time.time(), "storm"
        self._crew.order("come_back")
        self._until_all_are_back("storm")
        took, tally.part = time.time() - began, None
        self._pass("after the storm", max(0.0, plan.duration * 2 / 3 - took))
        return took if tally.open_now >= plan.connections else None

    def _stop_some(self) -> float | None:
        """Let clients come that read nothing, half way; return the memory that each of them costs the server.

        The window grows alike in both halves, so what the second half takes more than the first is theirs.
        """
        plan, tally = self._plan, self.tally
        memory = [self._memory()]
        for part in ("calm", "stopped"):
            if part == "stopped":
                self._crew.order("stop_reading")
            self._pass("settling", 1.0)
            tally.part = part
            self._pass(part, max(0.0, plan.duration / 2 - 1.0))
            tally.part = None
            memory.append(self._memory())
        before, between, after = memory
        return (after - between - (between - before)) / plan.stopped if before else None

    def _until_all_are_back(self, phase: str) -> None:
        patience = time.time() + CONNECT_PATIENCE
        while self.tally.open_now < self._plan.connections and time.time() < patience:
            self._look(phase)

    def _drain(self, expected: int) -> None:
        """Wait for what is still under way."""
        tally = self.tally
        last, seen = time.time(), tally.deliveries
        while tally.deliveries < expected and time.time() - last < DRAIN_PATIENCE:
            self._look("draining")
            if tally.deliveries > seen:
                last, seen = time.time(), tally.deliveries

    def _expected(self, fed: list[int]) -> int:
        """Return how many deliveries there must be, if all came of all that was fed."""
        plan = self._plan
        return sum(fed[number % plan.channels] for number in range(plan.connections))

    def _finish(self, fed: list[int]) -> tuple[int, int]:
        lost = late = 0
        for index, told in self._crew.finish(fed):
            if isinstance(told, Finished):
                lost += told.lost
                late += told.late
            else:
                self.tally.add(index, told)
        return lost, late

    def _pass(self, phase: str, seconds: float) -> None:
        until = time.time() + seconds
        while time.time() < until:
            self._look(phase)

    def _look(self, phase: str) -> None:
        for index, sample in self._crew.samples(LOOK):
            self.tally.add(index, sample)
        self._watcher(phase, self.tally)

    def _memory(self) -> int:
        return self._server.memory() if self._server else 0

    def _writes(self) -> int:
        return self._server.writes() if self._server else 0

    def _clocks(self) -> _Clocks:
        server = self._server.cpu() if self._server else 0.0
        # The crew's processes are children of this one, and so may the server be, and its company.
        known = {pid for one in (Observed.here(), self._server, *self._company) if one for pid in one.family()}
        return _Clocks(time.time(), server, machine_cpu(), sum(map(cpu_of, known)))


@contextmanager
def running(
    plan: Plan, feed: Feed | None, server: Observed | None, watcher: Watcher, company: Sequence[Observed] = ()
) -> Iterator[Run]:
    """Have a run; its processes end with the context."""
    with starting(plan, feed) as crew:
        yield Run(plan, crew, server, watcher, company)
