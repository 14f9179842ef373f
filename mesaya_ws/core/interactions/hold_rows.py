"""What is kept of the table of holds: a row for each claim, by its id, whose place in their order comes last.

| row | what |
|---|---|
| `restaurant, tables, slot, user, token, until, replica, attached, ended, over, place` | the claim was granted |
| `hold, over, place` | it was answered by another hold of the same user |
| `until, by, over, place` | it was refused |

`over` is until when it is remembered after it is over; null: it is live.
"""

from typing import Any, NamedTuple

from mesaya_ws.core.interactions.hold import Ended, Granted, Hold, Outcome, Refused
from mesaya_ws.core.interactions.hold_records import Slot

_ANSWERED, _REFUSED = 3, 4


class Known(NamedTuple):
    """What is known of a claim: its outcome, or by which hold it was answered; and its `place` in the order of all."""

    outcome: Outcome | str
    over: int | None
    place: int


def row_of(id: str, outcome: Outcome, over: int | None, place: int) -> tuple[Any, ...]:
    """Return the row of a claim, as values that JSON can hold and that never change."""
    if isinstance(outcome, Refused):
        return outcome.until, outcome.by, over, place
    hold = outcome.hold
    if hold.id != id:
        return hold.id, over, place
    return (
        hold.restaurant,
        hold.tables,
        None if hold.slot is None else tuple(hold.slot),
        hold.user,
        hold.token,
        hold.until,
        hold.replica,
        tuple(hold.attached.items()),
        hold.ended,
        over,
        place,
    )


def known_of_row(id: str, row: Any) -> Known:
    """Return what a row says. Raises `TypeError` or `ValueError` if it is none."""
    *rest, over, place = row
    if (over is not None and type(over) is not int) or type(place) is not int:
        raise ValueError("no row of a hold")
    if len(row) == _ANSWERED and type(row[0]) is str:
        return Known(row[0], over, place)
    if len(row) == _REFUSED:
        until, by = rest
        return Known(Refused(int(until), by), over, place)
    restaurant, tables, slot, user, token, until, replica, attached, ended = rest
    wanted = None if slot is None else Slot(*slot)
    reason = None if ended is None else Ended(ended)
    if (reason is None) != (over is None):
        raise ValueError("a hold is live, or it is over")
    numbers = {str(name): int(n) for name, n in attached}
    hold = Hold(id, restaurant, tuple(tables), wanted, user, int(token), int(until), replica, numbers, reason)
    return Known(Granted(hold), over, place)
