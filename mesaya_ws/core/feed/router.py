"""What becomes of a record: the messages that it is, on which channels. One record is at most one message on a channel.

Here alone an event is applied to what is known; what it becomes, the rules of `views` decide by what was known before
and what is known after it. What happened is decided by that, not by the record's word: `created` of a known entity is
an update, an update with another status is a change of status.
"""

from collections.abc import Mapping, Sequence

from mesaya_ws.core.interactions.acknowledgements import AckRecord
from mesaya_ws.core.interactions.chat_records import ChatRecord
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entities import IMAGED
from mesaya_ws.core.platform.envelope import (
    AUTH,
    FOUND,
    Decoded,
    Event,
    Interaction,
    Rejected,
    mistyped_id,
)
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome, Steps
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.event_dependencies import DependenciesBefore, add_dependencies, dependencies_before
from mesaya_ws.core.recovery.parents import missing_parent
from mesaya_ws.core.views.acknowledgements import ack_rule
from mesaya_ws.core.views.announcements import announcement_rule
from mesaya_ws.core.views.backfill import backfill_rule
from mesaya_ws.core.views.chats import chat_rule
from mesaya_ws.core.views.floor_plan import furniture_rule, object_rule, object_rule_in_steps, section_rule
from mesaya_ws.core.views.holds import hold_rule
from mesaya_ws.core.views.images import (
    ImagesBefore,
    MovedImages,
    image_rule,
    imaged_count,
    lookup_images,
    lookup_images_in_steps,
    moved_images,
    moved_images_in_steps,
)
from mesaya_ws.core.views.menus import menu_rule
from mesaya_ws.core.views.notifications import owner_upgrade_rule, payment_rule, subscription_rule
from mesaya_ws.core.views.parts import Rule
from mesaya_ws.core.views.reservations import reservation_rule
from mesaya_ws.core.views.restaurants import restaurant_rule, restaurant_rule_in_steps, returns_with_much
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

_RULES_IN_STEPS = {"restaurant": restaurant_rule_in_steps, "object": object_rule_in_steps}


def process(event: Decoded, projections: Projections, *, alone: bool = False) -> Outcome:
    """Apply an event to `projections`, and return what is to be sent. Raises nothing, whatever the record was.

    What depends on what is only determined if others may have taken the records in another order, or not `alone`.
    """
    if not isinstance(event, Event):
        return _interaction(event, projections) if isinstance(event, Interaction) else _rejected(event)
    if projections.endings.pending:
        projections.endings.end_all()
    entity = event.entity
    if entity == AUTH:
        projections.apply_user(event)
        return Outcome((), Disposition.AUTH)
    if entity == "plan":  # nobody is shown any, and nothing depends on it: so it is not kept
        return Outcome((), Disposition.PLAN, mistyped=event.mistyped)

    dependencies = None if alone else dependencies_before(event, projections)
    images = lookup_images(event, projections) if entity in IMAGED else None
    before = projections.lookup(event)
    after = projections.apply(event)

    rule = RULES[entity] if event.what != FOUND else backfill_rule
    outcome = rule(event, before, after, projections)
    if images is not None:
        _add_moved(outcome, event, images, moved_images(images, projections), projections)
    if outcome.messages and entity != "restaurant" and projections.entities["restaurant"].gone:
        _keep_silent(outcome, _where_open(outcome.messages, projections))
    return _completed(outcome, event, dependencies, projections, is_late=after.is_late)


def _interaction(event: Interaction, projections: Projections) -> Outcome:
    said = event.said
    if isinstance(said, AckRecord):
        return ack_rule(said, event, projections)
    if isinstance(said, ChatRecord):
        return chat_rule(said, event, projections)
    return hold_rule(said, event, projections)


def _rejected(event: Rejected) -> Outcome:
    return Outcome((), event.reason, event.detail)


WIDE = frozenset({"restaurant", "section", "menu", "object"})
"""Entities of which a record can concern much that others have said (see `is_wide`)."""


def is_wide(event: Event, projections: Projections) -> bool:
    """Return whether an event about one of the `WIDE` concerns so much that others should run meanwhile."""
    if event.entity == "object":
        return len(projections.entities["section_object"].children.under("objectId", event.id)) > PARTS_AT_ONCE
    if event.entity == "restaurant":
        return returns_with_much(event, projections)
    return imaged_count(event, projections) > PARTS_AT_ONCE


def process_in_steps(event: Event, projections: Projections, *, alone: bool = False) -> Steps[Outcome]:
    """Do the same as `process` with what `is_wide`, yielding often; meanwhile, nothing may be applied."""
    yield from projections.endings.end_in_steps()
    entity = event.entity
    dependencies = None if alone else dependencies_before(event, projections)
    images = (yield from lookup_images_in_steps(event, projections)) if entity in IMAGED else None
    before = projections.lookup(event)
    after = projections.apply(event)

    rule_in_steps = _RULES_IN_STEPS.get(entity) if event.what != FOUND else None
    if rule_in_steps is not None:
        outcome = yield from rule_in_steps(event, before, after, projections)
    else:
        rule = RULES[entity] if event.what != FOUND else backfill_rule
        outcome = rule(event, before, after, projections)
    if images is not None:
        _add_moved(outcome, event, images, (yield from moved_images_in_steps(images, projections)), projections)
    if outcome.messages and entity != "restaurant" and projections.entities["restaurant"].gone:
        open_ones: list[Message] = []
        for first in range(0, len(outcome.messages), PARTS_AT_ONCE):
            open_ones += _where_open(outcome.messages[first : first + PARTS_AT_ONCE], projections)
            yield
        _keep_silent(outcome, open_ones)
    return _completed(outcome, event, dependencies, projections, is_late=after.is_late)


def _add_moved(
    outcome: Outcome, event: Event, before: ImagesBefore, moved: MovedImages, projections: Projections
) -> None:
    """Add what is said of images that have moved along."""
    if messages := moved.messages(event, before.place, projections):
        outcome.messages = [*outcome.messages, *messages]
        outcome.reason = Disposition.PUBLISHED
        outcome.parts += moved.count


def _completed(
    outcome: Outcome, event: Event, dependencies: DependenciesBefore | None, projections: Projections, *, is_late: bool
) -> Outcome:
    """Return the outcome of an event that has been applied, with what depends on what."""
    if is_late:
        outcome.reason = Disposition.LATE
    if event.mistyped:
        if not outcome.messages and (needed := mistyped_id(event)) is not None:
            outcome = Outcome((), Disposition.BAD_ID, f"The {needed} is no id, and without it nobody is concerned.")
        outcome.mistyped = event.mistyped
    if dependencies is not None:
        add_dependencies(outcome, event, dependencies, projections, is_late=is_late)
    elif not outcome.messages and (missing := missing_parent(event, projections)) is not None:
        outcome.awaits = (missing,)
    return outcome


def _where_open(messages: Sequence[Message], projections: Projections) -> list[Message]:
    """Leave out what would be said on the channels of a restaurant that is deleted: that was their last word."""
    open_ones = []
    for message in messages:
        scope, subject, *_ = message.channel.split(":")
        if scope != "restaurant" or projections.relations.is_open(subject):
            open_ones.append(message)
    return open_ones


def _keep_silent(outcome: Outcome, open_ones: list[Message]) -> None:
    """Keep silent but for the messages that are left."""
    if len(open_ones) < len(outcome.messages):
        outcome.messages = open_ones
        outcome.reason = Disposition.PUBLISHED if open_ones else Disposition.ORPHAN
