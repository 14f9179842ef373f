"""What becomes of a record about something that belongs to one restaurant: menus, dishes, reviews, tables, images."""

from collections.abc import Callable

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections

Rule = Callable[[Event, Before, After, Projections], Outcome]
"""Returns what an event becomes, which has been applied to the projections; a rule changes nothing."""


def part_rule(kind: str, belongs_by: str = "restaurantId", otherwise: Disposition = Disposition.ORPHAN) -> Rule:
    """Return the rule for what belongs to one restaurant, which sees it on its channel of that kind.

    `belongs_by` is the field on which it depends which one that is.
    """

    def rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
        entity, timestamp = event.entity, event.timestamp
        former, data = before.data, after.data
        here = projections.relations.place(entity, data)
        if former is not None and former.get(belongs_by) == data.get(belongs_by):
            left = here
        else:
            # It has moved; where its former parent is, this record does not change.
            left = projections.relations.place(entity, former)
        if not after.exists:
            if after.is_late and former is None:
                return outcome_of((), otherwise)
            return outcome_of(
                [
                    Message(restaurant_channel(place, kind), f"{entity}.deleted", timestamp, data)
                    for place in dict.fromkeys((left, here))
                    if place is not None
                ],
                otherwise,
            )
        messages = []
        if left is not None and left != here:
            messages.append(Message(restaurant_channel(left, kind), f"{entity}.deleted", timestamp, former or data))
        if here is not None:
            is_new = former is None and event.what == "created" and not after.is_late
            what = "created" if is_new or (left is not None and left != here) else "updated"
            messages.append(Message(restaurant_channel(here, kind), f"{entity}.{what}", timestamp, data))
        return outcome_of(messages, otherwise)

    return rule
