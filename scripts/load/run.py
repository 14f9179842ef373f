"""A run: the processes of a load test, its phases, and what came of it."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_uint64
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from attrs import Factory, define, field, frozen

from load.feed import Feed, run_feed
from load.histogram import Histogram
from load.plan import Plan
from load.process import Observed
from load.swarm import Finished, Sample, run_swarm

CONNECT_PATIENCE = 60.0
"""Seconds without another client that has come, after which those that are missing are given up."""

DRAIN_PATIENCE = 3.0
"""Seconds without another delivery after which what is missing counts as lost."""

BUSY = 0.85
"""The share of a core from which on a client process is what limits, rather than the server."""


class RunError(Exception):
    """The run cannot go on; the text says why."""


@frozen
class Moment:
    """One point of the picture: deliveries and latencies (µs) of about a second, `at` seconds from the start."""

    at: float
    deliveries: float
    p50: int | None
    p99: int | None
    worst: int | None
    open: int


@frozen(kw_only=True)
class Result:
    """What a run has shown. Durations in seconds, latencies in microseconds, memory in bytes; None: not seen."""

    connections: int
    connections_per_second: float
    opening: Histogram
    events: int
    deliveries: int
    deliveries_per_second: float
    expected: int
    lost: int
    late: int
    duplicates: int
    misrouted: int
    latency: Histogram
    server_cpu: float | None
    cpu_per_delivery: float | None
    cpu_share: float | None
    memory_per_connection: float | None
    client_cpu_share: float
    feed_cpu_share: float
    failures: dict[str, int]
    recovered: int
    unrecovered: int
    replayed: int
    storm_seconds: float | None
    storm_latency: Histogram
    calm_latency: Histogram
    stopped_latency: Histogram
    memory_per_stopped: float | None
    moments: list[Moment]

    @property
    def client_limits(self) -> bool:
        """Whether the load test itself was too busy for its figures to be the server's."""
        return max(self.client_cpu_share, self.feed_cpu_share) > BUSY


@define
class Tally:
    """What all swarms have seen up to now."""

    connected: int = 0
    deliveries: int = 0
    replayed: int = 0
    recovered: int = 0
    unrecovered: int = 0
    duplicates: int = 0
    misrouted: int = 0
    failures: dict[str, int] = field(factory=dict)
    latency: Histogram = field(factory=Histogram)
    opening: Histogram = field(factory=Histogram)
    part: str | None = None
    by_part: dict[str, Histogram] = field(factory=lambda: {part: Histogram() for part in ("calm", "stopped", "storm")})
    open: dict[int, int] = field(factory=dict)
    cpu: dict[int, float] = field(factory=dict)
    moments: list[Moment] = field(factory=list)
    last: float = 0.0
    began: float = Factory(time.time)
    _second: Histogram = field(factory=Histogram)
    _second_deliveries: int = 0
    _second_began: float = Factory(time.time)

    def add(self, swarm: int, sample: Sample) -> None:
        """Add what one swarm has seen."""
        for name in ("connected", "deliveries", "replayed", "recovered", "unrecovered", "duplicates", "misrouted"):
            setattr(self, name, getattr(self, name) + getattr(sample, name))
        for reason, count in sample.failures.items():
            self.failures[reason] = self.failures.get(reason, 0) + count
        self.latency.merge(sample.latency)
        if self.part is not None:
            self.by_part[self.part].merge(sample.latency)
        self.opening.merge(sample.opening)
        self.last = max(self.last, sample.last)
        self.open[swarm], self.cpu[swarm] = sample.open, sample.cpu
        self._second.merge(sample.latency)
        self._second_deliveries += sample.deliveries
        if (past := sample.at - self._second_began) >= 1:
            second = self._second
            self.moments.append(
                Moment(
                    round(sample.at - self.began, 2),
                    self._second_deliveries / past,
                    second.percentile(50),
                    second.percentile(99),
                    second.maximum if second.total else None,
                    sum(self.open.values()),
                )
            )
            self._second, self._second_deliveries, self._second_began = Histogram(), 0, sample.at

    @property
    def open_now(self) -> int:
        """How many clients are subscribed at present."""
        return sum(self.open.values())


Watcher = Callable[[str, Tally], None]
"""Is shown the name of the phase, and the tally, several times a second."""


