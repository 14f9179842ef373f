"""The embedded log, written by the package's own writer in this process."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import trio

from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.eventlog.sqlite import open_sqlite_log

from .log import Held

CHECKPOINTS = "test.checkpoints"
"""The topic of checkpoints, if there is one: it is in the same file, and nothing that the platform has written."""


class SqliteLog:
    """A `Log` in a file."""

    name = "SQLite"

    def __init__(self, file: Path) -> None:
        self.file = file
        self.settings = {"EVENT_LOG_FILE": str(file)}
        self.event_log: EventLog
        self.life = 0
        self._held: dict[tuple[int, int], Held] = {}

    async def write(self, records: Sequence[NewRecord]) -> None:
        await self.event_log.append(records)

    async def settle(self) -> None:
        """All is acknowledged when it is written."""

    async def read_back(self) -> list[Held]:
        with closing(sqlite3.connect(self.file)) as db:
            rows = db.execute(
                "SELECT seq, name, place, timestamp, value FROM record JOIN topic ON topic.id = record.topic "
                "WHERE name != ?",
                (CHECKPOINTS,),
            )
            for seq, topic, offset, timestamp, value in rows:
                self._held[self.life, seq] = Held(topic, 0, offset, timestamp, value, self.life, None)
        return [held for _, held in sorted(self._held.items())]

    async def read_topic(self, topic: str) -> list[Held]:
        return [held for held in await self.read_back() if held.topic == topic]

    async def write_unreadable(self) -> None:
        """All bytes can be read."""

    async def remove(self, *topics: str) -> list[Held]:
        removed = [held for held in await self.read_back() if held.topic in topics]
        with closing(sqlite3.connect(self.file, isolation_level=None)) as db:
            for topic in topics:
                db.execute("DELETE FROM record WHERE topic = (SELECT id FROM topic WHERE name = ?)", (topic,))
        return removed

    async def recreate(self, topic: str) -> None:
        """Put a new, empty file in the place of the old one."""
        await self.read_back()
        self.life += 1
        new = self.file.with_suffix(".new")
        async with open_sqlite_log(new, TOPICS):
            pass
        await trio.to_thread.run_sync(self._replace, new)

    def _replace(self, new: Path) -> None:
        for part in ("", "-wal", "-shm"):
            Path(f"{self.file}{part}").unlink(missing_ok=True)
        new.rename(self.file)


@asynccontextmanager
async def sqlite_log(folder: Path) -> AsyncIterator[SqliteLog]:
    """Open a new embedded log."""
    log = SqliteLog(folder / "log.sqlite3")
    async with open_sqlite_log(log.file, (*TOPICS, CHAT)) as log.event_log:
        yield log
