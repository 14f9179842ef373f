"""What a log already says of an evening: where each table stands, so that the evening can go on from there."""

from typing import NamedTuple

from attrs import define

from mesaya_ws.core.platform.envelope import AUTH, Event
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.demo.records import Fields

DOMAINS = ("auth", "restaurants", "sections", "tables", "menus", "reservations", "payments")
"""The domains that `Adopted.adopt` needs the records of, in this order."""

OPEN = frozenset({"pending", "confirmed", "checked_in", "completed"})
"""Statuses of reservations that may not be over."""

RESERVATIONS_KEPT = 8
"""Reservations of one table that the last records are kept of: a log in several parts is not read in order."""


@define
class _Last:
    """The last record of an entity, and where it stands."""

    at: At
    data: Fields


class Standing(NamedTuple):
    """The status of a table, and its reservation that is not over, with the last payment of that."""

    status: str
    reservation: Fields | None
    payment: Fields | None


class Adopted:
    """The last record of each of the `tables`, by id, of their reservations, and of the payments of those.

    `known` are the ids of all else that stands already.
    """

    def __init__(self, tables: frozenset[str]) -> None:
        self._ids = tables
        self.known: set[str] = set()
        self._tables: dict[str, _Last] = {}
        self._reservations: dict[str, dict[str, _Last]] = {}
        self._payments: dict[str, dict[str, _Last]] = {}

    def adopt(self, event: Event) -> None:
        """Note what the log already says; in the order of `DOMAINS`, and within one in any order."""
        if event.entity in (AUTH, "restaurant", "section", "menu"):
            self.known.add(event.id) if event.what != "deleted" else self.known.discard(event.id)
        elif event.entity == "table" and event.id in self._ids:
            self.known.add(event.id)
            _keep(self._tables, event.id, event)
        elif event.entity == "reservation" and event.data.get("tableId") in self._ids:
            _keep(self._reservations.setdefault(event.data["tableId"], {}), event.id, event)
            # One at a time: of those before the last one that began, nothing more is to come.
            kept = self._reservations[event.data["tableId"]]
            if len(kept) > RESERVATIONS_KEPT:
                del kept[min(kept, key=lambda one: kept[one].at)]
        elif event.entity == "payment":
            of = event.data.get("reservationId")
            if of is not None and any(of in kept for kept in self._reservations.values()):
                _keep(self._payments.setdefault(of, {}), event.id, event)

    def standing(self, table: str) -> Standing:
        """Return where a table stands."""
        last = self._tables.get(table)
        status = "AVAILABLE" if last is None else str(last.data.get("status", "available")).upper()
        id = _newest(kept := self._reservations.get(table, {}))
        if id is None:
            return Standing(status, None, None)
        word = kept[id].data.get("status")
        if word not in OPEN or (word == "completed" and status == "AVAILABLE"):
            return Standing(status, None, None)
        reservation = {"id": id, **kept[id].data, "status": str(word).upper()}
        reservation.pop("reservationId", None)
        return Standing(status, reservation, self._payment_of(id))

    def _payment_of(self, reservation: str) -> Fields | None:
        id = _newest(kept := self._payments.get(reservation, {}))
        if id is None:
            return None
        payment = {**kept[id].data, "paymentId": id}
        payment["paymentStatus"] = str(payment.get("paymentStatus", "pending")).upper()
        return payment


def _newest(kept: dict[str, _Last]) -> str | None:
    return max(kept, key=lambda one: kept[one].at, default=None)


def _keep(last: dict[str, _Last], id: str, event: Event) -> None:
    """Keep the data of an event if it is the last one of that entity; what it leaves out stays."""
    known = last.get(id)
    if known is None:
        last[id] = _Last(event.at, dict(event.data))
    elif event.at >= known.at:
        last[id] = _Last(event.at, known.data | event.data)
