"""Whether a log answers: followers receive an event when it stops, when the reason changes, and when it answers."""

from mesaya_ws.core.log.events import Available, LogEvent, Unavailable


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
