"""What befalls those who write to the embedded log."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice

import pytest
import trio

from mesaya_ws.core.log.records import NewRecord

from .sqlite_log import SqliteLog

pytestmark = pytest.mark.faults

KILLED = 20
WRITERS = 5


def write_and_be_killed(log: SqliteLog, records: Sequence[NewRecord], last: int) -> list[bytes | None]:
    """Let a process write `records`, and kill it when it has said that the `last` is in; return those that are."""
    lines = (json.dumps([one.topic, (one.value or b"").decode(), (one.key or b"").decode()]) + "\n" for one in records)
    command = [sys.executable, "-m", "tests.faults.writer", str(log.file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.writelines(lines)
        process.stdin.flush()
        for number in process.stdout:
            if int(number) == last:
                process.kill()
    return [record.value for record in records[: int(number) + 1]]


async def test_writers_that_are_killed(sqlite_world):
    async with sqlite_world() as world:
        gateways = [await world.gateway() for _ in range(2)]
        await world.found()
        clients = [*await world.subscribe(gateways[0].url), *await world.subscribe(gateways[1].url)]
        acknowledged: list[bytes | None] = []
        events = world.platform.events()

        async def write() -> None:
            records = list(islice(events, 100))
            last = random.randrange(5, 30)
            acknowledged.extend(await trio.to_thread.run_sync(write_and_be_killed, world.log, records, last))

        async with world.writing():
            for _ in range(KILLED // WRITERS):
                async with trio.open_nursery() as nursery:
                    for _ in range(WRITERS):
                        nursery.start_soon(write)
        truth = await world.finish()
        world.report("writer killed (-9)", f"{KILLED} times, {WRITERS} of them at once", truth, clients)
        assert set(acknowledged) <= {record.value for record in truth.records}
        by_topic: dict[str, list[int]] = {}
        for record in truth.records:
            by_topic.setdefault(record.topic, []).append(record.offset)
        assert all(offsets == list(range(len(offsets))) for offsets in by_topic.values())
