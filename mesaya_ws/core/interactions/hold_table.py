"""The table of holds: who may have which table for a few minutes, as one partition's records decide.

`t` is the record's append time, `o` its offset. First, every live hold that the record can touch with t >= `until` has
ended (expired): so the table is right without any timer.

| record | while | what follows |
|---|---|---|
| `claim` | its id is known | nothing, but for a live hold of the same user `attached[replica] = n`; its asker is answered with the first outcome |
| `claim` | a live hold of the same user has the same tables and slot | `attached[replica] = n`; that hold is the answer, and lasts no longer than before |
| `claim` | a live hold overlaps otherwise | refused, by that hold and its `until` |
| `claim` | the user has two live holds in the restaurant | refused: too many |
| `claim` | otherwise | live: token = o, until = t + lease (at most 15 min), attached = {replica: n} |
| `release` | live, and by its user or by staff | ended: released, or abandoned |
| `release` | live, and it names a replica and n: attached[replica] = n | removed; if none is left, ended |
| `expire` | live, and t >= until | ended: expired; one that is too early is void |
| `attach` | live, by its user | `attached[replica] = n` |
| `detach` | live, and attached[replica] = n | removed; if none is left, ended: disconnected |
| `convert` | live | ended: reserved |

Two holds overlap if they have a table in common, and one has no slot, or the slots intersect. What has ended, and what
was refused, is remembered for a while (`hold_outcomes`).

A claim that is sent again, to any replica, since its answer did not come, attaches its user anew: so the replica that
was asked first cannot take back what the retry was answered with.

Append times are compared as they are. A broker whose clock is wrong shortens or lengthens the holds of that time,
equally on all replicas, and never makes two winners.
"""  # noqa: E501 - a table

from collections.abc import Iterator
from typing import Any

from mesaya_ws.core.interactions.hold import Ended, Granted, Hold, Outcome, Refused, Transition
from mesaya_ws.core.interactions.hold_outcomes import LOOKED_AT_AT_ONCE, HoldOutcomes
from mesaya_ws.core.interactions.hold_records import Claim, HoldRecord, Slot
from mesaya_ws.core.interactions.live_holds import LiveHolds, in_order
from mesaya_ws.core.state.tracking import Tracking

MAX_LEASE = 15 * 60 * 1000
"""Milliseconds that no hold exceeds, whatever its record says."""

MAX_HOLDS_OF_USER = 2
"""Live holds of one user in one restaurant."""

MAX_LIVE = 50_000
"""Live holds of all; past that, claims are refused as too many until one has ended."""


