"""When those who ask about a channel are sent its number: seldom, a rise soon, and a fall only if it lasts.

| the number is | what follows |
|---|---|
| higher than what was sent | it is sent once the rest since the last message is over |
| lower | it is falling: after `FALL` it is sent, and at once where a process was dropped; the rest counts, too |
| as high again while it is falling | nothing |
"""

from collections.abc import Callable

from attrs import define

from mesaya_ws.core.interactions.presence_records import EXACT

MANY = 500
"""Viewers above which changes are sent seldom."""

OFTEN, NOW_AND_THEN, SELDOM = 2_000, 5_000, 10_000
"""Milliseconds between two messages about a channel: up to `EXACT` viewers, up to `MANY`, and above."""

FALL = 10_000
"""Milliseconds that a fall must last: who reconnects, or loads a page again, does not leave and come."""


def shown(viewers: int) -> int:
    """Return the number that is sent: exact up to `EXACT`, and its first two digits above."""
    if viewers < 100:
        return viewers
    unit: int = 10 ** (len(str(viewers)) - 2)
    return viewers // unit * unit


@define
class Pace:
    """What was sent of one channel last, at the time `sent_at` (ms), and what is to be sent next, and when.

    A value falls if it is not what it is `together` with the one that was sent: by default, if it is less.
    """

    sent: int
    sent_at: int
    together: Callable[[int, int], int] = max
    _fell_at: int | None = None
    _is_urgent: bool = False

    def hurry(self) -> None:
        """Send the next fall without waiting: those who are gone have been for long."""
        self._is_urgent = True

    def check(self, value: int, now: int) -> int | None:
        """Return what is to be sent now of the present value, if anything is (`note`)."""
        held = self._held(value, now)
        if value == self.sent:
            self._is_urgent = False
        return None if held == self.sent or now < self.sent_at + self._rest(value) else held

    def note(self, sent: int, value: int, now: int) -> None:
        """Note that what `check` has returned of a value is sent now."""
        self.sent, self.sent_at = sent, now
        if sent == value:
            self._fell_at, self._is_urgent = None, False

    def due_at(self, value: int) -> int | None:
        """Return when to check the value again; None if there is nothing to be sent. To be called after `check`."""
        if value == self.sent:
            return None
        rested = self.sent_at + self._rest(value)
        if self.together(self.sent, value) != self.sent or self._is_urgent or self._fell_at is None:
            return rested
        return max(rested, self._fell_at + FALL)

    def _held(self, value: int, now: int) -> int:
        """Return what is shown of a value: without a fall, as long as that has not lasted."""
        held = self.together(self.sent, value)
        if held == value:
            self._fell_at = None
            return value
        if self._fell_at is None:
            self._fell_at = now
        return value if self._is_urgent or now >= self._fell_at + FALL else held

    def _rest(self, value: int) -> int:
        most = max(value, self.sent)
        if most <= EXACT or self._is_urgent:
            return OFTEN
        return NOW_AND_THEN if most <= MANY else SELDOM
