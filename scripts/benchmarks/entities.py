"""What reservations and payments take that are kept: `scripts/python scripts/benchmarks/entities.py [--millions N]`.

A feed reads N million reservations and as many payments, nine of ten of them settled, with a state store and as a
gateway has it committed, in one process. After each quarter of a million of both, it says what memory the process takes
that is not of files (anonymous), what CPU a record took, and the longest step; at the end, how long it takes another
process to go on from the store until it can serve.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import orjson
import trio
from filling import Filling, restart

from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.runtime.gc_tuning import tuned_gc

EACH = 250_000
BATCH = 100
SINCE = 1_700_000_000_000
PER_DAY = 40_000
"""Reservations a day, by the times of the records."""

RESTAURANTS = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"restaurant {number}")) for number in range(500)]
USERS = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"user {number}")) for number in range(5000)]
RESERVATIONS, PAYMENTS = Partition(topic_of("reservations"), 0), Partition(topic_of("payments"), 0)


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


def metadata(count):
    """Return what the log holds."""
    ends = dict.fromkeys((Partition(each, 0) for each in TOPICS), 0) | {RESERVATIONS: count, PAYMENTS: count}
    return LogMetadata({at: OffsetRange(0, end, "id") for at, end in ends.items()}, {None: 0}, None, ())


async def fill(folder, millions):
    """Read it all, and print what it takes."""
    async with tuned_gc():
        draw, now, filling = random.Random(1), SINCE, Filling(folder, metadata(0), SINCE)
        print(
            "| million of each | anonymous MB | CPU of a record, µs | longest step, ms of CPU | file, MB |", flush=True
        )
        print("|---:|---:|---:|---:|---:|", flush=True)
        async with trio.open_nursery() as nursery:
            for start in range(0, int(millions * 1_000_000), BATCH):
                batch = []
                for number in range(start, start + BATCH):
                    for at, (now, value) in zip((RESERVATIONS, PAYMENTS), pair(number, draw), strict=True):
                        batch.append(Record(*at, number, now, None, value))
                await filling.take(Records(None, batch, 0), now, nursery)
                if (start + BATCH) % EACH == 0:
                    print(f"| {(start + BATCH) / 1e6} | {filling.row(2 * EACH)} |", flush=True)
        await filling.finish(now)
        filling.close()


def main():
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=float, default=2)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.folder:
        restart(chosen.folder, metadata(int(chosen.millions * 1_000_000)), SINCE)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        trio.run(fill, Path(folder), chosen.millions)
        subprocess.run([sys.executable, __file__, "--millions", str(chosen.millions), "--folder", folder], check=True)


if __name__ == "__main__":
    main()
