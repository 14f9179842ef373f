"""Large snapshots that have been rendered: clients that ask for the same share one, within a bound of bytes."""

from itertools import count
from weakref import WeakValueDictionary

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.recovery.window import Window

NEW = 5.0
"""Seconds for which a written state is handed to whoever asks: after it comes what was published since."""


class SharedSnapshots:
    """The large states that clients have not taken yet, and those that are new.

    A client holds a place in a state, not a copy. All states together have at most `max_bytes`, though one may have
    more: first those give way that are only new, then the oldest that clients still hold, who are too slow then
    (`Snapshot.revoke`). Times are in seconds by any clock that only goes forward.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._numbers = count()
        self._held: WeakValueDictionary[int, Snapshot] = WeakValueDictionary()
        self._new: dict[Channel, tuple[float, int, Snapshot]] = {}

    @property
    def bytes(self) -> int:
        """The size of all states that are new or held."""
        return sum(state.size for state in self._held.values())

    def keep(self, state: Snapshot, now: float) -> None:
        """Keep a state that has been written at the time `now`."""
        self._new.pop(state.channel, None)  # it goes to the end, as the newest
        excess = self.bytes + state.size - self._max_bytes
        for channel in list(self._new):
            if excess <= 0:
                break
            excess -= self._forget(channel)
        for number, oldest in list(self._held.items()):
            if excess <= 0:
                break
            excess -= oldest.size
            oldest.revoke()
            del self._held[number]
        number = next(self._numbers)
        self._held[number] = state
        self._new[state.channel] = now, number, state

    def _forget(self, channel: Channel) -> int:
        """Hand the state of a channel to nobody any more; return how many bytes are free then: none if it is held."""
        _, number, state = self._new.pop(channel)
        size = state.size
        del state
        return 0 if number in self._held else size

    def find(self, channel: Channel, window: Window, now: float) -> Snapshot | None:
        """Return the state of a channel if it is new, and all that came after it is in `window`."""
        self.forget(now)
        _, _, state = self._new.get(channel, (0.0, 0, None))
        return state if state is not None and state.continues_in(window) else None

    def forget(self, now: float) -> float | None:
        """Let go of what is not new any more; return when that is to be done again, None if nothing is new."""
        while self._new:
            channel, (written_at, *_) = next(iter(self._new.items()))
            if now < written_at + NEW:
                return written_at + NEW
            self._forget(channel)
        return None
