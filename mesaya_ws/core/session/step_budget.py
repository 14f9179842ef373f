"""How much is done in one step for sessions, by what visits many of them: then others have their turn."""

VISITED_AT_ONCE = 100
"""How much `work` (see `Session`) is done in one step. To end a subscription, or to begin it anew, takes some 10 µs."""


class StepBudget:
    """Ends steps: each when so much work was done in it, or a little more."""

    __slots__ = ("_most", "_spent")

    def __init__(self, most: int = VISITED_AT_ONCE) -> None:
        self._most = most
        self._spent = 0

    def spend(self, work: int) -> bool:
        """Count work that was done; return whether the step ends with it."""
        self._spent += work
        if self._spent < self._most:
            return False
        self._spent = 0
        return True
