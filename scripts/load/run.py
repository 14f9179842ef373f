"""A run: its phases, and what came of it."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from load.clocks import Clocks, read_clocks
from load.feed import Feed
from load.observer import Observer, Watcher
from load.plan import Plan
from load.process import Observed
from load.processes import Processes, RunError, starting
from load.result import Result

SETTLED_AFTER = 15.0
"""Seconds in which all clients have been given tokens that end soon."""

WARNED_BEFORE, MINUTE = 90.0, 60.0
"""Seconds before its end at which a token may be renewed first, and in which all of them end."""

LEEWAY = 10.0
"""Seconds after the last end within which the service has ended what was not renewed: JWT_LEEWAY, and some."""


class Run:
    """A plan that is carried out on a server, by its processes; `company` works for them, a broker for example."""

    def __init__(
        self,
        plan: Plan,
        processes: Processes,
        server: Observed | None,
        watcher: Watcher,
        company: Sequence[Observed] = (),
    ) -> None:
        self._plan = plan
        self._processes = processes
        self._server = server
        self._observer = Observer(plan, processes, watcher)
        self.totals = self._observer.totals
        self._company = company

    def execute(self) -> Result:
        """Go through all phases."""
        plan, totals = self._plan, self.totals
        self._processes.wait_for_feed()
        self._observer.wait_for_start()
        memory, begun = self._memory(), self._clocks()
        self._processes.order("connect")
        came = self._observer.wait_for_clients()
        opened = self._clocks()
        self._observer.wait("connected", 1.0)
        memory, subscribed = self._memory() - memory, totals.open_now

        deliveries = totals.deliveries
        storm_seconds = memory_per_stopped = None
        start, writes = self._clocks(), self._writes()
        if plan.backlog:
            self._pile_up()
            start = self._clocks()
        else:
            self._processes.start_feed()
            if plan.stopped:
                memory_per_stopped = self._stop_some()
            else:
                storm_seconds = self._disturb()
        events, feed_cpu = self._processes.stop_feed()
        fed_for, fed = time.time() - start.at, plan.fed(plan.fed_before + events)
        expected = self._expected(fed)
        self._observer.drain(expected)
        end, writes = self._clocks(), self._writes() - writes
        done, used, took = totals.deliveries - deliveries, end.server - start.server, end.at - start.at
        lost, late = self._observer.finish(fed)
        # Where nothing is fed, it is their coming that is measured.
        shares = end.since(start) if plan.feeds or plan.watch else opened.since(begun)
        return Result(
            connections=subscribed,
            connections_per_second=subscribed / max(0.001, came - begun.at),
            opening=totals.opening,
            events=events,
            deliveries=done,
            deliveries_per_second=done / max(0.001, totals.last - start.at),
            expected=expected,
            lost=lost if events else 0,
            late=late,
            duplicates=totals.duplicates,
            misrouted=totals.misrouted,
            latency=totals.latency,
            server_cpu=used if self._server else None,
            cpu_per_delivery=used / done if self._server and done else None,
            deliveries_per_write=done / writes if writes else None,
            writes_per_second=writes / took if writes else None,
            cpu_share=shares.server if self._server else None,
            load_cpu=shares.load,
            machine_share=shares.all / (os.cpu_count() or 1),
            memory_per_connection=memory / subscribed if memory > 0 else None,
            cpu_per_connection=(opened.server - begun.server) / subscribed if self._server else None,
            records_per_second=events / max(0.001, totals.last - start.at) if plan.backlog else None,
            cpu_per_record=used / events if self._server and plan.backlog else None,
            client_cpu_share=shares.busiest,
            # A backlog is fed before it counts.
            feed_cpu_share=0.0 if plan.backlog else feed_cpu / fed_for,
            others_cpu=end.since(begun).others,
            cuts=totals.cuts,
            cuts_planned=plan.cuts,
            failures=totals.failures,
            recovered=totals.recovered,
            unrecovered=totals.unrecovered,
            replayed=totals.replayed,
            storm_seconds=storm_seconds,
            storm_latency=totals.by_part["storm"],
            storm_opening=totals.opening_by_part["storm"],
            replay_latency=totals.by_part["replaying"],
            bystander_storm_latency=totals.bystanders_by_part["storm"],
            bystander_replay_latency=totals.bystanders_by_part["replaying"],
            catching_up=totals.catching_up,
            calm_latency=totals.by_part["calm"],
            stopped_latency=totals.by_part["stopped"],
            expiring_latency=totals.by_part["expiring"],
            lag=totals.lag,
            calm_lag=totals.lag_by_part["calm"],
            expiring_lag=totals.lag_by_part["expiring"],
            renewed=totals.renewed,
            lapsed=totals.lapsed,
            memory_per_stopped=memory_per_stopped,
            moments=totals.moments,
        )

    def _pile_up(self) -> None:
        """Feed all events while the server is stopped, and let it go on."""
        if self._server is None:
            raise RunError("A backlog needs a server on this machine, to stop it.")
        with self._server.standing_still():
            self._processes.start_feed()
            while not self._processes.has_fed:
                self._observer.look("piling up")

    def _disturb(self) -> float | None:
        """Wait for the length of the run, and cause what is planned in it; return how long a storm took."""
        plan, totals = self._plan, self.totals
        if plan.cut_every:
            self._processes.order("start_cutting")
            self._observer.wait("cutting", plan.duration)
            self._processes.order("stop_cutting")
            self._observer.wait_for_return("coming back")
            return None
        if plan.expiring:
            self._let_tokens_end()
            return None
        if not plan.storm:
            self._observer.wait("feeding", plan.duration)
            return None
        self._observer.wait("before the storm", plan.duration / 3)
        self._processes.order("cut_all")
        self._observer.wait("away", plan.away)
        began, totals.part = time.time(), "storm"
        self._processes.order("come_back")
        self._observer.wait_for_return("storm")
        took, totals.part = time.time() - began, "replaying"
        answered = totals.open_now >= plan.connections
        self._observer.wait_for_replays("replaying")
        totals.part = None
        self._observer.wait("after the storm", max(0.0, plan.duration * 2 / 3 - (time.time() - began)))
        return took if answered else None

    def _let_tokens_end(self) -> None:
        """Make all tokens end within one minute; before it, the clients are warned, and renew them."""
        plan, totals = self._plan, self.totals
        self._observer.wait("settling", 1.0)
        totals.part = "calm"
        self._observer.wait("calm", plan.duration)
        totals.part = None
        first = time.time() + SETTLED_AFTER + WARNED_BEFORE
        self._processes.order("let_tokens_end", first, first + MINUTE)
        self._observer.wait("shorter tokens", SETTLED_AFTER)
        totals.part = "expiring"
        self._observer.wait("renewing", first - time.time())
        self._observer.wait("expiring", MINUTE + LEEWAY)
        totals.part = None

    def _stop_some(self) -> float | None:
        """Connect clients that read nothing, half way; return the memory that each of them costs the server.

        The window grows alike in both halves, so what the second half takes more than the first is theirs.
        """
        plan, totals = self._plan, self.totals
        memory = [self._memory()]
        for part in ("calm", "stopped"):
            if part == "stopped":
                self._processes.order("stop_reading")
            self._observer.wait("settling", 1.0)
            totals.part = part
            self._observer.wait(part, max(0.0, plan.duration / 2 - 1.0))
            totals.part = None
            memory.append(self._memory())
        before, between, after = memory
        return (after - between - (between - before)) / plan.stopped if before else None

    def _expected(self, fed: list[int]) -> int:
        """Return how many deliveries there must be, if all came of all that was fed."""
        plan = self._plan
        return sum(fed[number % plan.channels] + 1 - plan.place(number).next for number in range(plan.connections))

    def _memory(self) -> int:
        return self._server.memory() if self._server else 0

    def _writes(self) -> int:
        return self._server.writes() if self._server else 0

    def _clocks(self) -> Clocks:
        return read_clocks(self._server, self._company, self.totals.cpu)


@contextmanager
def running(
    plan: Plan, feed: Feed | None, server: Observed | None, watcher: Watcher, company: Sequence[Observed] = ()
) -> Iterator[Run]:
    """Prepare a run; its processes end with the context."""
    with starting(plan, feed) as processes:
        yield Run(plan, processes, server, watcher, company)
