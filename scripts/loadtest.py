#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'
"""The capacity test: thousands of clients, a feed through the real event log, and what reaches whom, and when.

It needs Linux.
"""

import resource
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click
import orjson
from attrs import evolve
from load.feed import LogFeed
from load.gateway import serving
from load.plan import Plan
from load.plot import plot as draw
from load.process import Observed, listening
from load.processes import RunError
from load.profiles import PROFILES
from load.report import as_json, display, table, warnings
from load.run import running
from rich.console import Console

PROFILE_HELP = " ".join(f"{profile.name}: {profile.meaning}." for profile in PROFILES.values())


@click.command(help=__doc__, context_settings={"show_default": True, "max_content_width": 120})
@click.option("--url", default="ws://127.0.0.1:8080/ws", help="The service.")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="hot", help=PROFILE_HELP)
@click.option("--connections", type=click.IntRange(1), help="Clients, each with one subscription.")
@click.option("--channels", type=click.IntRange(1), help="Channels that they are spread over.")
@click.option("--rate", type=click.FloatRange(0), help="Events per second, over all channels; 0 feeds none.")
@click.option("--saturate", is_flag=True, help="Feed as fast as the events are received.")
@click.option("--outstanding", type=click.IntRange(1), help="With --saturate, events that may be under way.")
@click.option("--duration", type=click.FloatRange(0.1), help="Seconds of feeding.")
@click.option("--ramp", type=click.FloatRange(0.1), help="Connections per second; without, as fast as they are let in.")
@click.option("--processes", type=click.IntRange(1), help="Processes that the clients are spread over.")
@click.option("--sources", type=click.IntRange(1, 250), help="Loopback addresses that they come from.")
@click.option("--away", type=click.FloatRange(0), help="Seconds that a client which was cut stays away.")
@click.option("--cut-every", type=click.FloatRange(0.1), help="Seconds after which each client is cut.")
@click.option("--bystanders", type=click.IntRange(0), help="Clients that are never cut.")
@click.option("--stopped", type=click.IntRange(0), help="Clients that come half way, and read nothing.")
@click.option("--backlog", type=click.IntRange(1), help="Feed so many while the server stands still; see it catch up.")
@click.option(
    "--secret", envvar="JWT_SECRET", help="The service's JWT_SECRET: clients sign in by it. [env: JWT_SECRET]"
)
@click.option("--lapsing", type=click.IntRange(0), help="Clients that do not renew tokens which end (profile expiry).")
@click.option("--nap", type=click.FloatRange(0), help="Seconds between two looks at what came; a lighter load.")
@click.option("--watch", metavar="CHANNEL", help="Feed nothing; watch what comes on this channel.")
@click.option("--pid", type=int, help="The server's process; without, whoever listens on the port here.")
@click.option("--serve", is_flag=True, help="Start a gateway with a log of its own, and end it.")
@click.option("--brokers", default="", help="With --serve, the Kafka of that gateway, rather than an embedded log.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the result there; `-` for stdout.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), help="Draw latency and throughput there, as SVG.")
def main(
    url: str,
    profile: str,
    saturate: bool,
    pid: int | None,
    serve: bool,
    brokers: str,
    json_path: Path | None,
    plot_path: Path | None,
    **chosen: object,
) -> None:
    """Run one load test; exit with 1 when events were lost, came twice, or went astray."""
    console = Console(stderr=json_path is not None and str(json_path) == "-")
    given = {name: value for name, value in chosen.items() if value is not None}
    parts = urlsplit(url)
    if parts.scheme != "ws" or not parts.hostname:
        raise click.BadParameter("must be ws://host:port/path", param_hint="--url")
    plan = Plan(
        run=secrets.token_hex(3),
        host="127.0.0.1" if parts.hostname == "localhost" else parts.hostname,
        port=parts.port or 80,
        path=parts.path or "/",
        **{**PROFILES[profile].values, **given},
    )
    if plan.watch and plan.backlog:
        raise click.UsageError("--watch feeds nothing: leave --backlog out.")
    if plan.expiring and not (serve or plan.secret):
        raise click.UsageError("Tokens end only where clients have some: name the service's --secret, or use --serve.")
    if brokers and not serve:
        raise click.UsageError("--brokers is for --serve; a service that runs is fed through KAFKA_BROKERS.")
    if saturate:
        plan = evolve(plan, rate=None)
    _raise_limit(plan)
    try:
        with ExitStack() as stack:
            settings: dict[str, str] = {}
            if serve:
                chosen_settings = {"KAFKA_BROKERS": brokers}
                if plan.expiring:
                    plan = evolve(plan, secret=plan.secret or secrets.token_hex(32))
                if plan.secret:
                    chosen_settings |= {"AUTH": "on", "JWT_SECRET": plan.secret}
                server, settings = stack.enter_context(serving(**chosen_settings))
                plan = evolve(plan, host="127.0.0.1", port=int(settings["PORT"]))
            else:
                server = Observed(pid) if pid else listening(plan.port) if plan.host == "127.0.0.1" else None
            feed = LogFeed(settings) if plan.feeds else None
            watcher = stack.enter_context(display(console, plan))
            result = stack.enter_context(running(plan, feed, server, watcher)).execute()
    except RunError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.Abort from None

    console.print(table(plan, result))
    for warning in warnings(result):
        console.print(warning, style="bold red")
    if json_path is not None:
        text = orjson.dumps(as_json(result), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        if str(json_path) == "-":
            sys.stdout.buffer.write(text)
        else:
            json_path.write_bytes(text)
    if plot_path is not None:
        title = f"{profile}: {plan.connections:,} clients, {plan.channels:,} channel{'s' * (plan.channels > 1)}"
        plot_path.write_text(draw(result.moments, title))
    sys.exit(bool(result.lost or result.duplicates or result.misrouted or result.lapsed != plan.lapsing))


def _raise_limit(plan: Plan) -> None:
    """Allow the processes of this test, and a gateway among them, as many descriptors as there may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and plan.connections / plan.processes + 100 > hard:
        raise click.ClickException(
            f"{plan.connections} clients in {plan.processes} processes need more than {hard} open files each: "
            "raise `ulimit -Hn`, or --processes."
        )


if __name__ == "__main__":
    main()
