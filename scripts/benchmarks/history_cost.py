"""What it costs to keep what was published: `scripts/python scripts/benchmarks/history_cost.py [--of tables]`.

A feed reads records in one process, as fast as it can, at first without a store, then with one, and so in turn, each
time in a process of its own. What is counted is the processor time of all threads, for each record; so the commits
count, which are made in a thread, as the gateway makes them. A reservation becomes two publications that are kept for
days; a change of a table, of which there are 4,000 whose states are known, becomes one in the copy of the window.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median

import orjson
import trio
from committing import commit
from filling import process

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.gateway.store_keeper import FLUSH_ENTRIES, FLUSH_SECONDS
from mesaya_ws.runtime.gc_tuning import freeze, tuned_gc
from mesaya_ws.statestore.store import LmdbState

RESTAURANTS = 200
TABLES = 4000
USERS = 1000
BATCH = 100
"""Records that come together."""

SINCE = 1_700_000_000_000


def ids(name, count):
    """Return as many ids, the same ones every time."""
    return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {number}")) for number in range(count)]


def new_values(of, count):
    """Return what `count` records of reservations, or of tables, are as values of the log; their topic, and others.

    Others are records that come before them.
    """
    if of == "reservations":
        return topic_of("reservations"), reservations(count), []
    restaurants, sections, tables = ids("restaurant", RESTAURANTS), ids("section", RESTAURANTS), ids("table", TABLES)
    known = [
        (topic_of("sections"), value("created", id, restaurantId=restaurant, name="Terrace"))
        for id, restaurant in zip(sections, restaurants, strict=True)
    ]
    draw = random.Random(1)
    return (
        topic_of("tables"),
        [
            value(
                "updated",
                tables[number],
                sectionId=sections[number % RESTAURANTS],
                number=number,
                capacity=4,
                posX=draw.randrange(1000),
                posY=draw.randrange(1000),
                width=80,
                status=draw.choice(["AVAILABLE", "OCCUPIED", "RESERVED"]),
            )
            for number in (draw.randrange(TABLES) for _ in range(count))
        ],
        known,
    )


def value(what, id, **data):
    """Return a record as a value of the log."""
    timestamp = "2026-01-22T01:34:00.000Z"
    return orjson.dumps({"timestamp": timestamp, "event_type": what, "entity_id": id, "data": {"id": id, **data}})


def reservations(count):
    """Return what `count` reservations are as values of the log."""
    draw = random.Random(1)
    restaurants, users, made = ids("restaurant", RESTAURANTS), ids("user", USERS), ids("reservation", count)
    return [
        value(
            "created",
            id,
            restaurantId=draw.choice(restaurants),
            userId=draw.choice(users),
            reservationDate="2026-01-22T00:00:00.000Z",
            reservationTime="2026-01-22T19:30:00.000Z",
            numberOfGuests=4,
            status="PENDING",
        )
        for id in made
    ]


async def cost(of, count, folder):
    """Return what `measured` does of a process that is tuned as a gateway is."""
    async with tuned_gc():
        return await _cost(of, count, folder)


async def _cost(of, count, folder):
    """Return µs of CPU a record, those of the event loop, the longest step in ms, and bytes for each publication."""
    topic, made, known = new_values(of, count)
    source = Partition(topic, 0)
    feed = Feed(Hub(), Window(300, 64 << 20), 1.0, retention=Retention(168, 8 << 30) if folder else None)
    feed.ingest(LogMetadata({Partition(each, 0): OffsetRange(0, 0, "id") for each in TOPICS}, {}, None, ()), SINCE)
    for at, (other, each) in enumerate(known):
        feed.ingest(Records(Partition(other, 0), [Record(other, 0, at, SINCE, None, each)], 0), SINCE)
    for _ in feed.process(SINCE):
        pass
    store = None
    if folder:
        store = LmdbState(Path(folder))
        store.reopen()
    freeze()
    began, began_thread, longest = time.process_time(), time.thread_time(), 0.0
    flushed = trio.current_time()

    async def flush():
        nonlocal flushed
        await commit(feed, store, now)
        flushed = trio.current_time()
        is_flushing.clear()

    is_flushing, committed = set(), 0
    async with trio.open_nursery() as nursery:
        for start in range(0, count, BATCH):
            now = SINCE + start
            batch = [
                Record(topic, 0, start + at, now, None, value) for at, value in enumerate(made[start : start + BATCH])
            ]
            longest = max(longest, await process(feed, Records(source, batch, 0), now))
            if store and not is_flushing:
                is_due = trio.current_time() - flushed >= FLUSH_SECONDS
                if is_due or feed.history.pending >= FLUSH_ENTRIES or start - committed >= FLUSH_ENTRIES:
                    committed = start
                    is_flushing.add(1)
                    nursery.start_soon(flush)
    if store:
        await flush()
    spent = time.process_time() - began, time.thread_time() - began_thread
    size = 0
    if store:
        with store.view() as view:
            size = view.size()
        size = (
            getattr(size, "window_bytes", 0) / len(feed.window) if of == "tables" else size.entry_bytes / size.entries
        )
    return [each / count * 1e6 for each in spent] + [longest * 1000, size]


def measured(of, count, *, stores):
    """Return what `cost` does, of a process of its own."""
    command = [sys.executable, __file__, "--of", of, "--records", str(count), "--only", "store" if stores else "none"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(each) for each in ended.stdout.split()]


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--of", choices=("reservations", "tables"), default="reservations")
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=("store", "none"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        with tempfile.TemporaryDirectory() as folder:
            print(*trio.run(cost, chosen.of, chosen.records, folder if chosen.only == "store" else None))
        return
    runs = [
        [measured(chosen.of, chosen.records, stores=stores) for stores in (False, True)] for _ in range(chosen.runs)
    ]
    print("| | median | of all runs |\n|---|---:|---|")
    figures = {
        "CPU of a record without a store, µs": [without[0] for without, _ in runs],
        "with one": [with_[0] for _, with_ in runs],
        "more, %": [(with_[0] / without[0] - 1) * 100 for without, with_ in runs],
        "of that the event loop's, µs": [with_[1] - without[1] for without, with_ in runs],
        "longest step, ms of CPU": [with_[2] for _, with_ in runs],
        "bytes in the store for each publication": [with_[3] for _, with_ in runs],
    }
    for name, values_ in figures.items():
        print(f"| {name} | {median(values_):.1f} | {', '.join(f'{each:.1f}' for each in sorted(values_))} |")


if __name__ == "__main__":
    main()
