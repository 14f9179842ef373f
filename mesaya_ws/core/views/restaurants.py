"""Restaurants: their records, and what `global:restaurants` and `:info` show."""

from collections.abc import Callable, Mapping

from mesaya_ws.core.access.channels import RESTAURANT_KINDS, restaurant_channel, user_channel
from mesaya_ws.core.access.rights import is_private
from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import OWNER_REASSIGNED, Event
from mesaya_ws.core.platform.fields import PRIVATE
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome, Steps, at_once, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import ChannelState, Contents, Derived, Unread, View, alive_under
from mesaya_ws.core.views.floor_plan import plan_contents
from mesaya_ws.core.views.images import image_contents, info_size
from mesaya_ws.core.views.menus import menu_contents
from mesaya_ws.core.views.reservations import reservation_contents
from mesaya_ws.core.views.reviews import review_contents
from mesaya_ws.core.views.status import effective_action, with_status_change

_CONTENTS: Mapping[str, Callable[[str, Projections], Contents]] = {
    "tables": plan_contents,
    "menu": menu_contents,
    "reviews": review_contents,
    "info": image_contents,
    "reservations": reservation_contents,
}


def restaurant_rule(event: Event, before: Before, after: After, projections: Projections) -> Outcome:
    """Return what a restaurant says on its own channels, in the list of all, and to its owners."""
    return at_once(restaurant_rule_in_steps(event, before, after, projections))


def returns_with_much(event: Event, projections: Projections) -> bool:
    """Return whether an event lets a restaurant be there again, after its end, with many parts."""
    if event.what == "deleted":
        newest = projections.entities["restaurant"].newest(event.id)
        returns = newest is not None and event.at < newest
    else:
        returns = not projections.relations.is_open(event.id)
    return returns and (
        info_size(event.id, projections, PARTS_AT_ONCE) > PARTS_AT_ONCE
        or projections.schedule.count_since(event.id, "", PARTS_AT_ONCE + 1) > PARTS_AT_ONCE
    )


def restaurant_rule_in_steps(event: Event, before: Before, after: After, projections: Projections) -> Steps[Outcome]:
    """Do the same as `restaurant_rule`, yielding after some of what comes with a restaurant."""
    id, timestamp = event.id, event.timestamp
    if after.is_late and not after.exists:
        return outcome_of(())
    what, previous = effective_action(event, before, after)
    shown, owner = with_status_change(what, previous, after.data), projections.owner(id)
    if owner is not None and shown.get("ownerId") != owner:
        shown = shown | {"ownerId": owner}
    public = _public(shown)
    messages = [Message("global:restaurants", f"restaurant.{what}", timestamp, public)]
    # It had ended, and exists again: its channels begin anew, with what belongs to it.
    parts = 0
    begins = after.exists and (not before.is_open or event.what == "deleted")
    for kind in RESTAURANT_KINDS.values() if begins or what == "deleted" else (RESTAURANT_KINDS["info"],):
        suited = shown if is_private(kind.name) else public
        if begins:
            contents = yield from _read(_CONTENTS[kind.name](id, projections))
            parts += sum(map(_length, contents.values()))
            suited = suited | contents
        elif (
            what != "deleted"
            and before.data is None
            and (images := alive_under("image", "entityId", (id,), projections))
        ):
            # Those that came before it have been published nowhere yet.
            parts = len(images)
            suited = suited | {"images": images}
        messages.append(Message(restaurant_channel(id, kind.name), f"restaurant.{what}", timestamp, suited))
    if what == "deleted":
        return outcome_of(messages)
    former = before.owner if before.data is not None else None
    is_reassigned = event.metadata.get("action") == OWNER_REASSIGNED and not after.is_late
    if is_reassigned or (former is not None and former != owner):
        owners = [user_channel(user) for user in dict.fromkeys((former, owner)) if user is not None]
        messages += [Message(channel, "restaurant.owner_changed", timestamp, shown) for channel in owners]
        return outcome_of(messages, reparented=owners, parts=parts)
    if what == "status_changed" and owner is not None:
        messages.append(Message(user_channel(owner), "restaurant.status_changed", timestamp, shown))
    return outcome_of(messages, parts=parts)


def _read(contents: Contents) -> Steps[dict[str, list[Data] | Derived]]:
    read: dict[str, list[Data] | Derived] = {}
    for name, members in contents.items():
        if isinstance(members, Unread):
            for _ in members.reading:
                yield
            members = members.entities
        if isinstance(members, Derived) and len(members.entities) <= PARTS_AT_ONCE:
            read[name] = [shown for each in members.entities if (shown := members.derive(each)) is not None]
        else:
            read[name] = members
    return read


def _length(members: list[Data] | Derived) -> int:
    return len(members.entities if isinstance(members, Derived) else members)


def _public(restaurant: Data) -> Data:
    return {name: value for name, value in restaurant.items() if name not in PRIVATE}


def restaurants_state(view: View) -> ChannelState:
    """Return all restaurants."""
    return {"restaurants": Derived(list(view.projections.entities["restaurant"].alive.values()), _public)}


def info_state(view: View) -> ChannelState:
    """Return a restaurant, and the images of it and of its parts."""
    restaurant = view.projections.entities["restaurant"].alive.get(view.subject)
    shown = None if restaurant is None else _public(restaurant)
    return {"restaurant": shown, **image_contents(view.subject, view.projections)}
