"""Who holds the event loop, and for how long: the longest steps of tasks, in what may be hard for it."""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import orjson
import trio
from attrs import frozen
from load.feed import LogFeed
from load.gateway import serving
from load.plan import Plan
from load.process import Observed
from load.run import running
from load.workload import Record, record
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

from benchmarks.servers import HERE, raise_limit

BOUND = 10.0
"""Milliseconds that nothing should take at once."""

PATIENCE = 60.0

GROUP = 5000
"""Records that are appended in one go."""


@frozen
class Watched:
    """A gateway whose steps are timed."""

    observed: Observed
    settings: dict[str, str]
    path: Path

    def look(self) -> dict[str, object]:
        """Return what has been seen since the last look."""
        looks = self._looks()
        os.kill(self.observed.pid, signal.SIGUSR1)
        until = time.monotonic() + PATIENCE
        while len(now := self._looks()) == len(looks) and time.monotonic() < until:
            time.sleep(0.02)
        return orjson.loads(now[-1])

    def _looks(self) -> list[bytes]:
        return self.path.read_bytes().splitlines() if self.path.exists() else []

    def append(self, records: Iterable[Record]) -> None:
        """Append records to its log."""
        append(self.settings, records)

    @contextmanager
    def clients(self, count: int) -> Iterator[list[ClientConnection]]:
        """Connect clients, until all have been greeted."""
        with ExitStack() as stack:
            clients = [
                stack.enter_context(
                    connect(f"ws://127.0.0.1:{self.settings['PORT']}/ws", max_size=None, max_queue=None, proxy=None)
                )
                for _ in range(count)
            ]
            for client in clients:
                client.recv(PATIENCE)
            yield clients


@contextmanager
def watched(**settings: str) -> Iterator[Watched]:
    """Start a gateway with a log of its own; yield it when it is ready."""
    with TemporaryDirectory(prefix="mesaya-ws-watch-") as folder:
        path = Path(folder, "seen")
        with serving((sys.executable, str(HERE / "watched_gateway.py"), str(path)), **settings) as (observed, chosen):
            yield Watched(observed, chosen, path)


def append(settings: dict[str, str], records: Iterable[Record]) -> None:
    """Append records to a log."""

    async def run() -> None:
        rest = iter(records)
        async with LogFeed(settings).open() as feed:
            while some := list(islice(rest, GROUP)):
                await feed(some)

    trio.run(run)


def subscribe(clients: Iterable[ClientConnection], channel: str, answers: int) -> None:
    """Subscribe all clients at once, with the state, and wait for so many messages of each."""
    for client in clients:
        client.send(orjson.dumps({"type": "subscribe", "channel": channel, "snapshot": True}).decode())
    for client in clients:
        for _ in range(answers):
            client.recv(PATIENCE)


Seen = Iterator[tuple[str, dict[str, object]]]


def history(records: int, brokers: str) -> Seen:
    """Read a long log at the start."""
    with TemporaryDirectory(prefix="mesaya-ws-watch-") as folder:
        log = {"EVENT_LOG_FILE": f"{folder}/log.sqlite3", "KAFKA_BROKERS": brokers}
        append(log, events(records))
        with watched(**log) as gateway:
            yield f"a history of {records:,} records", gateway.look()


def burst(records: int, brokers: str) -> Seen:
    """Get many records while it is live, and forget them again, all at the same time."""
    with watched(WINDOW_SECONDS="8", KAFKA_BROKERS=brokers) as gateway, gateway.clients(1) as clients:
        subscribe(clients, "restaurant:load-watch-0:tables", 2)
        gateway.look()
        gateway.append(events(records))
        clients[0].recv(PATIENCE)
        time.sleep(2)
        yield f"{records:,} records at once", gateway.look()
        time.sleep(12)
        yield "which all leave the window", gateway.look()


def events(records: int) -> Iterator[Record]:
    """Yield so many events on 1,000 channels, and what comes before them."""
    plan = Plan(run="watch", channels=1000)
    yield from plan.setup()
    for due in plan.events(0, records, lambda _: time.time_ns()):
        yield plan.record(due)


def restaurant(tables: int, clients: int = 50) -> Seen:
    """Show a large restaurant to many at once."""
    with watched() as gateway:
        gateway.append(floor_plan(tables))
        with gateway.clients(clients) as connected:
            gateway.look()
            subscribe(connected[:1], "restaurant:large:tables", 2)
            yield f"the state of a restaurant with {tables:,} tables", gateway.look()
            subscribe(connected, "restaurant:large:tables", 2)
            yield f"the same for {clients} clients at once", gateway.look()


def floor_plan(tables: int, sections: int = 50) -> Iterator[Record]:
    """Yield the records of a large restaurant."""
    yield record("restaurants", "created", "large", {"name": "Casa Grande", "status": "ACTIVE"}, 0)
    for number in range(sections):
        yield record("sections", "created", f"s{number}", {"restaurantId": "large", "name": f"Sala {number}"}, 0)
    for number in range(tables):
        table = {"sectionId": f"s{number % sections}", "number": number, "capacity": 4, "posX": 10, "posY": 20}
        yield record("tables", "created", f"t{number}", {**table, "status": "AVAILABLE", "isAvailable": True}, 0)


