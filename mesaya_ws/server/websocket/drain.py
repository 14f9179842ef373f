"""Sending all clients away, when this instance ends: spread over time, so that they do not come back all at once."""

import random
from collections.abc import Callable, Set
from typing import Protocol

import trio

from mesaya_ws.core.feed.hub import YIELD_EVERY
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.codes import CloseCode

GRACE = 0.25
"""The share of the time that a client has to move by itself, between the message and the close."""


class Leaving(Protocol):
    """A connection that is to end."""

    def announce(self, within: float) -> None:
        """Announce to the client that it will be closed in so many seconds."""
        ...

    def close(self, code: CloseCode) -> None:
        """Close it."""
        ...


async def drain(connections: Set[Leaving], seconds: float) -> None:
    """Send the clients of all `connections` away within `seconds`; a connection that ends leaves the set by itself.

    Each gets the message at a moment of its own, and is closed a while later, so that it can open another connection
    before it gives this one up. It is one random moment in each of as many equal parts of the time as there are
    clients: the load of their coming back is even, and several instances that end together do not send theirs in step.
    """
    leaving = list(connections)
    random.shuffle(leaving)
    grace = seconds * GRACE
    part = (seconds - grace) / max(1, len(leaving))
    start = trio.current_time()
    moments = [start + part * (number + random.random()) for number in range(len(leaving))]  # noqa: S311

    async def visit(act: Callable[[Leaving], None], delay: float) -> None:
        for number, (moment, connection) in enumerate(zip(moments, leaving, strict=True), 1):
            # Where it is late, waiting a turn of the loop for each would make it later.
            is_early = trio.current_time() < moment + delay
            if connection in connections and (is_early or number % YIELD_EVERY == 0):
                await trio.sleep_until(moment + delay)
            if connection in connections:
                act(connection)

    async with trio.open_nursery() as nursery:
        if grace:
            nursery.start_soon(visit, lambda connection: connection.announce(grace), 0.0)
        nursery.start_soon(visit, lambda connection: connection.close(codes.SERVICE_RESTART), grace)
    # Whoever was let in at the last moment.
    for connection in list(connections):
        connection.close(codes.SERVICE_RESTART)
