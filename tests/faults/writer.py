"""A program that appends to an embedded log what it reads, a record a line, and says the number of each that is in."""

import json
import sys
from pathlib import Path

import trio

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.eventlog.sqlite import open_sqlite_log


async def write(file: Path) -> None:
    async with open_sqlite_log(file, TOPICS) as log:
        for number, line in enumerate(sys.stdin):
            topic, value, key = json.loads(line)
            await log.append([NewRecord(topic, value.encode(), key.encode())])
            print(number, flush=True)  # noqa: T201 - that is its answer


if __name__ == "__main__":
    trio.run(write, Path(sys.argv[1]))
