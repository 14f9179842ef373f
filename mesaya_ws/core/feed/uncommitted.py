"""Which rows of what is known the state store does not have yet: those that have changed, or all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from mesaya_ws.core.feed.checkpoint import in_pieces
from mesaya_ws.core.interactions.chat_capture import ChatCapture
from mesaya_ws.core.platform.cold import ColdCapture
from mesaya_ws.core.platform.rows import Row, encoded, known_row
from mesaya_ws.core.recovery.window_copy import TakenWindow
from mesaya_ws.core.state.interface import Changes
from mesaya_ws.core.state.tracking import Changed, Follower


@frozen
class Captured:
    """What is to be committed: `changes`, and the `rows` that are to be encoded as the entities of them.

    Of the `cold` kinds and of chat it has the indexes, too; of the `window`, what the copy lacks. Entries are of a
    `generation` of the history.
    """

    changes: Changes
    rows: Changed
    cold: Sequence[ColdCapture | ChatCapture]
    window: TakenWindow
    generation: int

    def encoded(self) -> Changes:
        """Return all of it, which may take long; any thread may do that."""
        of_known = {cold.rows.table for cold in self.cold if isinstance(cold, ColdCapture)}
        entities = {
            table: _encoded(rows, known_row if table in of_known else encoded) for table, rows in self.rows.items()
        }
        members = {name: changed for cold in self.cold for name, changed in cold.members.items() if changed}
        emptied = [name for cold in self.cold for name in cold.emptied]
        window = self.window.changes()
        return evolve(self.changes, entities=entities, members=members, emptied=emptied, window=window)


def _encoded(rows: Mapping[str, Any], encode: Callable[[Any], bytes]) -> Mapping[str, bytes | None]:
    return {id: None if value is None else encode(value) for id, value in rows.items()}


class Uncommitted:
    """What the store lacks; a `follower` says what changes. With `anew`, it is to forget first what rows it has."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.anew = True

    @property
    def pending(self) -> int:
        """How many rows the next commit would write."""
        return self._follower.pending

    def stored(self) -> None:
        """Take note that the store has all rows as they are now."""
        self._follower.take()
        self.anew = False

    def restart(self, rows: Iterator[Row]) -> Iterator[None]:
        """Have all `rows` written that are known, by a store that has none of them; yields often.

        Nothing may be committed, and nothing may change, before the last step.
        """
        self.anew = True
        self._follower.take()
        for piece in in_pieces(rows):
            for table, id, value in piece:
                self._follower.add(table, {id: value})
            yield

    def take(self) -> Changed:
        """Return what is to be committed now; if it cannot be, it is to be given back."""
        return self._follower.take()

    def committed(self) -> None:
        """Take note that what was taken has been committed."""
        self.anew = False

    def give_back(self, taken: Changed) -> None:
        """Keep for the next commit what could not be committed."""
        self._follower.give_back(taken)
