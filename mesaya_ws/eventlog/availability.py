"""Whether a log answers: followers receive an event when it stops, when the reason changes, and when it answers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from mesaya_ws.core.log.events import Available, LogEvent, Unavailable
from mesaya_ws.core.log.interface import LogUnavailableError

RETRY_INTERVAL = 0.5
"""Seconds between two attempts to read a log that does not answer."""

Result = TypeVar("Result")


class Availability:
    """What a follower knows of one log.

    trouble      known before        event
    a sentence   available           Unavailable(sentence)
    a sentence   the same sentence   none
    a sentence   another sentence    Unavailable(sentence): what must be done has changed
    None         a sentence          Available
    None         available           none
    """

    def __init__(self) -> None:
        self._trouble: str | None = None

    def changes(self, trouble: str | None) -> list[LogEvent]:
        """Return the event to deliver, if there is one, now that `trouble` is the reason for an outage (None: none)."""
        if trouble == self._trouble:
            return []
        self._trouble = trouble
        return [Available() if trouble is None else Unavailable(trouble)]


async def when_available(
    read: Callable[[], Awaitable[Result]], deliver: Callable[[LogEvent], Awaitable[None]]
) -> Result:
    """Return what `read` returns, once the log answers; until then, `deliver` receives the events of its outage."""
    availability = Availability()
    while True:
        try:
            result = await read()
            break
        except LogUnavailableError as error:
            for event in availability.changes(str(error)):
                await deliver(event)
            await trio.sleep(RETRY_INTERVAL)
    for event in availability.changes(None):
        await deliver(event)
    return result
