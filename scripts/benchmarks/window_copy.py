"""How long a start takes that fills a large window: `scripts/python scripts/benchmarks/window_copy.py [--mb N]`.

A feed publishes changes of tables until its window is full, and commits now and then, as the gateway does. Then another
process opens the store and fills its window with the copy that is in it. The steps are those of the event loop.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
from committing import commit
from history_cost import RESTAURANTS, SINCE, new_values

from mesaya_ws.core.feed.checkpoint import in_pieces
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import read_state
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.runtime.gc_tuning import collect_young, tuned_gc
from mesaya_ws.statestore.store import LmdbState

BATCH = 100
COMMIT_EVERY = 20_000
"""Records between two commits."""


def new_feed(size):
    """Return a feed with a window of so many bytes."""
    return Feed(Hub(), Window(10**6, size), 1.0, retention=Retention(168, 8 << 30))


async def fill(folder, size):
    """Publish until the window is full, and as much again, so that something has left it."""
    feed, store = new_feed(size), LmdbState(folder)
    store.reopen()
    feed.ingest(LogMetadata({Partition(each, 0): OffsetRange(0, 0, "id") for each in TOPICS}, {}, None, ()), SINCE)
    topic, made, known = new_values("tables", COMMIT_EVERY)
    for at, (other, value) in enumerate(known):
        feed.ingest(Records(Partition(other, 0), [Record(other, 0, at, SINCE, None, value)], 0), SINCE)
    assert len(known) == RESTAURANTS
    offset = 0
    while not feed.window.evicted or feed.window.evicted < len(feed.window):
        batch = [Record(topic, 0, at, SINCE, None, made[at % COMMIT_EVERY]) for at in range(offset, offset + BATCH)]
        offset += BATCH
        feed.ingest(Records(Partition(topic, 0), batch, 0), SINCE)
        for _ in feed.process(SINCE):
            collect_young()
        if offset % COMMIT_EVERY == 0:
            await commit(feed, store, SINCE)
    await commit(feed, store, SINCE)
    feed.known.stored.view.close()
    store.close()


def read(store):
    """Return what a store begins with."""
    with store.view() as view:
        return read_state(view)


async def start(folder, size):
    """Go on with the store; print how long that took, the longest step, and what the window has."""
    async with tuned_gc():
        feed, store = new_feed(size), LmdbState(folder)
        store.reopen()
        began = time.perf_counter()
        feed.known.stored.view = view = store.pin()
        stored = await trio.to_thread.run_sync(read, store)
        reading, longest, step = time.perf_counter() - began, 0.0, time.thread_time()
        for _ in feed.persistent.resume_stored(stored, in_pieces(iter(stored.rows)), SINCE):
            longest = max(longest, time.thread_time() - step)
            await trio.lowlevel.checkpoint()
            step = time.thread_time()
        took, window = time.perf_counter() - began, feed.window
        print(
            f"{len(window)} publications, {window.bytes >> 20} MiB: filled in {took:.2f} s, "
            f"{reading:.2f} of them in a thread; the longest step took {longest * 1000:.1f} ms of CPU; "
            f"{view.size().window_bytes >> 20} MiB on disk"
        )
        view.close()
        store.close()


def main():
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=64)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder:
        trio.run(start, chosen.folder, chosen.mb << 20)
        return
    with tempfile.TemporaryDirectory() as folder:
        trio.run(fill, Path(folder), chosen.mb << 20)
        command = [sys.executable, __file__, "--mb", str(chosen.mb), "--folder", folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
