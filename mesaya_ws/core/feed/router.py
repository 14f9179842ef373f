"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

What happened is judged by what is known, not by the record's word: `created` of a known entity is an update, an update
with another status is a change of status.
"""

from collections.abc import Callable, Mapping

from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import AUTH, FOUND, Disposition, Event, Rejected, mistyped_id
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.parents import add_dependencies, look_before, missing_parent
from mesaya_ws.core.views.backfill import route_backfill
from mesaya_ws.core.views.floor_plan import route_object, route_section
from mesaya_ws.core.views.images import images_along, moved_along
from mesaya_ws.core.views.notifications import route_owner_upgrade, route_payment, route_subscription
from mesaya_ws.core.views.parts import part_rule
from mesaya_ws.core.views.reservations import route_reservation
from mesaya_ws.core.views.restaurants import route_restaurant
from mesaya_ws.core.views.status import message_type


def route(event: Event | Rejected, projections: Projections, *, alone: bool = False) -> Outcome:
    """Fold an event into `projections`, and return what is to be sent. Raises nothing, whatever the record was.

    What depends on what is only looked for if others may have taken the records in another order, or not `alone`.
    """
    if isinstance(event, Rejected):
        return Outcome((), event.reason, event.detail)
    if projections.ending:
        projections.end_all_parts()
    if event.entity == AUTH:
        projections.fold_user(event)
        return Outcome((), Disposition.AUTH)
    before = None if alone else look_before(event, projections)
    projections.is_late = False
    along = images_along(event, projections) if event.entity in IMAGED else None
    outcome = (route_backfill if event.what == FOUND else _ROUTES[event.entity])(event, projections)
    if along is not None and (moved := moved_along(event, along, projections)):
        outcome.messages = [*outcome.messages, *moved]
        outcome.reason = Disposition.PUBLISHED
    if outcome.messages and projections.shelves["restaurant"].gone and event.entity != "restaurant":
        _keep_silent_where_closed(outcome, projections)
    if projections.is_late:
        outcome.reason = Disposition.LATE
    if event.mistyped:
        if not outcome.messages and (needed := mistyped_id(event)) is not None:
            outcome = Outcome((), Disposition.BAD_ID, f"The {needed} is no id, and without it nobody is concerned.")
        outcome.mistyped = event.mistyped
    if before is not None:
        add_dependencies(outcome, event, before, projections)
    elif not outcome.messages and (missing := missing_parent(event, projections)) is not None:
        outcome.awaits = (missing,)
    return outcome


def _keep_silent_where_closed(outcome: Outcome, projections: Projections) -> None:
    """Keep silent on the channels of a restaurant that is deleted: that was their last word."""
    open_ones = []
    for message in outcome.messages:
        scope, subject, *_ = message.channel.split(":")
        if scope != "restaurant" or projections.is_open(subject):
            open_ones.append(message)
    if len(open_ones) < len(outcome.messages):
        outcome.messages = open_ones
        outcome.reason = Disposition.PUBLISHED if open_ones else Disposition.ORPHAN


# Restaurants


# Reservations, and what is paid


# The rest


def _route_announcement(event: Event, projections: Projections) -> Outcome:
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    return outcome_of([Message("global:announcements", message_type(event, folded), event.timestamp, folded.data)])


def _route_plan(_: Event, __: Projections) -> Outcome:
    return Outcome((), Disposition.PLAN)


_ROUTES: Mapping[str, Callable[[Event, Projections], Outcome]] = {
    "restaurant": route_restaurant,
    "section": route_section,
    "table": part_rule("tables"),
    "object": route_object,
    "section_object": part_rule("tables"),
    "menu": part_rule("menu"),
    "dish": part_rule("menu"),
    "review": part_rule("reviews"),
    "image": part_rule("info", otherwise=Disposition.UNPLACED),
    "reservation": route_reservation,
    "payment": route_payment,
    "subscription": route_subscription,
    "owner_upgrade": route_owner_upgrade,
    "plan": _route_plan,
    "announcement": _route_announcement,
}
