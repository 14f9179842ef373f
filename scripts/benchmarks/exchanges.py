"""What benchmarks of what clients bring in share: a gateway on either log, restaurants, and a table of times."""

import argparse
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack

import trio
from load.feed import LogFeed
from load.gateway import serving
from load.process import Observed
from load.workload import record

from benchmarks.broker import Kafka
from benchmarks.servers import raise_limit

HEAD = "| | median | p99 | worst |\n|---|---:|---:|---:|"

Run = Callable[[argparse.Namespace, dict[str, str], Observed], Awaitable[None]]
"""Measures, by options, on a gateway with these settings."""


def row(name: str, seconds: Iterable[float]) -> str:
    """Return a row of the table, in milliseconds."""
    took = sorted(seconds)
    places = (len(took) // 2, len(took) * 99 // 100, -1)
    return f"| {name} | " + " | ".join(f"{took[at] * 1000:.1f}" for at in places) + " |"


async def append_restaurants(settings: dict[str, str], restaurants: Sequence[str]) -> None:
    """Append the restaurants."""
    async with LogFeed(settings).open() as append:
        now = time.time_ns()
        await append(
            [
                record("restaurants", "created", id, {"name": "Casa Ana", "ownerId": f"owner-{id}"}, now)
                for id in restaurants
            ]
        )


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows which log is wanted."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("--kafka", action="store_true", help="on a Kafka of its own; else on the embedded log")
    return made


def measure(run: Run, options: argparse.Namespace, **settings: str) -> None:
    """Run a measurement on a gateway with these settings."""
    raise_limit()
    with ExitStack() as stack:
        log = {"KAFKA_BROKERS": Kafka(stack).address()} if options.kafka else {}
        gateway, chosen = stack.enter_context(serving(**settings, **log))
        trio.run(run, options, chosen, gateway)