def bounds(large: int) -> Seen:
    """Bring records with as much in them as may be; a restaurant with much of everything, and its end."""
    with watched() as gateway, gateway.clients(2) as clients:
        subscribe(clients[:1], "restaurant:large:reviews", 2)
        gateway.look()
        gateway.append(heavy())
        for _ in range(HEAVY):
            clients[0].recv(PATIENCE)
        yield "records with as much in them as may be", gateway.look()
        gateway.append(floor_plan(large // 10))
        gateway.append(
            record("images", "created", f"i{number}", {"entityId": f"t{number % (large // 10)}", "url": "/i"}, 0)
            for number in range(large)
        )
        gateway.append(
            record(
                "reservations",
                "created",
                f"v{number}",
                {
                    "restaurantId": "large",
                    "userId": "u",
                    "status": "PENDING",
                    "reservationTime": "2026-01-20T15:00:00Z",
                },
                0,
            )
            for number in range(large)
        )
        subscribe(clients[1:], "user:u:notifications", 2)
        gateway.look()
        subscribe(clients[1:], "restaurant:large:info", 2)
        yield f"the state of a restaurant with {large:,} images", gateway.look()
        subscribe(clients[1:], "user:u:notifications", 2)
        yield f"the last of a user's {large:,} notifications", gateway.look()
        gateway.append([record("restaurants", "deleted", "large", {}, 0)])
        while orjson.loads(clients[1].recv(PATIENCE))["type"] != "restaurant.deleted":
            pass
        # What comes after it is sent when all that went with it has gone.
        gateway.append([record("restaurants", "created", "small", {}, 0)])
        subscribe(clients[1:], "restaurant:small:info", 2)
        yield f"its end, with {large:,} reservations", gateway.look()


HEAVY = 60


def heavy() -> Iterator[Record]:
    """Yield records that hold up the loop as long as any may."""
    kinds = [
        {"x": [[0]] * 8000},
        {"x": [[[[]]]] * 4000},
        {"x": [{"a": 0}] * 5000},
        {f"unknown_{number:020}": 0 for number in range(16_500)},
        {"comment": "Muy rico. " * 90_000},
        {"comment": "ñandú " * 110_000},
    ]
    for number in range(HEAVY):
        yield record("reviews", "created", f"w{number}", {"restaurantId": "large", **kinds[number % len(kinds)]}, 0)


def fan_out(connections: int) -> Seen:
    """Connect many, and send all of them the same."""
    with watched() as gateway:
        plan = Plan(
            run=secrets.token_hex(3), port=int(gateway.settings["PORT"]), connections=connections, rate=10.0, duration=5
        )
        seen = []

        def watch(phase: str, _: object) -> None:
            if not seen and phase == "feeding":
                seen.append(gateway.look())

        with running(plan, LogFeed(gateway.settings), gateway.observed, watch) as run:
            run.execute()
            yield f"{connections:,} clients come", seen[0]
            yield f"events for {connections:,} clients", gateway.look()


@click.command(help=__doc__)
@click.option("--records", type=click.IntRange(1), default=100_000, show_default=True, help="Of the long log.")
@click.option("--connections", type=click.IntRange(1), default=10_000, show_default=True, help="Of the fan-out.")
@click.option("--tables", type=click.IntRange(1), default=5000, show_default=True, help="Of the large restaurant.")
@click.option("--brokers", default="", help="A Kafka to read from, rather than from embedded logs.")
def main(records: int, connections: int, tables: int, brokers: str) -> None:
    """Try what may be hard, and print what took longest; exit with 1 when a step took longer than it should."""
    raise_limit()
    table = Table(box=None, pad_edge=False)
    for name in ("milliseconds of processor time", "longest step", "of", "longest turn", "p99", "collection"):
        table.add_column(name, justify="left" if name in ("milliseconds of processor time", "of") else "right")
    trials: list[Callable[[], Seen]] = [
        lambda: restaurant(tables),
        lambda: burst(20_000, brokers),
        lambda: history(records, brokers),
        lambda: bounds(10 * tables),
        lambda: fan_out(connections),
    ]
    longest = 0.0
    for trial in trials:
        for name, seen in trial():
            who, step = max(seen["steps"].items(), key=lambda item: item[1])
            longest = max(longest, step * 1000)
            figures = [f"{seen[key] * 1000:.1f}" for key in ("turn", "turn_p99", "collection")]
            style = "red" if step * 1000 > BOUND else ""
            table.add_row(name, f"{step * 1000:.1f}", who.rpartition(".")[2], *figures, style=style)
    Console(width=120).print(table)
    sys.exit(longest > BOUND)


if __name__ == "__main__":
    main()
