"""The embedded log: the contract, and what is its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path

import attrs
import pytest

from mesaya_ws.core.event_log import EventLog, Partition
from mesaya_ws.eventlog.sqlite import open_sqlite_log

from .contract import LogContract

TOPICS = ("a.events", "b.events", "c.events")


@attrs.frozen
class SqliteStore:
    path: Path
    topics = TOPICS
    foreign = "d.events"

    def open(self) -> AbstractAsyncContextManager[EventLog]:
        return open_sqlite_log(self.path, self.topics)

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            yield db

    async def remove_before(self, partition: Partition, offset: int) -> None:
        with self.database() as db:
            db.execute(
                "DELETE FROM record WHERE topic = (SELECT id FROM topic WHERE name = ?) AND place < ?",
                (partition.topic, offset),
            )


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "log.sqlite3")


class TestSqliteLog(LogContract):
    pass
