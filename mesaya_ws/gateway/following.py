"""Following the log: from where on it is read when a process starts, and what is written meanwhile."""

from collections.abc import Awaitable, Callable, Collection, Mapping

import trio

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import BEGINNING, Partition, PartitionPosition
from mesaya_ws.core.recovery.stored import StoredState
from mesaya_ws.eventlog.availability import when_available
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.store_keeper import StoreKeeper


async def follow(
    event_log: EventLog,
    checkpoints: Checkpoints | None,
    store: StoreKeeper,
    feed: Feed,
    topics: Collection[str],
    deliver: Callable[[LogEvent], Awaitable[None]],
) -> None:
    """Follow the log from where to begin, and write the store and new checkpoints."""
    await trio.to_thread.run_sync(store.open)
    start = await _begin(event_log, checkpoints, store, topics, deliver)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        if checkpoints is not None:
            nursery.start_soon(checkpoints.run)
        await event_log.follow(deliver, start, lambda: feed.paused)


async def _begin(
    event_log: EventLog,
    checkpoints: Checkpoints | None,
    store: StoreKeeper,
    topics: Collection[str],
    deliver: Callable[[LogEvent], Awaitable[None]],
) -> Mapping[Partition, PartitionPosition]:
    """Begin where the store stands, or else with the newest checkpoint; return from where to read the log on.

    The checkpoint goes first where the log has dropped records that the store lacks. It waits for a log that does not
    answer, with the events of an outage to `deliver`.
    """

    async def read() -> tuple[StoredState | None, bool]:
        stored = await store.stored(event_log, topics)
        cut = None if stored is None else stored.head.cut
        misses = cut is not None and cut.with_gaps(await event_log.extents(skip_refused=True)) != cut
        return stored, misses

    stored, misses = await when_available(read, deliver)
    if misses and checkpoints is not None and (start := await checkpoints.restore(deliver)) is not BEGINNING:
        return start
    if stored is not None and await store.resume(stored):
        return stored.head.cut.places
    return BEGINNING if checkpoints is None or misses else await checkpoints.restore(deliver)
