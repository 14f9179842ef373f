"""The table of holds: who may have which table for a few minutes, as one partition's records decide.

`t` is the record's append time, `o` its offset. First, every live hold that the record can touch with t >= `until` has
ended (expired): so the table is right without any timer.

| record | while | what follows |
|---|---|---|
| `claim` | its id is known | nothing: its asker is answered with the first outcome |
| `claim` | a live hold of the same user has the same tables and slot | `attached[replica] = n`; that hold is the answer, and lasts no longer than before |
| `claim` | a live hold overlaps otherwise | refused, by that hold and its `until` |
| `claim` | the user has two live holds in the restaurant | refused: too many |
| `claim` | otherwise | live: token = o, until = t + lease (at most 15 min), attached = {replica: n} |
| `release` | live, and by its user or by staff | ended: released, or abandoned |
| `expire` | live, and t >= until | ended: expired; one that is too early is void |
| `attach` | live, by its user | `attached[replica] = n` |
| `detach` | live, and attached[replica] = n | removed; if none is left, ended: disconnected |
| `convert` | live | ended: reserved |

Two holds overlap if they have a table in common, and one has no slot, or the slots intersect. What has ended, and what
was refused, is remembered until `MEMORY` of the log's time after its `until`.

Append times are compared as they are. A broker whose clock is wrong shortens or lengthens the holds of that time,
equally on all replicas, and never makes two winners.
"""  # noqa: E501 - a table

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from attrs import define, field

from mesaya_ws.core.interactions.hold_records import (
    ABANDONED,
    Attach,
    Claim,
    Convert,
    Detach,
    Expire,
    HoldRecord,
    Release,
    Slot,
)

MAX_LEASE = 15 * 60 * 1000
"""Milliseconds that no hold exceeds, whatever its record says."""

MAX_HOLDS_OF_USER = 2
"""Live holds of one user in one restaurant."""

MEMORY = 10 * 60 * 1000
"""Milliseconds of log time for which ended holds and refused claims are remembered."""

MAX_REMEMBERED = 100_000
"""Ended holds and refused claims; past that, the oldest give way."""

MAX_ATTACHED = 100
"""Replicas that a hold's user can be connected to; past that, the first one gives way."""

SWEPT_AT_ONCE = 4
"""What one record makes forget at most, more than it can add."""


class Ended(StrEnum):
    """Why a hold has ended."""

    RELEASED = "released"
    EXPIRED = "expired"
    DISCONNECTED = "disconnected"
    RESERVED = "reserved"
    ABANDONED = "abandoned"


@define(eq=False)
class Hold:
    """A hold: live, or `ended` for a reason. `until` is ms of the log's time."""

    id: str
    restaurant: str
    tables: tuple[str, ...]
    slot: Slot | None
    user: str
    token: int
    until: int
    replica: str
    attached: dict[str, int] = field(factory=dict)
    ended: Ended | None = None


class Granted(NamedTuple):
    """The claim was granted, or is answered by a hold that the user has already."""

    hold: Hold


class Refused(NamedTuple):
    """The claim was refused: another hold stands until then; or, without one, the user has too many."""

    until: int
    by: str | None


Outcome = Granted | Refused


class Transition(NamedTuple):
    """A hold that has begun, or ended, with this record."""

    hold: Hold
    ended: Ended | None


