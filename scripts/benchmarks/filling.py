"""Fills a feed that keeps all that it knows in a state store, as a gateway has it, and goes on from that store."""

import gc
import time
from pathlib import Path

import trio
from committing import commit

from mesaya_ws.core.feed.checkpoint import in_pieces
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import read_state
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.gateway.store_keeper import FLUSH_ENTRIES, FLUSH_SECONDS, ROOM_ENTRIES
from mesaya_ws.runtime.gc_tuning import collect_young, freeze
from mesaya_ws.statestore.store import LmdbState


def new_feed():
    """Return a feed as a gateway has it."""
    return Feed(Hub(), Window(300, 64 << 20), 1.0, retention=Retention(168, 1 << 30), keep_settled_days=400)


def anonymous():
    """Return the MB of memory of this process that are not of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


async def process(feed, records, now):
    """Process records in a feed, and write what it publishes; return the longest step, in seconds of CPU."""
    longest, step = 0.0, time.thread_time()
    feed.ingest(records, now)
    for _ in feed.process(now):
        longest = max(longest, time.thread_time() - step)
        await trio.lowlevel.checkpoint()
        collect_young()
        for _ in feed.hub.fan_out():
            pass
        step = time.thread_time()
    return longest


class Filling:
    """A feed that is filled, and its store in a `folder`; `metadata` is what the log holds at first, `now` in ms."""

    def __init__(self, folder, metadata, now):
        self.feed, self._store, self._path = new_feed(), LmdbState(folder), folder / "state.mdb"
        self._store.reopen()
        self.feed.ingest(metadata, now)
        list(self.feed.process(now))
        freeze()
        self._longest, self._cpu = 0.0, 0.0
        self._flushed, self._is_flushing = trio.current_time(), False

    async def take(self, records, now, nursery):
        """Process records; what is due is committed meanwhile, in the nursery."""
        began = time.process_time()
        self._longest = max(self._longest, await process(self.feed, records, now))
        is_due = trio.current_time() - self._flushed >= FLUSH_SECONDS
        if (is_due or self.feed.persistent.uncommitted >= FLUSH_ENTRIES) and not self._is_flushing:
            self._is_flushing = True
            nursery.start_soon(self._flush, now)
        while self._is_flushing and self.feed.persistent.uncommitted >= ROOM_ENTRIES:  # noqa: ASYNC110 - for milliseconds
            await trio.sleep(0.01)
        self._cpu += time.process_time() - began

    async def _flush(self, now):
        await commit(self.feed, self._store, now)
        self._flushed, self._is_flushing = trio.current_time(), False

    def row(self, records):
        """Return the cells for so many records since the last row: memory, CPU of a record, longest step, the file."""
        size = self._path.stat().st_blocks * 512 / 1e6
        cost, longest = self._cpu / records * 1e6, self._longest * 1000
        self._cpu = self._longest = 0.0
        return f"{anonymous():.0f} | {cost:.1f} | {longest:.1f} | {size:.0f}"

    async def finish(self, now):
        """Commit the rest, when nothing is being committed any more."""
        await self._flush(now)

    def close(self):
        """Close the store."""
        self.feed.known.stored.view.close()
        self._store.close()


def restart(folder, metadata, now):
    """Go on from the store, and print how long that took until all that the log holds has been processed."""
    gc.disable()
    began = time.perf_counter()
    store, feed = LmdbState(folder), new_feed()
    store.reopen()
    feed.known.stored.view = pinned = store.pin()
    stored = read_state(pinned)
    for _ in feed.persistent.resume_stored(stored, in_pieces(iter(stored.rows)), now):
        pass
    feed.ingest(metadata, now)
    for _ in feed.process(now):
        pass
    took = time.perf_counter() - began
    assert feed.live
    print(f"ready after {took:.2f} s, with {anonymous():.0f} MB of anonymous memory, {len(stored.rows)} rows read")
