"""Table holds: their records, and what `:tables` and `:reservations` show of them.

Everybody sees that tables are held, and until when; who holds them, and the hold's id, only the restaurant sees.

One record is at most one message on a channel. A claim can find that other holds have come to their end before it:
these are in the list `released` (`ended`, for the restaurant) of the same message.
"""

from collections.abc import Sequence

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.interactions.hold import Ended, Hold, Transition
from mesaya_ws.core.interactions.hold_records import Attach, Convert, Detach, HoldRecord, Slot
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Interaction, platform_time
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections


def hold_rule(said: HoldRecord, event: Interaction, projections: Projections) -> Outcome:
    """Apply a record of holds, and return what it says to everybody and to the restaurant."""
    at, partition, offset = event.at
    if partition != 0:  # one partition decides, or each could have a winner
        return Outcome((), Disposition.VOID)
    transitions = projections.holds.apply(said, offset, at)
    messages: list[Message] = []
    for restaurant in dict.fromkeys(each.hold.restaurant for each in transitions):
        if projections.relations.is_open(restaurant):
            own = [each for each in transitions if each.hold.restaurant == restaurant]
            messages += _messages(restaurant, own, said, event, projections)
    changes_nothing = not transitions and not isinstance(said, Attach | Detach)
    return outcome_of(messages, otherwise=Disposition.VOID if changes_nothing else Disposition.PUBLISHED)


def _messages(
    restaurant: str, transitions: Sequence[Transition], said: HoldRecord, event: Interaction, projections: Projections
) -> tuple[Message, Message]:
    """Return what a restaurant's holds that have begun or ended are, on its two channels."""
    now = event.at[0]
    *others, last = transitions
    public, private = _shown(last, said, now, projections)
    if others:
        shown = [_shown(each, said, now, projections) for each in others]
        public["released"] = [each for each, _ in shown]
        private["ended"] = [each for _, each in shown]
    begins = last.ended is None
    what, what_of_it = ("table.selecting", "hold.created") if begins else ("table.released", "hold.ended")
    return (
        Message(restaurant_channel(restaurant, "tables"), what, event.timestamp, public),
        Message(restaurant_channel(restaurant, "reservations"), what_of_it, event.timestamp, private),
    )


def _shown(transition: Transition, said: HoldRecord, now: int, projections: Projections) -> tuple[Data, Data]:
    """Return what everybody sees of a hold that has begun or ended, and what the restaurant sees."""
    hold, ended = transition
    if ended is None:
        return held(hold, now), held_by(hold, now, projections)
    public = {"tableIds": hold.tables, **slot_shown(hold.slot), "reason": ended}
    private = {"holdId": hold.id, **_holder(hold, projections), **public}
    if isinstance(said, Convert) and ended is Ended.RESERVED:  # it may have come after the hold's time
        private["reservationId"] = said.reservation
    return public, private


def held(hold: Hold, now: int) -> Data:
    """Return a live hold as everybody sees it at the time `now` (ms, of the log)."""
    return {"tableIds": hold.tables, **slot_shown(hold.slot), **end_shown(hold.until, now)}


def held_by(hold: Hold, now: int, projections: Projections) -> Data:
    """Return a live hold as its restaurant sees it."""
    return {"holdId": hold.id, **_holder(hold, projections), "token": hold.token, **held(hold, now)}


def _holder(hold: Hold, projections: Projections) -> Data:
    return {"userId": hold.user, "clientName": projections.names.get(hold.user)}


def slot_shown(slot: Slot | None) -> Data:
    """Return from when to when tables are held; both null: as such."""
    if slot is None:
        return {"from": None, "to": None}
    return {"from": platform_time(slot.start), "to": platform_time(slot.end)}


def end_shown(until: int, now: int) -> Data:
    """Return when something ends, by the log's clock, and in how many seconds."""
    return {"expiresAt": platform_time(until), "expiresIn": seconds_until(until, now)}


def seconds_until(until: int, now: int) -> float:
    """Return how many seconds are left at the time `now`, 0 if it has come; both in ms of the log's time."""
    return max(0, until - now) / 1000


def holds_shown(restaurant: str, now: int, projections: Projections) -> list[Data]:
    """Return the live holds of a restaurant as everybody sees them."""
    return [held(hold, now) for hold in projections.holds.live(restaurant)]


def holds_shown_to_restaurant(restaurant: str, now: int, projections: Projections) -> list[Data]:
    """Return the live holds of a restaurant as it sees them."""
    return [held_by(hold, now, projections) for hold in projections.holds.live(restaurant)]
