"""The command: runs the cases, one server after the other, and prints what came of it."""

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from load.crew import RunError
from load.plan import Plan
from load.report import display, warnings
from load.run import running
from rich.console import Console

from benchmarks.cases import CASES
from benchmarks.figures import Figures, change, figures_of, remember, remembered, table
from benchmarks.ingest import ingest
from benchmarks.servers import CACHE, SERVERS, Target, raise_limit
from mesaya_ws.core.event_log import TOPICS

QUICK_SERVERS = ("mesaya-ws", "floor")
"""The floor tells how fast the machine is today."""

MEMORY = CACHE / "bench.json"

console = Console()
if not console.is_terminal:
    console.width = 160


@click.command(context_settings={"max_content_width": 120})
@click.option("--quick", is_flag=True, help="Under three minutes, without peers; compared with the last time.")
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Only these cases.")
@click.option("--server", "servers", multiple=True, type=click.Choice(list(SERVERS)), help="Only these servers.")
@click.option("--duration", type=click.FloatRange(0.5), help="Seconds that each run feeds, rather than its own.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Processes of the load.")
def main(quick: bool, cases: tuple[str, ...], servers: tuple[str, ...], duration: float | None, processes: int) -> None:
    """Run the benchmark set: every case on every server that it is for, in turns, under the same load.

    The figures of the first server of a case are what the others' are compared with.
    """
    raise_limit()
    chosen = [CASES[name] for name in cases] if cases else [case for case in CASES.values() if not quick or case.quick]
    before = remembered(MEMORY)
    measured: dict[str, dict[str, Figures]] = {}
    with ExitStack() as stack:
        kafka = _Kafka(stack)
        for case in chosen:
            values = {"duration": 10.0, **case.values, **((case.quick or {}) if quick else {}), "processes": processes}
            if duration:
                values["duration"] = duration
            rows = {}
            for server in case.servers:
                if server in servers if servers else not quick or server in QUICK_SERVERS:
                    try:
                        rows[server] = _run(server, values, kafka)
                    except RunError as error:
                        console.print(f"{case.name}, {server}: {error}", style="red")
            if rows:
                console.print(table(f"{case.name}: {case.meaning}", rows), "")
                measured[f"{case.name}, quick" if quick else case.name] = rows
    if quick and before:
        console.print(change(before, measured))
    remember(MEMORY, measured)


class _Kafka:
    """A broker for those who need one, started when the first one does."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._address = ""

    def address(self) -> str:
        """Return where it listens; the topics of this service exist."""
        if not self._address:
            # Only who needs a broker needs what starts one.
            from tests.kafka_broker import Broker

            broker = Broker(Path(self._stack.enter_context(TemporaryDirectory(prefix="bench-kafka-"))))
            broker.start()
            self._stack.callback(broker.stop)
            self._address = broker.address
            _create_topics(self._address)
        return self._address


def _create_topics(address: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(name, 1, 1) for name in TOPICS])
    admin.close()


def _run(server: str, values: dict[str, object], kafka: _Kafka) -> Figures:
    """Run one case on one server."""
    brokers = kafka.address() if "kafka" in server else ""
    if records := values.get("records"):
        return ingest(brokers, int(records))
    with ExitStack() as stack:
        target: Target = stack.enter_context(SERVERS[server](brokers))
        plan = Plan(run=secrets.token_hex(3), **{**values, **target.reach})
        watcher = stack.enter_context(display(console, plan))
        feed = None if plan.rate == 0 else target.feed
        result = stack.enter_context(running(plan, feed, target.observed, watcher)).execute()
    for warning in warnings(result):
        console.print(f"{server}: {warning}", style="yellow")
    for reason, count in result.failures.items():
        console.print(f"{server}: {count:,} connections were cut: {reason}", style="yellow")
    return figures_of(result)


if __name__ == "__main__":
    sys.exit(main())
