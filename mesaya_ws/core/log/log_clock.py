"""What time it is for the log: learned from append times and a clock that never steps, never from the time of day.

A record's append time lies between the moment when its append began here and the one when it was acknowledged: that
bounds the log's clock from both sides. The append time of a record that was read, whoever wrote it, bounds it from
below. So an instance whose clock is minutes wrong knows the log's time as well as any other.
"""


class LogClock:
    """Follows the log's clock. `steady` is ms of a clock that never steps; times of the log are ms since 1970."""

    def __init__(self) -> None:
        # Bounds of the log's time minus ours.
        self._least: int | None = None
        self._greatest: int | None = None

    def read(self, timestamp: int, steady: int) -> None:
        """Take note of a record that was read, with its append time."""
        ahead = timestamp - steady
        if self._least is None or ahead > self._least:
            self._least = ahead
            if self._greatest is not None and self._greatest < ahead:
                self._greatest = None  # the log's clock was set forward: how far, the next append says

    def appended(self, timestamp: int, began: int, ended: int) -> None:
        """Take note of a record of ours, whose append began and was acknowledged at such times."""
        before = timestamp - ended if self._least is None else self._least
        self._greatest = timestamp - began
        self._least = min(max(before, timestamp - ended), self._greatest)

    def time(self, steady: int) -> int | None:
        """Return what time it is for the log, as far as that is known: never later than it is."""
        return None if self._least is None else self._least + steady

    def latest(self, steady: int) -> int | None:
        """Return the latest time that it can be for the log; None as long as nothing was appended here."""
        return None if self._greatest is None else self._greatest + steady
