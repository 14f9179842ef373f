"""Whether clients are still there, and take what is sent to them: one task that checks all connections."""

from collections.abc import Set

import trio

from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.core.session.step_budget import StepBudget
from mesaya_ws.server.clients import Client
from mesaya_ws.settings import Settings


async def keep_alive(connections: Set[Client], settings: Settings) -> None:
    """Check until cancelled whether the clients are still there: one task for all, as one for each costs 3 kB."""
    period = min(1.0, settings.ping_interval / 4, settings.ping_timeout / 4)
    while True:
        await trio.sleep(period)
        now, budget = trio.current_time(), StepBudget(YIELD_EVERY)
        for connection in list(connections):
            work = 1 + len(connection.session.delivery.unsettled)  # each of which may be `pending`
            connection.check(now)
            if budget.spend(work):
                await trio.lowlevel.checkpoint()
                now = trio.current_time()