class HoldTable:
    """All holds of the partition, as of its last record; at most `max_live` are live at a time.

    What changes is noted in the `tracking`.
    """

    def __init__(self, max_live: int = MAX_LIVE, tracking: Tracking | None = None) -> None:
        self._max_live = max_live
        self._live = LiveHolds()
        self._outcomes = HoldOutcomes((tracking or Tracking()).table("hold"))
        self._original: HoldTable | None = None

    def __len__(self) -> int:
        return len(self._live)

    def outcome(self, id: str) -> Outcome | None:
        """Return what the first claim with that id has come to, if it is remembered."""
        return self._outcomes.get(id)

    def live(self, restaurant: str) -> list[Hold]:
        """Return the live holds of a restaurant, the oldest first; some may be due to expire."""
        return self._live.of_restaurant(restaurant)

    def of_user(self, user: str) -> list[Hold]:
        """Return the live holds of a user in all restaurants, the oldest first."""
        return self._live.of_user(user)

    def in_the_way(self, tables: tuple[str, ...], slot: Slot | None) -> list[Hold]:
        """Return the live holds that overlap these tables in a slot (None: as such), the oldest first."""
        return self._live.in_the_way(tables, slot)

    def all_live(self) -> Iterator[Hold]:
        """Iterate over all live holds, the oldest first."""
        return iter(self._live)

    def apply(self, said: HoldRecord, offset: int, at: int) -> list[Transition]:
        """Apply a record that was appended `at` some time (ms); return what has begun and ended, in this order."""
        if self._original is not None:
            self._take(said, self._original)
        self._outcomes.sweep(at)
        transitions = [self._end(hold, Ended.EXPIRED) for hold in self._touched(said) if at >= hold.until]
        if isinstance(said, Claim):
            begun = self._claim(said, offset, at)
            return transitions if begun is None else [*transitions, begun]
        hold = self._outcomes.live(said.id)
        if hold is None:
            return transitions
        if (ended := hold.apply(said)) is not None:
            return [*transitions, self._end(hold, ended)]
        self._outcomes.note(hold.id)
        return transitions

    def _touched(self, said: HoldRecord) -> list[Hold]:
        """Return the live holds that a record can touch: that of its id; of a claim, what decides on it, too."""
        own = self._outcomes.live(said.id)
        if not isinstance(said, Claim):
            return [] if own is None else [own]
        touched = [*self._live.in_the_way(said.tables, said.slot), *self._of_user_in(said.user, said.restaurant)]
        if own is not None:
            touched.append(own)
        return in_order({hold.id: hold for hold in touched}.values())

    def _of_user_in(self, user: str, restaurant: str) -> list[Hold]:
        return [hold for hold in self._live.of_user(user) if hold.restaurant == restaurant]

    def _claim(self, claim: Claim, offset: int, at: int) -> Transition | None:
        if self._outcomes.get(claim.id) is not None:
            known = self._outcomes.live(claim.id)
            if known is not None and known.user == claim.user:
                known.attach(claim.replica, claim.n)
                self._outcomes.note(known.id)
            return None
        lapping = self._live.in_the_way(claim.tables, claim.slot)
        for hold in lapping:
            if hold.is_same(claim):
                hold.attach(claim.replica, claim.n)
                self._outcomes.note(hold.id)
                self._outcomes.remember(claim.id, Granted(hold), hold.until)
                return None
        until = at + min(claim.lease_ms, MAX_LEASE)
        if lapping:
            self._refuse(claim, Refused(max(hold.until for hold in lapping), lapping[0].id))
            return None
        own = [hold.until for hold in self._of_user_in(claim.user, claim.restaurant)]
        if len(own) >= MAX_HOLDS_OF_USER:
            self._refuse(claim, Refused(min(own), None))
            return None
        if len(self._live) >= self._max_live:
            self._refuse(claim, Refused(until, None))
            return None
        attached = {claim.replica: claim.n}
        hold = Hold(
            claim.id,
            claim.restaurant,
            claim.tables,
            claim.slot,
            claim.user,
            offset,
            until,
            claim.replica,
            attached,
        )
        self._put(hold)
        self._outcomes.note(hold.id)
        return Transition(hold, None)

    def _put(self, hold: Hold) -> None:
        """Take in a live hold."""
        self._outcomes.put(hold)
        self._live.put(hold)

    def _refuse(self, claim: Claim, refused: Refused) -> None:
        self._outcomes.remember(claim.id, refused, refused.until)

    def _end(self, hold: Hold, ended: Ended) -> Transition:
        hold.ended = ended
        hold.attached.clear()
        self._live.remove(hold)
        self._outcomes.remember(hold.id, Granted(hold), hold.until)
        return Transition(hold, ended)

    # What the projections ask of it

    def draft(self) -> "HoldTable":
        """Return a table that knows the same, for one record that is not to change this one."""
        draft = HoldTable(self._max_live)
        draft._original = self
        draft._outcomes.begin_draft(self._outcomes)
        return draft

    def _take(self, said: HoldRecord, original: "HoldTable") -> None:
        """Take over what a record can touch."""
        outcome = self._outcomes.take(said.id, original._outcomes)
        for hold in original._touched(said):
            copy = hold.copy()
            self._put(copy)
            if isinstance(outcome, Granted) and outcome.hold is hold:
                self._outcomes.replace(said.id, copy)

    def truncate(self, next_offset: int) -> Iterator[None]:
        """Forget the holds whose claims the log has lost, yielding after some; to be done before another record.

        Others have those offsets now.
        """
        lost = yield from self._outcomes.granted_since(next_offset)
        for number, id in enumerate(lost, 1):
            hold = self._outcomes.live(id)
            if hold is not None:
                self._end(hold, Ended.EXPIRED)
            self._outcomes.forget(id)
            if number % LOOKED_AT_AT_ONCE == 0:
                yield

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        yield from self._outcomes.note_emptied()
        yield from self._live.discard()
        yield from self._outcomes.discard()

    def rows(self) -> Iterator[tuple[str, Any]]:
        """Yield what is known, in rows: their ids, and values that JSON can hold."""
        return self._outcomes.rows(hold.id for hold in self._live)

    def load(self, id: str, value: Any) -> None:
        """Take in a row; those of what is live, and the others, in their order. Raises `ValueError` if it is none."""
        hold = self._outcomes.load(id, value)
        if hold is not None:
            self._live.put(hold)
