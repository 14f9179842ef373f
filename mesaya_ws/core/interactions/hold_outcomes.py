"""What claims have come to, by their ids: holds that are live, and for a while what has ended and what was refused.

What is over is remembered until `MEMORY` of the log's time after its `until`; who asks again is answered by that.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from mesaya_ws.core.interactions.hold import Granted, Hold, Outcome, Refused
from mesaya_ws.core.interactions.hold_rows import known_of_row, row_of
from mesaya_ws.core.interactions.live_holds import FORGOTTEN_AT_ONCE
from mesaya_ws.core.state.tracking import Tracked

MEMORY = 10 * 60 * 1000
"""Milliseconds of log time for which ended holds and refused claims are remembered."""

MAX_REMEMBERED = 100_000
"""Ended holds and refused claims; past that, the oldest give way."""

SWEPT_AT_ONCE = 4
"""What one record makes forget at most, more than it can add."""

LOOKED_AT_AT_ONCE = 200
"""Claims that are looked at in one go when the log has lost its end: a few milliseconds if all are forgotten."""


class HoldOutcomes:
    """What each claim has come to; what changes of it is noted in `tracked`."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._next_place = 0
        self._outcomes: dict[str, Outcome] = {}
        # Of what is over, until when it is remembered, and its place in their order; swept from the front.
        self._over: OrderedDict[str, tuple[int, int]] = OrderedDict()
        # By the id of a hold that has not been loaded yet, the claims that it has answered.
        self._answers: dict[str, list[str]] = {}

    def get(self, id: str) -> Outcome | None:
        """Return what the first claim with that id has come to, if it is remembered."""
        return self._outcomes.get(id)

    def live(self, id: str) -> Hold | None:
        """Return the live hold that a claim has come to."""
        outcome = self._outcomes.get(id)
        return outcome.hold if isinstance(outcome, Granted) and outcome.hold.ended is None else None

    def put(self, hold: Hold) -> None:
        """Take in a live hold."""
        if hold.place < 0:
            hold.place = self._take_place()
        self._outcomes[hold.id] = Granted(hold)

    def remember(self, id: str, outcome: Outcome, until: int) -> None:
        """Note what a claim came to that is over, or is no hold of its own."""
        self._outcomes[id] = outcome
        self._over[id] = until + MEMORY, self._take_place()
        self.note(id)

    def _take_place(self) -> int:
        self._next_place += 1
        return self._next_place - 1

    def note(self, id: str) -> None:
        """Note that what is known of a claim is as it is now."""
        if self._tracked.rows is not None:
            self._tracked.note(id, self._row(id))

    def sweep(self, at: int) -> None:
        """Forget what is over for long enough at some time (ms), or too much: a little with each record."""
        too_many = max(0, len(self._over) - MAX_REMEMBERED)
        for number, (id, (until, _)) in enumerate(list(islice(self._over.items(), SWEPT_AT_ONCE))):
            if at < until and number >= too_many:
                return
            self.forget(id)

    def forget(self, id: str) -> None:
        """Forget what is over."""
        del self._over[id], self._outcomes[id]
        self._tracked.note(id, None)

    def granted_since(self, offset: int) -> Generator[None, None, list[str]]:
        """Return the claims that came to a hold which was granted at an offset or after it, yielding after some.

        Nothing may be changed meanwhile.
        """
        found = []
        for number, (id, outcome) in enumerate(self._outcomes.items(), 1):
            if isinstance(outcome, Granted) and outcome.hold.token >= offset:
                found.append(id)
            if number % LOOKED_AT_AT_ONCE == 0:
                yield
        return found

    # What the projections ask of the table

    def begin_draft(self, original: "HoldOutcomes") -> None:
        """Give out the places that come after those of the original."""
        self._next_place = original._next_place

    def take(self, id: str, original: "HoldOutcomes") -> Outcome | None:
        """Take over what is known of one claim."""
        outcome = original.get(id)
        if outcome is not None:
            self._outcomes[id] = outcome
            self._over[id] = original._over.get(id, (1 << 60, -1))
        return outcome

    def replace(self, id: str, hold: Hold) -> None:
        """Have a claim be answered by a copy of the hold that it has come to."""
        self._outcomes[id] = Granted(hold)

    def note_emptied(self) -> Iterator[None]:
        """Note that nothing is known any more, yielding after some of it."""
        return self._tracked.emptied(self._outcomes)

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        for known in (self._outcomes, self._over):
            while known:
                for _ in range(min(FORGOTTEN_AT_ONCE, len(known))):
                    known.popitem()
                yield

    def rows(self, live: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Yield what is known, in rows: those of the live holds with these ids first."""
        for id in chain(live, self._over):
            yield id, self._row(id)

    def _row(self, id: str) -> tuple[Any, ...]:
        over, place = self._over.get(id, (None, -1))
        outcome = self._outcomes[id]
        if over is None and isinstance(outcome, Granted):
            place = outcome.hold.place
        return row_of(id, outcome, over, place)

    def load(self, id: str, value: Any) -> Hold | None:
        """Take in a row; return the hold, if it is a live one. Raises `ValueError` if it is no row."""
        try:
            outcome, over, place = known_of_row(id, value)
        except TypeError as error:
            raise ValueError(f"no row of a hold: {error}") from error
        self._next_place = max(self._next_place, place + 1)
        live = None
        if isinstance(outcome, str):
            known = self._outcomes.get(outcome)
            if known is None:
                self._answers.setdefault(outcome, []).append(id)
            outcome = known or Refused(0, None)
        if over is not None:
            self._over[id] = over, place
            self._outcomes[id] = outcome
        elif isinstance(outcome, Granted):
            live = outcome.hold
            live.place = place
            self.put(live)
        for answered in self._answers.pop(id, ()):
            self._outcomes[answered] = outcome
        self.note(id)
        return live