class HoldTable:
    """All holds of the partition, as of its last record."""

    def __init__(self) -> None:
        self._live: dict[str, dict[str, Hold]] = {}
        # By hold id, what its first claim came to.
        self._outcomes: dict[str, Outcome] = {}
        # By hold id, until when it is remembered after it is over; the order in which it was decided.
        self._over: dict[str, int] = {}

    def outcome(self, id: str) -> Outcome | None:
        """Return what the first claim with that id has come to, if it is remembered."""
        return self._outcomes.get(id)

    def live(self, restaurant: str) -> list[Hold]:
        """Return the live holds of a restaurant, the oldest first; some may be due to expire."""
        return list(self._live.get(restaurant, {}).values())

    def all_live(self) -> Iterator[Hold]:
        """Iterate over all live holds."""
        for holds in self._live.values():
            yield from holds.values()

    def apply(self, said: HoldRecord, offset: int, at: int) -> list[Transition]:
        """Apply a record that was appended `at` some time (ms); return what has begun and ended, in this order."""
        self._sweep(at)
        transitions = [self._end(hold, Ended.EXPIRED) for hold in self._touched(said) if at >= hold.until]
        if isinstance(said, Claim):
            begun = self._claim(said, offset, at)
            return transitions if begun is None else [*transitions, begun]
        hold = self._get(said.id)
        if hold is None:
            return transitions
        match said:
            case Release(_, by, reason) if by is None or by == hold.user:
                transitions.append(self._end(hold, Ended.ABANDONED if reason == ABANDONED else Ended.RELEASED))
            case Attach(_, user, replica, n) if user == hold.user:
                _attach(hold, replica, n)
            case Detach(_, replica, n) if hold.attached.get(replica) == n:
                del hold.attached[replica]
                if not hold.attached:
                    transitions.append(self._end(hold, Ended.DISCONNECTED))
            case Convert():
                transitions.append(self._end(hold, Ended.RESERVED))
            case Expire() | _:
                pass  # it has ended above, or it was too early
        return transitions

    def _touched(self, said: HoldRecord) -> list[Hold]:
        """Return the live holds that a record can touch: that of its id; of a claim, all of the restaurant."""
        if isinstance(said, Claim):
            return self.live(said.restaurant)
        hold = self._get(said.id)
        return [] if hold is None else [hold]

    def _get(self, id: str) -> Hold | None:
        outcome = self._outcomes.get(id)
        return outcome.hold if isinstance(outcome, Granted) and outcome.hold.ended is None else None

    def _claim(self, claim: Claim, offset: int, at: int) -> Transition | None:
        if claim.id in self._outcomes:
            return None
        live = self._live.get(claim.restaurant, {}).values()
        lapping = [hold for hold in live if _overlap(hold, claim)]
        for hold in lapping:
            if (hold.user, hold.tables, hold.slot) == (claim.user, claim.tables, claim.slot):
                _attach(hold, claim.replica, claim.n)
                self._outcomes[claim.id] = Granted(hold)
                self._over[claim.id] = hold.until + MEMORY
                return None
        if lapping:
            self._refuse(claim, Refused(max(hold.until for hold in lapping), lapping[0].id))
            return None
        own = [hold.until for hold in live if hold.user == claim.user]
        if len(own) >= MAX_HOLDS_OF_USER:
            self._refuse(claim, Refused(min(own), None))
            return None
        hold = Hold(
            claim.id,
            claim.restaurant,
            claim.tables,
            claim.slot,
            claim.user,
            offset,
            at + min(claim.lease_ms, MAX_LEASE),
            claim.replica,
            {claim.replica: claim.n},
        )
        self._outcomes[claim.id] = Granted(hold)
        self._live.setdefault(claim.restaurant, {})[claim.id] = hold
        return Transition(hold, None)

    def _refuse(self, claim: Claim, refused: Refused) -> None:
        self._outcomes[claim.id] = refused
        self._over[claim.id] = refused.until + MEMORY

    def _end(self, hold: Hold, ended: Ended) -> Transition:
        hold.ended = ended
        hold.attached.clear()
        holds = self._live[hold.restaurant]
        del holds[hold.id]
        if not holds:
            del self._live[hold.restaurant]
        self._over[hold.id] = hold.until + MEMORY
        return Transition(hold, ended)

    def _sweep(self, at: int) -> None:
        """Forget what is over for long enough, or too much, a little with each record."""
        too_many = max(0, len(self._over) - MAX_REMEMBERED)
        for number, (id, until) in enumerate(list(islice(self._over.items(), SWEPT_AT_ONCE))):
            if at < until and number >= too_many:
                return
            del self._over[id], self._outcomes[id]


def _attach(hold: Hold, replica: str, n: int) -> None:
    hold.attached.pop(replica, None)
    hold.attached[replica] = n
    if len(hold.attached) > MAX_ATTACHED:
        del hold.attached[next(iter(hold.attached))]


def _overlap(hold: Hold, claim: Claim) -> bool:
    if hold.tables != claim.tables and not set(hold.tables) & set(claim.tables):
        return False
    if hold.slot is None or claim.slot is None:
        return True
    return hold.slot.start < claim.slot.end and claim.slot.start < hold.slot.end
