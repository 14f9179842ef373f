"""One follower of the log: the thread that polls, and how it ends."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import closing
from math import inf
from time import monotonic

import trio

from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import Paused
from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.eventlog.kafka.consumer_loop import ConsumerLoop
from mesaya_ws.eventlog.kafka.driver.clients import Options, run_in_thread, timings_in


class Follower:
    """Follows `topics` from `start` on (see `EventLog.follow`), and passes events to `deliver`.

    The topics in `made` are created with their first record.
    """

    def __init__(
        self,
        options: Options,
        topics: Collection[str],
        deliver: Callable[[LogEvent], Awaitable[None]],
        start: Mapping[Partition, PartitionPosition],
        paused: Paused,
        made: Collection[str],
    ) -> None:
        self._deliver = deliver
        self._hung_after = timings_in(options).hung_after
        self._loop = ConsumerLoop(options, topics, start, paused, made)
        self._beat = monotonic()

    async def run(self) -> None:
        """Follow until cancelled; then it ends within a second, with its threads."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            try:
                await run_in_thread(self._run_loop, self._loop.interrupt)
            except Exception as error:  # noqa: BLE001 - it is raised below, outside of the nursery, which would wrap it
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch(self) -> None:
        """Interrupt the thread when it hangs; it goes on with new clients."""
        while True:
            await trio.sleep(1)
            if monotonic() - self._beat > self._hung_after:
                self._beat = monotonic()
                await trio.to_thread.run_sync(self._loop.interrupt)

    def _run_loop(self) -> None:
        with closing(self._loop.events()) as events:
            for item in events:
                # `deliver` may take any time: that is no hanging.
                self._beat = inf
                if item is None:
                    trio.from_thread.check_cancelled()
                else:
                    trio.from_thread.run(self._deliver, item)
                self._beat = monotonic()
