"""Whether clients are still there, and take what is sent to them: one task that checks all connections."""

from collections.abc import Set

import trio

from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.server.clients import Client
from mesaya_ws.settings import Settings


async def keep_alive(connections: Set[Client], settings: Settings) -> None:
    """Check until cancelled whether the clients are still there: one task for all, as one for each costs 3 kB."""
    period = min(1.0, settings.ping_interval / 4, settings.ping_timeout / 4)
    while True:
        await trio.sleep(period)
        now = trio.current_time()
        for number, connection in enumerate(list(connections), 1):
            connection.check(now)
            if number % YIELD_EVERY == 0:
                await trio.lowlevel.checkpoint()
                now = trio.current_time()
