"""One hold: who may have which tables, for how long, and through which replicas its user is connected."""

from enum import StrEnum
from typing import NamedTuple

from attrs import define, evolve, field

from mesaya_ws.core.interactions.hold_records import (
    ABANDONED,
    Attach,
    Claim,
    Convert,
    Detach,
    HoldRecord,
    Release,
    Slot,
)

MAX_ATTACHED = 100
"""Replicas that a hold's user can be connected to; past that, the first one gives way."""


class Ended(StrEnum):
    """Why a hold has ended."""

    RELEASED = "released"
    EXPIRED = "expired"
    DISCONNECTED = "disconnected"
    RESERVED = "reserved"
    ABANDONED = "abandoned"


def intersect(one: Slot | None, other: Slot | None) -> bool:
    """Return whether two slots have a time in common; None: the table as such, at any time."""
    return one is None or other is None or (one.start < other.end and other.start < one.end)


@define(eq=False)
class Hold:
    """A hold: live, or `ended` for a reason. `until` is ms of the log's time; `token` is the offset of its claim.

    `attached` has, by replica, the number of the last record by which its user was connected there. `place` is its own
    in the order in which holds were granted.
    """

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
    place: int = -1

    def apply(self, said: HoldRecord) -> Ended | None:
        """Apply a record that names this hold, which is live; return why the hold ends with it, None if it does not.

        `expire` is void here: a hold whose time has come has ended before.
        """
        match said:
            case Release(_, by, reason, replica, n) if by is None or by == self.user:
                if replica is None or self.detach(replica, n):
                    return Ended.ABANDONED if reason == ABANDONED else Ended.RELEASED
            case Attach(_, user, replica, n) if user == self.user:
                self.attach(replica, n)
            case Detach(_, replica, n) if self.detach(replica, n):
                return Ended.DISCONNECTED
            case Convert():
                return Ended.RESERVED
        return None

    def attach(self, replica: str, n: int) -> None:
        """Note that the user is connected through a replica."""
        self.attached.pop(replica, None)
        self.attached[replica] = n
        if len(self.attached) > MAX_ATTACHED:
            del self.attached[next(iter(self.attached))]

    def detach(self, replica: str, n: int) -> bool:
        """Note that the user is not, unless that came after number `n`; return whether no connection is left."""
        if self.attached.get(replica) != n:
            return False
        del self.attached[replica]
        return not self.attached

    def is_same(self, claim: Claim) -> bool:
        """Return whether a claim is for what its user holds already."""
        return (self.user, self.restaurant, self.tables, self.slot) == (
            claim.user,
            claim.restaurant,
            claim.tables,
            claim.slot,
        )

    def overlaps(self, tables: tuple[str, ...], slot: Slot | None) -> bool:
        """Return whether there is a table in common, and one has no slot, or the slots intersect."""
        if self.tables != tables and set(self.tables).isdisjoint(tables):
            return False
        return intersect(self.slot, slot)

    def copy(self) -> "Hold":
        """Return the same hold, for one who may change it."""
        return evolve(self, attached=dict(self.attached))


class Granted(NamedTuple):
    """The claim was granted, or is answered by a hold that the user has already."""

    hold: Hold


class Refused(NamedTuple):
    """The claim was refused: another hold stands until then; or, without one (`by`), there are too many."""

    until: int
    by: str | None


Outcome = Granted | Refused


class Transition(NamedTuple):
    """A hold that has begun, or ended, with this record."""

    hold: Hold
    ended: Ended | None
