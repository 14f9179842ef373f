"""How fast a gateway reads its log: the time from its start until it is ready, with nobody listening."""

import time
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import trio
from load.feed import GROUP, LogFeed
from load.gateway import serving
from load.plan import Plan

from benchmarks.figures import Figures
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.settings import load_settings


def ingest(brokers: str, records: int) -> Figures:
    """Fill a log with so many events, on 1,000 channels, and return what it costs to read them.

    The time that a gateway needs to start on an empty log does not count.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="mesaya-ws-ingest-"))
        settings = {"EVENT_LOG": f"{folder}/log.sqlite3", "KAFKA_BROKERS": brokers}
        held = trio.run(_fill, settings, records)
        nothing, nothing_cpu = _start({})
        seconds, cpu = _start(settings)
    return {"records/s": held / (seconds - nothing), "CPU µs/record": (cpu - nothing_cpu) / held * 1e6}


async def _fill(settings: dict[str, str], records: int) -> int:
    """Append the events; return how many records the log holds then."""
    plan = Plan(run="ingest", channels=1000)
    async with LogFeed(settings).open() as append:
        await append(plan.setup())
        for first in range(0, records, GROUP):
            await append([plan.record(due) for due in plan.events(first, GROUP, lambda _: time.time_ns())])
    async with open_event_log(load_settings(settings)) as log:
        return sum(extent.end - extent.begin for extent in (await log.extents()).values())


def _start(settings: dict[str, str]) -> tuple[float, float]:
    """Return how long a gateway takes to be ready, and the processor time that it needs for it."""
    began = time.monotonic()
    with serving(**settings) as (observed, _):
        return time.monotonic() - began, observed.cpu()
