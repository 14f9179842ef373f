"""What the tests of workers and of their parent share."""

import sys
from contextlib import asynccontextmanager

import pytest
import trio

from mesaya_ws.settings import Settings
from mesaya_ws.workers.supervisor import STOP_TIMEOUT, supervise
from tests.workers.parent import WORKER, Parent

DELAYS = (0.0, 0.0, 0.0)


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Decide how workers behave that start from now on."""
    monkeypatch.chdir(tmp_path)

    def behave(behaviour):
        (tmp_path / "behaviour").write_text(behaviour)

    behave("serves")
    return behave


@pytest.fixture
def supervised(workers, logged):
    """Run parents; those that have not ended are ended at once."""

    @asynccontextmanager
    async def run(command=(sys.executable, "-S", "-c", WORKER), serve=None, stop_timeout=STOP_TIMEOUT, **settings):
        parent = Parent(Settings(**{"host": "127.0.0.1", "port": 0, "drain_seconds": 0} | settings), logged)

        async def run(*, task_status):
            try:
                waits = {"delays": DELAYS, "stop_timeout": stop_timeout}
                await supervise(parent.settings, parent.load, command, serve, **waits, task_status=task_status)
            finally:
                parent.ended.set()

        async with trio.open_nursery() as nursery:
            parent.port = await nursery.start(run)
            yield parent
            nursery.cancel_scope.cancel()

    return run
