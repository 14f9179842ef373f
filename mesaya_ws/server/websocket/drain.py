"""Sending all clients away, when this instance ends: spread over time, so that they do not come back all at once."""

import random
from collections.abc import Callable, Set
from typing import Protocol

import trio

from mesaya_ws.core.session.step_budget import StepBudget
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.codes import CloseCode

GRACE = 0.25
"""The share of the time that a client has to move by itself, between the message and the close."""


class Working(Protocol):
    """A session, as far as it matters here: how much `work` it is to send it away."""

    @property
    def work(self) -> int:
        """How much it is to do something for each subscription, and for the session itself."""
        ...


class Leaving(Protocol):
    """A connection that is to end."""

    @property
    def session(self) -> Working:
        """Its session."""
        ...

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
        budget = StepBudget()
        for moment, connection in zip(moments, leaving, strict=True):
            # Where it is late, waiting a turn of the loop for each would make it later.
            if connection in connections and trio.current_time() < moment + delay:
                await trio.sleep_until(moment + delay)
            if connection in connections:
                work = connection.session.work
                act(connection)
                if budget.spend(work):
                    await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        if grace:
            nursery.start_soon(visit, lambda connection: connection.announce(grace), 0.0)
        nursery.start_soon(visit, lambda connection: connection.close(codes.SERVICE_RESTART), grace)
    # Whoever was let in at the last moment.
    budget = StepBudget()
    for connection in list(connections):
        work = connection.session.work
        connection.close(codes.SERVICE_RESTART)
        if budget.spend(work):
            await trio.lowlevel.checkpoint()
