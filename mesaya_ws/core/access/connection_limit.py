"""How many connections one user, or one address, may have at the same time."""


class ConnectionLimit:
    """Counts open connections by whose they are; at `most` so many are let in, 0 is no limit.

    It is the newest that is refused: to close the oldest would make two tabs of one user close each other for ever.
    Holds an entry for each who has a connection, and takes the same time however many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many have a connection."""
        return len(self._open)

    def enter(self, whose: str) -> bool:
        """Count a connection; return False, and do not count it, when there are as many as there may be."""
        count = self._open.get(whose, 0)
        if self._most and count >= self._most:
            return False
        self._open[whose] = count + 1
        return True

    def leave(self, whose: str) -> None:
        """Count the end of a connection that has been let in."""
        count = self._open.pop(whose)
        if count > 1:
            self._open[whose] = count - 1