class Run:
    """The processes of a run, and what they report."""

    def __init__(self, plan: Plan, feed: Feed | None, server: Observed | None, watcher: Watcher) -> None:
        self.tally = Tally()
        self._plan = plan
        self._server = server
        self._watcher = watcher
        context = multiprocessing.get_context("spawn")
        received = context.RawArray(c_uint64, plan.processes)
        self._processes: list[BaseProcess] = []

        def start(target: Callable[..., None], *arguments: object) -> Pipe:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(*arguments, theirs, received), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            return ours

        self._swarms = [start(run_swarm, plan, index) for index in range(plan.processes)]
        self._feed = start(run_feed, plan, feed) if feed else None

    def end(self) -> None:
        """End the processes, however far they are."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def execute(self) -> Result:
        """Go through all phases."""
        plan, tally = self._plan, self.tally
        if self._feed is not None:
            self._hear(self._feed)  # it is ready
        before = self._memory()
        began = time.time()
        self._order("connect")
        came = time.time()
        patience = came + CONNECT_PATIENCE
        while tally.open_now < plan.connections and time.time() < patience:
            seen = tally.connected
            self._look("connecting")
            if tally.connected > seen:
                came, patience = time.time(), time.time() + CONNECT_PATIENCE
        if not tally.open_now:
            raise RunError(f"No client could subscribe: {tally.failures or 'the server does not answer'}.")
        self._pass("connected", 1.0)
        after, subscribed = self._memory(), tally.open_now

        deliveries, clocks, started = tally.deliveries, dict(tally.cpu), time.time()
        cpu = self._server.cpu() if self._server else 0.0
        if self._feed is not None:
            self._feed.send("start")
        storm_seconds, memory_per_stopped = None, None
        if plan.stopped:
            memory_per_stopped = self._stop_some()
        else:
            storm_seconds = self._disturb()
        if self._feed is None:
            events, feed_cpu, expected = 0, 0.0, 0
        else:
            self._feed.send("stop")
            events, feed_cpu = self._hear(self._feed)
            expected = self._expected(plan.fed(events))
        fed_for = time.time() - started
        self._drain(expected)
        done = tally.deliveries - deliveries
        used = self._server.cpu() - cpu if self._server else None
        took = time.time() - started
        lost, late = self._finish(plan.fed(events))
        client_cpu = max((tally.cpu[index] - clocks.get(index, 0.0) for index in tally.cpu), default=0.0)
        return Result(
            connections=subscribed,
            connections_per_second=subscribed / max(0.001, came - began),
            opening=tally.opening,
            events=events,
            deliveries=done,
            deliveries_per_second=done / max(0.001, tally.last - started),
            expected=expected,
            lost=lost if self._feed is not None else 0,
            late=late,
            duplicates=tally.duplicates,
            misrouted=tally.misrouted,
            latency=tally.latency,
            server_cpu=used,
            cpu_per_delivery=used / done if used is not None and done else None,
            cpu_share=used / took if used is not None else None,
            memory_per_connection=(after - before) / subscribed if before and after else None,
            client_cpu_share=client_cpu / took,
            feed_cpu_share=feed_cpu / fed_for,
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

    def _disturb(self) -> float | None:
        """Let the run last, with what is to happen in it; return how long a storm took."""
        plan, tally = self._plan, self.tally
        if plan.cut_every:
            self._order("start_cutting")
            self._pass("cutting", plan.duration)
            self._order("stop_cutting")
            self._until_all_are_back("coming back")
            return None
        if not plan.storm:
            self._pass("feeding", plan.duration)
            return None
        self._pass("before the storm", plan.duration / 3)
        self._order("cut_all")
        self._pass("away", plan.away)
        began, tally.part = time.time(), "storm"
        self._order("come_back")
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
                self._order("stop_reading")
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
        for index, pipe in enumerate(self._swarms):
            pipe.send(("finish", fed))
            while not isinstance(told := self._hear(pipe), Finished):
                self.tally.add(index, told)
            lost += told.lost
            late += told.late
        return lost, late

    def _order(self, command: str) -> None:
        for pipe in self._swarms:
            pipe.send((command,))

    def _pass(self, phase: str, seconds: float) -> None:
        until = time.time() + seconds
        while time.time() < until:
            self._look(phase)

    def _look(self, phase: str) -> None:
        for pipe in wait(self._swarms, timeout=0.1):
            self.tally.add(self._swarms.index(pipe), self._hear(pipe))
        self._watcher(phase, self.tally)

    def _hear(self, pipe: Pipe):
        try:
            return pipe.recv()
        except EOFError:
            raise RunError("A process of the load test ended; what it said is above.") from None

    def _memory(self) -> int:
        return self._server.memory() if self._server else 0


@contextmanager
def running(plan: Plan, feed: Feed | None, server: Observed | None, watcher: Watcher) -> Iterator[Run]:
    """Have the processes of a run; they end with the context."""
    run = Run(plan, feed, server, watcher)
    try:
        yield run
    finally:
        run.end()
