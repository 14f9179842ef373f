"""What becomes of a record about something that belongs to one restaurant: menus, dishes, reviews, tables, images."""

from collections.abc import Callable

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.platform.envelope import Disposition, Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.status import effective_action


def part_rule(kind: str, otherwise: Disposition = Disposition.ORPHAN) -> Callable[[Event, Projections], Outcome]:
    """Return the rule for what belongs to one restaurant, which sees it on its channel of that kind."""

    def rule(event: Event, projections: Projections) -> Outcome:
        entity, timestamp = event.entity, event.timestamp
        left = projections.place(entity, projections.shelves[entity].alive.get(event.id))
        folded = projections.fold(event)
        before, data = folded.before, folded.data
        if not folded.exists:
            if folded.is_late and before is None:
                return outcome_of((), otherwise)
            here = projections.place(entity, data)
            return outcome_of(
                [
                    Message(restaurant_channel(place, kind), f"{entity}.deleted", timestamp, data)
                    for place in dict.fromkeys((left, here))
                    if place is not None
                ],
                otherwise,
            )
        here = projections.place(entity, data)
        messages = []
        if before is not None and left is not None and left != here:
            messages.append(Message(restaurant_channel(left, kind), f"{entity}.deleted", timestamp, before))
        if here is not None:
            what = effective_action(event, folded)[0]
            if left != here and left is not None:
                what = "created"
            elif what == "status_changed":
                what = "updated"
            messages.append(Message(restaurant_channel(here, kind), f"{entity}.{what}", timestamp, data))
        return outcome_of(messages, otherwise)

    return rule
