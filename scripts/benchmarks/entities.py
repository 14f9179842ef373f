"""What reservations and payments take that are kept: `scripts/python scripts/benchmarks/entities.py [--millions N]`.

A feed reads N million reservations and as many payments, nine of ten of them settled, with a state store and as a
gateway has it committed, in one process. After each quarter of a million of both, it says what memory the process takes
that is not of files (anonymous), what CPU a record took, and the longest step; at the end, how long it takes another
process to go on from the store until it can serve.
"""

import argparse
import gc
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import orjson
import trio
from committing import commit

from mesaya_ws.core.feed.checkpoint import in_pieces
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import read_state
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.gateway.store_keeper import FLUSH_ENTRIES, FLUSH_SECONDS, ROOM_ENTRIES
from mesaya_ws.runtime.gc_tuning import keep, look, tuned_gc
from mesaya_ws.statestore.store import LmdbState

EACH = 250_000
BATCH = 100
SINCE = 1_700_000_000_000
PER_DAY = 40_000
"""Reservations a day, by the times of the records."""

RESTAURANTS = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"restaurant {number}")) for number in range(500)]
USERS = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"user {number}")) for number in range(5000)]
RESERVATIONS, PAYMENTS = Partition(topic_of("reservations"), 0), Partition(topic_of("payments"), 0)


def anonymous():
    """Return the MB of memory of this process that are not of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


def pair(number, draw):
    """Return the values of a reservation's record, and of its payment's."""
    id, time_ms = str(uuid.UUID(int=draw.getrandbits(128))), SINCE + number * 86_400_000 // PER_DAY
    day = time.strftime("%Y-%m-%d", time.gmtime(time_ms / 1000 + 86_400 * draw.randrange(14)))
    is_settled = draw.random() < 0.9
    reservation = {
        "id": id,
        "restaurantId": draw.choice(RESTAURANTS),
        "userId": draw.choice(USERS),
        "tableId": str(uuid.UUID(int=draw.getrandbits(128))),
        "reservationDate": f"{day}T00:00:00.000Z",
        "reservationTime": f"{day}T19:30:00.000Z",
        "numberOfGuests": 4,
        "status": "COMPLETED" if is_settled else "PENDING",
        "createdAt": f"{day}T00:00:00.000Z",
        "updatedAt": f"{day}T00:00:00.000Z",
    }
    payment = {
        "id": str(uuid.UUID(int=draw.getrandbits(128))),
        "reservationId": id,
        "amount": 25,
        "date": day,
        "paymentStatus": "COMPLETED" if is_settled else "PENDING",
        "createdAt": f"{day}T00:00:00.000Z",
        "updatedAt": f"{day}T00:00:00.000Z",
    }
    for data in (reservation, payment):
        value = {"event_type": "created", "entity_id": data["id"], "data": data}
        yield time_ms, orjson.dumps(value)


def new_feed():
    """Return a feed as a gateway has it."""
    return Feed(Hub(), Window(300, 64 << 20), 1.0, retention=Retention(168, 1 << 30), keep_settled_days=400)


def metadata(count):
    """Return what the log holds."""
    ends = dict.fromkeys((Partition(each, 0) for each in TOPICS), 0) | {RESERVATIONS: count, PAYMENTS: count}
    return LogMetadata({at: OffsetRange(0, end, "id") for at, end in ends.items()}, {None: 0}, None, ())


async def fill(folder, millions):
    """Read it all, and print what it takes."""
    async with tuned_gc():
        store, feed, draw = LmdbState(folder), new_feed(), random.Random(1)
        store.reopen()
        feed.ingest(metadata(0), SINCE)
        list(feed.process(SINCE))
        keep()
        longest, flushed = 0.0, trio.current_time()

        async def flush(now):
            nonlocal flushed
            await commit(feed, store, now)
            flushed = trio.current_time()
            is_flushing.clear()

        is_flushing = set()
        print(
            "| million of each | anonymous MB | CPU of a record, µs | longest step, ms of CPU | file, MB |", flush=True
        )
        print("|---:|---:|---:|---:|---:|", flush=True)
        began = time.process_time()
        made = 0.0
        async with trio.open_nursery() as nursery:
            for start in range(0, int(millions * 1_000_000), BATCH):
                before = time.process_time()
                batch, now = [], SINCE
                for number in range(start, start + BATCH):
                    for at, (now, value) in zip((RESERVATIONS, PAYMENTS), pair(number, draw), strict=True):
                        batch.append(Record(*at, number, now, None, value))
                made += time.process_time() - before
                step = time.thread_time()
                feed.ingest(Records(None, batch, 0), now)
                for _ in feed.process(now):
                    longest = max(longest, time.thread_time() - step)
                    await trio.lowlevel.checkpoint()
                    look()
                    for _ in feed.hub.fan_out():
                        pass
                    step = time.thread_time()
                is_due = trio.current_time() - flushed >= FLUSH_SECONDS or feed.persistent.uncommitted >= FLUSH_ENTRIES
                if is_due and not is_flushing:
                    is_flushing.add(1)
                    nursery.start_soon(flush, now)
                while is_flushing and feed.persistent.uncommitted >= ROOM_ENTRIES:  # noqa: ASYNC110 - for milliseconds
                    await trio.sleep(0.01)
                if (start + BATCH) % EACH == 0:
                    cost = (time.process_time() - began - made) / (2 * EACH) * 1e6
                    size = (folder / "state.mdb").stat().st_blocks * 512 / 1e6
                    row = (
                        f"{(start + BATCH) / 1e6} | {anonymous():.0f} | {cost:.1f} | {longest * 1000:.1f} | {size:.0f}"
                    )
                    print(f"| {row} |", flush=True)
                    began, made, longest = time.process_time(), 0.0, 0.0
        await flush(now)
        feed.known.stored.view.close()
        store.close()


def restart(folder, count):
    """Go on from the store, and print how long that took."""
    gc.disable()
    began = time.perf_counter()
    store, feed = LmdbState(folder), new_feed()
    store.reopen()
    feed.known.stored.view = pinned = store.pin()
    stored = read_state(pinned)
    for _ in feed.persistent.resume_stored(stored, in_pieces(iter(stored.rows)), SINCE):
        pass
    feed.ingest(metadata(count), SINCE)
    for _ in feed.process(SINCE):
        pass
    took = time.perf_counter() - began
    assert feed.live
    print(f"ready after {took:.2f} s, with {anonymous():.0f} MB of anonymous memory, {len(stored.rows)} rows read")


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=float, default=2)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder:
        restart(chosen.folder, int(chosen.millions * 1_000_000))
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        trio.run(fill, Path(folder), chosen.millions)
        subprocess.run([sys.executable, __file__, "--millions", str(chosen.millions), "--folder", folder], check=True)


if __name__ == "__main__":
    main()
