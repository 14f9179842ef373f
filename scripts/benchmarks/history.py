"""What a client waits for when it was away for long: `scripts/python scripts/benchmarks/history.py [--publications N]`.

It fills a state store with publications on 1,000 channels, and reads the first page after places of all ages, as the
gateway does: one at a time, and a storm of 10,000 in batches. Of both, how long a read takes; and how large the store
is.
"""

import argparse
import random
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.core.recovery.barriers import Barrier
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.recovery.stored import Head, HistoryRequest, read_pages
from mesaya_ws.core.state.entries import Entries
from mesaya_ws.core.state.interface import Changes
from mesaya_ws.gateway.history import BATCH
from mesaya_ws.statestore.store import LmdbState

RESERVATIONS = Partition("mesa-ya.reservations.events", 0)
CHANNELS = [f"restaurant:{number:032x}:reservations" for number in range(1000)]
FRAME = b"x" * 400


def fill(store, publications):
    """Commit so many publications, in batches as a gateway commits them; return the seconds that took."""
    draw, began = random.Random(1), perf_counter()
    for start in range(0, publications, 10_000):
        serials = range(start + 1, min(start + 10_000, publications) + 1)
        flat = [each for n in serials for each in (draw.choice(CHANNELS), RESERVATIONS, n, 0, FRAME)]
        cut = Cut({RESERVATIONS: PartitionPosition("id", serials.stop)}, 0, frozenset())
        store.commit(Changes(Head(cut, Barrier({}, {})).value(), entries=Entries(serials.start, flat)))
    return perf_counter() - began


def request(draw, publications, age):
    """Return a request for what came after a place that lies so far back, of all that there is."""
    offset = round(publications * (1 - age * draw.random()))
    return HistoryRequest(parse_channel(draw.choice(CHANNELS)), {RESERVATIONS: offset}, opens=True)


def row(name, seconds):
    """Return a row of the table: median, 99th percentile and worst in milliseconds."""
    ordered = sorted(seconds)
    places = (len(ordered) // 2, len(ordered) * 99 // 100, -1)
    return f"| {name} | " + " | ".join(f"{ordered[at] * 1000:.2f}" for at in places) + " |"


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--publications", type=int, default=1_000_000)
    count = parser.parse_args().publications
    draw = random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        store = LmdbState(Path(folder))
        store.reopen()
        seconds = fill(store, count)
        with store.view() as view:
            size = view.size()
        print(f"{count:,} publications: {size.entry_bytes / count:.0f} bytes each, {seconds / count * 1e6:.1f} µs each")
        print("| | median, ms | p99, ms | worst, ms |\n|---|---:|---:|---:|")
        for name, age in (("the last thousandth", 0.001), ("the last tenth", 0.1), ("all", 1.0)):
            times = []
            for _ in range(3000):
                asked = [request(draw, count, age)]
                began = perf_counter()
                with store.view() as view:
                    read_pages(view, asked)
                times.append(perf_counter() - began)
            print(row(f"one read, places in {name}", times))
        times, began = [], perf_counter()
        storm = (request(draw, count, 1.0) for _ in range(10_000))
        while batch := list(islice(storm, BATCH)):
            with store.view() as view:
                read_pages(view, batch)
            times.append(perf_counter() - began)
        print(row("a storm of 10,000, from its beginning", times))
        store.close()


if __name__ == "__main__":
    main()
