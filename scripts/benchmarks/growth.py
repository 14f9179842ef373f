"""What an event costs as channels, subscriptions and connections grow: in processor time, so that any machine will do.

Channels and subscriptions are counted with the rules alone, from a record to the frames that send queues are offered;
connections with a gateway and real sockets.
"""

import gc
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from load.chart import GAP, LEFT, RIGHT, TOP, WIDTH, line, linear, panel, picture
from load.plan import Plan
from load.run import running
from rich.console import Console
from rich.table import Table

from benchmarks.servers import SERVERS, raise_limit
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.core.recovery.window import Window

CLIENTS = 10_000
"""send queues that subscriptions are spread over."""

LISTENERS = 100
EVENTS = 20_000
BATCH = 200
PANEL = 150
TIMES = 3

Point = tuple[int, float]


class Sink:
    """An send queue that takes everything at once."""

    def offer(self, data: bytes, messages: int) -> None:
        """Take it."""


def channels(count: int) -> float:
    """Return the microseconds that an event costs when there are so many channels, with one subscriber each."""
    return _cost(count, 1, EVENTS)


def subscriptions(count: int) -> float:
    """Return the microseconds that an event costs for 100 subscribers, when 10,000 clients subscribe so often."""
    return _cost(count // LISTENERS, LISTENERS, EVENTS // 4)


def connections(count: int) -> float:
    """Return the microseconds that a delivery costs a gateway with so many clients of one channel, 40,000 a second."""
    with SERVERS["mesaya-ws"]("") as target:
        plan = Plan(
            run=secrets.token_hex(3),
            **{"connections": count, "rate": 40_000 / count, "processes": 2, "duration": 8.0, **target.reach},
        )
        with running(plan, target.feed, target.observed, lambda phase, totals: None) as run:
            return (run.execute().cpu_per_delivery or 0.0) * 1e6


def _cost(restaurants: int, listeners: int, events: int) -> float:
    """Return the processor time of an event in microseconds; the least of a few times, as others disturb it."""
    plan, now = Plan(run="growth", channels=restaurants), round(time.time() * 1000)
    feed = Feed(Hub(), Window(300, 1 << 26), 1.0)
    feed.ingest(LogMetadata({Partition(topic, 0): OffsetRange(0, 0, "growth") for topic in TOPICS}, {None: 0}), now)
    offsets = dict.fromkeys(TOPICS, 0)

    def take(made: Sequence[tuple[str, bytes]]) -> None:
        records = []
        for topic, value in made:
            records.append(Record(topic, 0, offsets[topic], now, None, value))
            offsets[topic] += 1
        feed.ingest(Records(None, records, 0), now)
        for _ in feed.process(now):
            for _ in feed.hub.fan_out():
                pass

    take(plan.setup())
    sinks = [Sink() for _ in range(min(CLIENTS, restaurants * listeners))]
    for number in range(restaurants * listeners):
        channel, listener = number % restaurants, number // restaurants
        feed.hub.subscribe(plan.channel(channel), sinks[(channel + listener * 97) % len(sinks)])
    gc.freeze()
    best = float("inf")
    fed = 0
    for _ in range(TIMES):
        made = [plan.record(due) for due in plan.events(fed, events, lambda _: now * 1_000_000)]
        fed += events
        began = time.process_time()
        for first in range(0, events, BATCH):
            take(made[first : first + BATCH])
        best = min(best, (time.process_time() - began) / events * 1e6)
    gc.unfreeze()
    return best


GROWTHS: dict[str, tuple[Callable[[int], float], str, tuple[int, ...]]] = {
    "channels": (channels, "µs of an event, by channels with one subscriber each", (1000, 10_000, 100_000)),
    "subscriptions": (
        subscriptions,
        "µs of an event for 100 subscribers, by subscriptions of 10,000 clients",
        (10_000, 100_000, 1_000_000),
    ),
    "connections": (connections, "µs of a delivery, by connections", (1000, 2000, 5000, 10_000, 19_000)),
}


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(list(GROWTHS)), multiple=True, help="Only what grows of these.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it there, as SVG.")
def main(only: tuple[str, ...], plot: Path | None) -> None:
    """Measure and print, and draw if that is wanted."""
    raise_limit()
    found: dict[str, list[Point]] = {}
    console = Console(width=120)
    for name in only or GROWTHS:
        measure, meaning, sizes = GROWTHS[name]
        console.print(meaning, style="bold")
        table = Table(box=None, pad_edge=False)
        found[meaning] = [(size, measure(size)) for size in sizes]
        for size, _ in found[meaning]:
            table.add_column(f"{size:,}", justify="right")
        table.add_row(*(f"{cost:.2f}" for _, cost in found[meaning]))
        console.print(table, "")
    if plot is not None:
        plot.write_text(draw(found))


def draw(found: dict[str, list[Point]]) -> str:
    """Return a picture of the costs of each growth, by size; sizes by their logarithm."""
    height = TOP + len(found) * (PANEL + GAP)
    return picture("What an event costs as the service grows", height, _panels(found))


def _panels(found: dict[str, list[Point]]) -> Iterator[str]:
    for number, (name, points) in enumerate(found.items()):
        top = TOP + number * (PANEL + GAP)
        ticks = linear(max(cost for _, cost in points))
        yield from panel(top, PANEL, name, [(tick / ticks[-1], f"{tick:g}") for tick in ticks])
        # Even steps between sizes that grow by about the same factor.
        step = (WIDTH - LEFT - 2 * RIGHT) / max(1, len(points) - 1)
        places = [(LEFT + step * at, top + PANEL * (1 - cost / ticks[-1])) for at, (_, cost) in enumerate(points)]
        yield line(places, "#2e6f95")
        for (x, y), (size, _) in zip(places, points, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:#2e6f95"/>'
            yield f'<text x="{x:.1f}" y="{top + PANEL + 18}" text-anchor="middle">{size:,}</text>'


if __name__ == "__main__":
    main()
