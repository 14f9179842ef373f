"""The command: runs the cases, one server after the other, and prints what came of it."""

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

import click
from load.plan import Plan
from load.processes import RunError
from load.report import display
from load.run import running
from rich.console import Console

from benchmarks.broker import Kafka
from benchmarks.cases import CASES, Case
from benchmarks.figures import Figures, figures_of, markdown, middle, table
from benchmarks.memory import before, change, remember, remembered, state_of
from benchmarks.ready import ready
from benchmarks.servers import CACHE, HERE, SERVERS, raise_limit

OURS, FLOOR = "mesaya-ws", "floor"
QUICK_SERVERS = (OURS, "mesaya-ws sqlite", FLOOR)
"""The floor shows how fast the machine is today."""

MEMORY = CACHE / "bench.json"

console = Console()
if not console.is_terminal:
    console.width = 230


@click.command(context_settings={"max_content_width": 120})
@click.option("--quick", is_flag=True, help="Under three minutes, without peers; compared with the code before.")
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Only these cases.")
@click.option("--server", "servers", multiple=True, type=click.Choice(list(SERVERS)), help="Only these servers.")
@click.option("--turns", type=click.IntRange(1), default=1, show_default=True, help="Of each; medians are shown.")
@click.option("--duration", type=click.FloatRange(0.5), help="Seconds that each run feeds, rather than its own.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes of the load.")
@click.option("--markdown", "page", type=click.Path(path_type=Path), help="Add the tables to this page, too.")
def main(
    quick: bool,
    cases: tuple[str, ...],
    servers: tuple[str, ...],
    turns: int,
    duration: float | None,
    processes: int,
    page: Path | None,
) -> None:
    """Run the benchmark set: every case on every server that it is for, in turns, under the same load.

    The figures of the first server of a case are what the others' are compared with.
    """
    raise_limit()
    chosen = [CASES[name] for name in cases] if cases else [case for case in CASES.values() if not quick or case.quick]
    wanted = servers or (QUICK_SERVERS if quick else tuple(SERVERS))
    measured: dict[str, dict[str, Figures]] = {}
    with ExitStack() as stack:
        kafka = Kafka(stack)
        for case in chosen:
            changes = {**((case.quick or {}) if quick else {}), "processes": processes}
            if duration:
                changes["duration"] = duration
            rows = _measure(case, [server for server in case.servers if server in wanted], changes, turns, kafka)
            if not rows:
                continue
            title = f"{case.name}: {case.meaning}{', shortened' if quick and case.quick else ''}"
            console.print(table(title, rows), "")
            measured[f"{case.name}, quick" if quick else case.name] = rows
            if page is not None:
                with page.open("a") as file:
                    print(markdown(title, rows), file=file)
    state = state_of(HERE)
    if quick and (old := before(remembered(MEMORY), state, measured)):
        for server in (OURS, "mesaya-ws sqlite"):
            console.print(change(*old, measured, server, FLOOR), "")
    elif quick:
        console.print(
            f"This is the first run; the next one of another state of the code is compared with this, {state}."
        )
    remember(MEMORY, state, measured)


def _measure(
    case: Case, servers: list[str], changes: dict[str, object], turns: int, kafka: Kafka
) -> dict[str, Figures]:
    """Run a case on all servers in turn, as often as said; return the medians by server."""
    seen: dict[str, list[Figures]] = {}
    for _ in range(turns):
        for server in servers:
            try:
                if case.records:
                    # A broker of its own: what other cases have left in one would be read, too.
                    with ExitStack() as own:
                        brokers = Kafka(own).address() if "kafka" in server else ""
                        for size, figures in ready(brokers, case.records):
                            seen.setdefault(f"{server}, {size:,} records", []).append(figures)
                else:
                    seen.setdefault(server, []).append(_run(server, {**case.values, **changes}, kafka))
            except RunError as error:
                console.print(f"{case.name}, {server}: {error}", style="red")
    return {server: middle(figures) for server, figures in seen.items() if figures}


def _run(server: str, values: dict[str, object], kafka: Kafka) -> Figures:
    """Run one case on one server."""
    brokers = kafka.address() if "kafka" in server else ""
    with ExitStack() as stack:
        target = stack.enter_context(SERVERS[server](brokers))
        plan = Plan(run=secrets.token_hex(3), **{"duration": 10.0, **values, **target.reach})
        watcher = stack.enter_context(display(console, plan))
        feed = target.feed if plan.feeds else None
        company = kafka.processes if brokers else ()
        result = stack.enter_context(running(plan, feed, target.observed, watcher, company)).execute()
    if result.client_limits:
        console.print(f"{server}: the load was too busy; its processor time is what limited.", style="yellow")
    if result.machine_limits:
        console.print(f"{server}: all cores were busy; with more of them, it may do more.", style="yellow")
    for reason, count in result.failures.items():
        console.print(f"{server}: {count:,} connections were cut: {reason}", style="yellow")
    return figures_of(result)


if __name__ == "__main__":
    sys.exit(main())
