"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

Here alone an event is applied to what is known; what it becomes, the rules of `views` decide by what was known before
and what is known after it. What happened is decided by that, not by the record's word: `created` of a known entity is
an update, an update with another status is a change of status.
"""

from collections.abc import Mapping

from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import AUTH, FOUND, Disposition, Event, Rejected, mistyped_id
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.parents import add_dependencies, look_before, missing_parent
from mesaya_ws.core.views.announcements import announcement_rule
from mesaya_ws.core.views.backfill import backfill_rule
from mesaya_ws.core.views.floor_plan import furniture_rule, object_rule, section_rule
from mesaya_ws.core.views.images import image_rule, lookup_images, moved_images
from mesaya_ws.core.views.menus import menu_rule
from mesaya_ws.core.views.notifications import owner_upgrade_rule, payment_rule, subscription_rule
from mesaya_ws.core.views.parts import Rule
from mesaya_ws.core.views.reservations import reservation_rule
from mesaya_ws.core.views.restaurants import restaurant_rule
from mesaya_ws.core.views.reviews import review_rule

RULES: Mapping[str, Rule] = {
    "restaurant": restaurant_rule,
    "section": section_rule,
    "table": furniture_rule,
    "object": object_rule,
    "section_object": furniture_rule,
    "menu": menu_rule,
    "dish": menu_rule,
    "review": review_rule,
    "image": image_rule,
    "reservation": reservation_rule,
    "payment": payment_rule,
    "subscription": subscription_rule,
    "owner_upgrade": owner_upgrade_rule,
    "announcement": announcement_rule,
}
"""The rule for each kind of entity that channels show."""


def process(event: Event | Rejected, projections: Projections, *, alone: bool = False) -> Outcome:
    """Apply an event to `projections`, and return what is to be sent. Raises nothing, whatever the record was.

    What depends on what is only looked for if others may have taken the records in another order, or not `alone`.
    """
    if isinstance(event, Rejected):
        return Outcome((), event.reason, event.detail)
    if projections.ending:
        projections.end_all_parts()
    entity = event.entity
    if entity == AUTH:
        projections.apply_user(event)
        return Outcome((), Disposition.AUTH)
    if entity == "plan":  # nobody is shown any, and nothing depends on it: so it is not kept
        return Outcome((), Disposition.PLAN, mistyped=event.mistyped)

    dependencies = None if alone else look_before(event, projections)
    images = lookup_images(event, projections) if entity in IMAGED else None
    before = projections.lookup(event)
    after = projections.apply(event)

    rule = RULES[entity] if event.what != FOUND else backfill_rule
    outcome = rule(event, before, after, projections)
    if images is not None and (moved := moved_images(event, images, projections)):
        outcome.messages = [*outcome.messages, *moved]
        outcome.reason = Disposition.PUBLISHED
    if outcome.messages and entity != "restaurant" and projections.entities["restaurant"].gone:
        _keep_silent_where_closed(outcome, projections)
    if after.is_late:
        outcome.reason = Disposition.LATE
    if event.mistyped:
        if not outcome.messages and (needed := mistyped_id(event)) is not None:
            outcome = Outcome((), Disposition.BAD_ID, f"The {needed} is no id, and without it nobody is concerned.")
        outcome.mistyped = event.mistyped
    if dependencies is not None:
        add_dependencies(outcome, event, dependencies, projections, is_late=after.is_late)
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
