"""Whether a log answers: followers receive one event when it stops, and one when it answers again."""

from mesaya_ws.core.log.events import Available, LogEvent, Unavailable


class Availability:
    """What a follower knows of one log.

    trouble      known before    event
    a sentence   available       Unavailable(sentence)
    a sentence   unavailable     none: the first reason stands
    None         unavailable     Available
    None         available       none
    """

    def __init__(self) -> None:
        self.is_down = False

    def changes(self, trouble: str | None) -> list[LogEvent]:
        """Return the event to deliver, if there is one, now that `trouble` is the reason for an outage (None: none)."""
        was_down, self.is_down = self.is_down, bool(trouble)
        if trouble and not was_down:
            return [Unavailable(trouble)]
        if was_down and not trouble:
            return [Available()]
        return []
