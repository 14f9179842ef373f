"""What people see of a run: a display while it goes, a table at its end, and the same as JSON."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import asdict
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from load.histogram import Histogram
from load.observer import Watcher
from load.plan import Plan
from load.result import Result
from load.totals import Totals

PERCENTILES = (50, 90, 99)

KEPT_UP = 0.9
"""The part of what was planned below which a run was another one than was asked for."""

LATE = 20_000
"""Microseconds; from here on, how late the load test itself was is part of what is measured."""

CROWDED = 0.25
"""Cores; from here on, what others do on the machine is part of what is measured."""


def milliseconds(microseconds: int | None) -> str:
    """Return a latency as people read it."""
    return "–" if microseconds is None else f"{microseconds / 1000:,.1f} ms"


@contextmanager
def display(console: Console, plan: Plan) -> Iterator[Watcher]:
    """Show how a run is going; nothing where the console is no terminal."""
    began = time.monotonic()

    def show(phase: str, totals: Totals) -> Text:
        moment = totals.moments[-1] if totals.moments else None
        words = [
            f"{time.monotonic() - began:5.1f} s  {phase:<16}",
            f"{totals.open_now:,} of {plan.connections:,} connected",
            f"{moment.deliveries if moment else 0:,.0f} deliveries/s",
            f"p50 {milliseconds(moment.p50 if moment else None)}",
            f"p99 {milliseconds(moment.p99 if moment else None)}",
        ]
        if totals.failures:
            words.append(f"{sum(totals.failures.values()):,} failures")
        return Text("  ·  ".join(words), no_wrap=True, overflow="ellipsis")

    if not console.is_terminal:
        yield lambda phase, totals: None
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield lambda phase, totals: live.update(show(phase, totals))


def table(plan: Plan, result: Result) -> Table:
    """Return the table of all that was measured."""
    rows = Table(box=None, show_header=False, pad_edge=False, title_justify="left")
    rows.add_column(style="bold")
    rows.add_column(justify="right")
    rows.add_column(style="dim")

    def row(name: str, value: str, remark: str = "") -> None:
        rows.add_row(name, value, remark)

    row("connections", f"{result.connections:,}", f"of {plan.connections:,}")
    row("connections/s", f"{result.connections_per_second:,.0f}", _spread(result.opening, "to the answer, "))
    row("events", f"{result.events:,}", f"on {plan.channels:,} channel{'s' * (plan.channels > 1)}")
    row("deliveries", f"{result.deliveries:,}", f"of {result.expected:,}" if result.expected else "")
    row("deliveries/s", f"{result.deliveries_per_second:,.0f}")
    row("lost", f"{result.lost:,}")
    row("twice", f"{result.duplicates:,}")
    if result.late or result.misrouted:
        row("out of order", f"{result.late:,}")
        row("on a wrong channel", f"{result.misrouted:,}")
    for percent in PERCENTILES:
        row(f"latency p{percent}", milliseconds(result.latency.percentile(percent)))
    row("latency max", milliseconds(result.latency.maximum if result.latency.total else None))
    if result.cuts_planned:
        row("cuts", f"{result.cuts:,}", f"of {result.cuts_planned:,}; who is not back cannot be cut")
    if result.recovered or result.unrecovered:
        row("resumed", f"{result.recovered:,}", f"{result.unrecovered:,} in vain; {result.replayed:,} events replayed")
    if result.storm_seconds is not None:
        meanwhile = milliseconds(result.storm_latency.percentile(99))
        row("storm answered in", f"{result.storm_seconds:.1f} s", f"live events meanwhile: p99 {meanwhile}")
        row("answer p99", milliseconds(result.storm_opening.percentile(99)), _spread(result.storm_opening, ""))
    if result.catching_up.total:
        row("all received p99", milliseconds(result.catching_up.percentile(99)), "from when a client dialled")
        after = milliseconds(result.replay_latency.percentile(99))
        row("after the answers", after, "p99 of live events until all have what they missed, behind which they come")
    for phase, latency in (
        ("in the storm", result.bystander_storm_latency),
        ("after the answers", result.bystander_replay_latency),
    ):
        if latency.total:
            p99, worst = milliseconds(latency.percentile(99)), milliseconds(latency.maximum)
            row("bystanders p99", p99, f"{phase}, of {latency.total:,} events; at most {worst}")
    if result.stopped_latency.total:
        calm, stopped = (milliseconds(it.percentile(99)) for it in (result.calm_latency, result.stopped_latency))
        row("p99 beside the stopped", stopped, f"without them {calm}")
    if result.expiring_latency.total:
        calm, expiring = (milliseconds(it.percentile(99)) for it in (result.calm_latency, result.expiring_latency))
        row("p99 as tokens end", expiring, f"before {calm}")
        calm, expiring = (milliseconds(it.percentile(99)) for it in (result.calm_lag, result.expiring_lag))
        row("lag meanwhile", expiring, f"before {calm}; how late the load test itself was")
        row("renewed", f"{result.renewed:,}", f"{result.lapsed:,} of {plan.lapsing:,} lapsed, and received no more")
    if result.memory_per_stopped is not None:
        row("memory per stopped", f"{result.memory_per_stopped / 1000:,.0f} kB", "of the server, with what waits")
    if result.cpu_share is not None:
        row("server CPU", f"{result.cpu_share:.0%}", "of a core")
    if result.cpu_per_delivery is not None:
        row("CPU per delivery", f"{result.cpu_per_delivery * 1e6:.2f} µs", "of the server")
    if result.deliveries_per_write is not None and result.deliveries:
        row("deliveries per write", f"{result.deliveries_per_write:.1f}", "more are joined when the machine is busy")
    if result.cpu_per_connection is not None:
        row("CPU per handshake", f"{result.cpu_per_connection * 1e6:,.0f} µs", "of the server, with its subscription")
    if result.records_per_second is not None:
        row("records/s", f"{result.records_per_second:,.0f}", "of the backlog")
    if result.memory_per_connection is not None:
        row("memory per connection", f"{result.memory_per_connection / 1000:.1f} kB", "of the server, idle")
    row("load test CPU", f"{result.client_cpu_share:.0%}", f"its busiest process; the feed {result.feed_cpu_share:.0%}")
    late = milliseconds(result.lag.percentile(99))
    row("load test lag p99", late, "how late it was itself at what was due: part of each latency")
    for reason, count in sorted(result.failures.items(), key=lambda failure: -failure[1])[:5]:
        row("cut", f"{count:,}", reason)
    return rows


def warnings(result: Result) -> list[str]:
    """Return what must be known before the figures are believed."""
    found = []
    if result.client_limits:
        found.append(
            "The load test itself was too busy: its CPU is what limits. Spread it with --processes, or ask for less."
        )
    if result.machine_limits:
        server = "" if result.cpu_share is None else f"{result.cpu_share:.1f} of them with the server, "
        found.append(
            f"All cores were busy, {server}{result.load_cpu:.1f} with the load test: with more of them, the "
            "same server may do more."
        )
    if (late := result.lag.percentile(99) or 0) >= LATE:
        found.append(
            f"The load test itself was late, by {late / 1000:.0f} ms or more one time in a hundred: that is part of "
            "the latencies."
        )
    if result.others_cpu > CROWDED:
        found.append(
            f"Other programs (a broker is one) kept {result.others_cpu:.1f} cores busy meanwhile: on a machine that is "
            "not idle, believe processor times more than speeds, and neither much."
        )
    if result.cuts < result.cuts_planned * KEPT_UP:
        found.append(
            f"Only {result.cuts:,} of {result.cuts_planned:,} cuts took place: clients could not come back as fast as "
            "they were to be cut."
        )
    if result.misrouted:
        found.append("Events came on channels that they do not belong to.")
    return found


def as_json(result: Result) -> dict[str, object]:
    """Return the result as JSON's types; histograms as their percentiles, in microseconds."""

    def plain(value: object) -> object:
        if isinstance(value, Histogram):
            return {
                **{f"p{percent}": value.percentile(percent) for percent in (*PERCENTILES, 99.9)},
                "max": value.maximum if value.total else None,
                "count": value.total,
            }
        return value

    fields = asdict(result, recurse=False)
    return {name: plain(value) for name, value in fields.items() if name != "moments"} | {
        "client_limits": result.client_limits,
        "machine_limits": result.machine_limits,
        "moments": [asdict(moment) for moment in result.moments],
    }


def _spread(histogram: Histogram, prefix: str) -> str:
    if not histogram.total:
        return ""
    return f"{prefix}p50 {milliseconds(histogram.percentile(50))}, p99 {milliseconds(histogram.percentile(99))}"
