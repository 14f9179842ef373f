"""How long a gateway takes to be ready on a log that holds much already: at first, from a checkpoint, from its disk."""

import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from tempfile import TemporaryDirectory

import trio
from load.feed import GROUP, LogFeed
from load.gateway import serving
from load.plan import Plan
from load.processes import RunError

from benchmarks.figures import Figures

ENTITIES = 1000
"""Restaurants that the records are about, each with one section and one table: the state does not grow with the log."""

CHECKPOINT_TIMEOUT = 60.0
"""Seconds; a checkpoint is written about every WINDOW_SECONDS, which are few here."""


def ready(brokers: str, sizes: tuple[int, ...]) -> Iterator[tuple[int, Figures]]:
    """Grow a log to so many records, and yield at each size what a start on it takes.

    The second start is from the checkpoint that the first gateway has left, with an empty state directory; the third is
    from the state directory of the first one, without a checkpoint. Of the embedded log, it is said how large the topic
    of checkpoints is.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="mesaya-ws-ready-"))
        log = {"EVENT_LOG_FILE": f"{folder}/log.sqlite3", "KAFKA_BROKERS": brokers}
        run = f"ready-{time.time_ns()}"
        held = 0
        for size in sizes:
            trio.run(_fill, log, run, held, size)
            held = size
            settings = {**log, "WINDOW_SECONDS": "2", "STATE_DIR": f"{folder}/{size}"}
            checkpoint = {"CHECKPOINT_TOPIC": f"{run}-{size}.state"}
            seconds, cpu = _start(settings | checkpoint, leave_all=True)
            again, again_cpu = _start(settings | checkpoint | {"STATE_DIR": f"{folder}/{size}-empty"})
            stored, stored_cpu = _start(settings)
            yield (
                size,
                {
                    "ready s": seconds,
                    "CPU s": cpu,
                    "from checkpoint s": again,
                    "CPU of that s": again_cpu,
                    "from disk s": stored,
                    "CPU of it s": stored_cpu,
                    "changelog kB": None if brokers else _bytes_in(log["EVENT_LOG_FILE"], checkpoint) / 1000,
                    "records/s": size / seconds,
                    "CPU µs/record": cpu / size * 1e6,
                },
            )


COMMIT_SECONDS = 5.0
"""What the state directory takes to be as of the log's end, when the checkpoint has been written."""


async def _fill(settings: dict[str, str], run: str, held: int, size: int) -> None:
    """Append events until the log holds `size` records."""
    plan = Plan(run=run, channels=ENTITIES)
    async with LogFeed(settings).open() as append:
        if not held:
            held = len(plan.setup())
            await append(plan.setup())
        while held < size:
            count = min(GROUP, size - held)
            await append([plan.record(due) for due in plan.events(held, count, lambda _: time.time_ns())])
            held += count


def _bytes_in(file: str, checkpoint: dict[str, str]) -> float:
    """Return the bytes of all keys and values in the topic of checkpoints."""
    with closing(sqlite3.connect(file)) as db:
        (size,) = db.execute(
            "SELECT sum(length(key) + length(value)) FROM record JOIN topic ON topic.id = topic WHERE name = ?",
            (checkpoint["CHECKPOINT_TOPIC"],),
        ).fetchone()
    return float(size or 0)


def _start(settings: dict[str, str], *, leave_all: bool = False) -> tuple[float, float]:
    """Return how long a gateway takes to be ready, and the processor time that it needs for it."""
    began = time.monotonic()
    with serving(**settings) as (observed, chosen):
        took = time.monotonic() - began, observed.cpu()
        if leave_all:
            _wait_for_checkpoint(chosen["PORT"])
            time.sleep(COMMIT_SECONDS)
        return took


def _wait_for_checkpoint(port: str) -> None:
    until = time.monotonic() + CHECKPOINT_TIMEOUT
    while time.monotonic() < until:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            if b"mesaya_checkpoint_age_seconds " in answer.read():
                return
        time.sleep(0.2)
    raise RunError(f"The gateway left no checkpoint within {CHECKPOINT_TIMEOUT:.0f} s.")
