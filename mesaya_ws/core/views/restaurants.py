"""What becomes of a record about a restaurant."""

from mesaya_ws.core.access.channels import RESTAURANT_KINDS, Audience, restaurant_channel, user_channel
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import OWNER_REASSIGNED, Event
from mesaya_ws.core.platform.fields import PRIVATE
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.belongings import alive_under, belongings
from mesaya_ws.core.views.reservations import show_reservation
from mesaya_ws.core.views.status import effective_action, with_status_change


def route_restaurant(event: Event, projections: Projections) -> Outcome:
    """Return what a restaurant says on its own channels, in the list of all, and to its owners."""
    id, timestamp = event.id, event.timestamp
    was_open, former = projections.is_open(id), projections.owner(id)
    folded = projections.fold(event)
    if folded.is_late and not folded.exists:
        return outcome_of(())
    what, previous = effective_action(event, folded)
    told, owner = with_status_change(what, previous, folded.data), projections.owner(id)
    if owner is not None and told.get("ownerId") != owner:
        told = told | {"ownerId": owner}
    public = {name: value for name, value in told.items() if name not in PRIVATE}
    messages = [Message("global:restaurants", f"restaurant.{what}", timestamp, public)]
    # It ended some time, and is there again: its channels begin anew, with what belongs to it.
    begins = folded.exists and (not was_open or event.what == "deleted")
    for kind in RESTAURANT_KINDS.values() if begins or what == "deleted" else (RESTAURANT_KINDS["info"],):
        suited = public if kind.audience == Audience.PUBLIC else told
        if begins:
            suited = suited | _contents(kind.name, id, projections)
        elif what != "deleted" and (images := alive_under(projections.shelves["image"], "entityId", (id,))):
            # Those that came before it have been told to nobody yet.
            suited = suited if folded.before is not None else suited | {"images": images}
        messages.append(Message(restaurant_channel(id, kind.name), f"restaurant.{what}", timestamp, suited))
    if what == "deleted":
        return outcome_of(messages)
    if folded.before is None:
        former = None
    is_reassigned = event.metadata.get("action") == OWNER_REASSIGNED and not folded.is_late
    if is_reassigned or (former is not None and former != owner):
        owners = [user_channel(user) for user in dict.fromkeys((former, owner)) if user is not None]
        messages += [Message(channel, "restaurant.owner_changed", timestamp, told) for channel in owners]
        return outcome_of(messages, reparented=owners)
    if what == "status_changed" and owner is not None:
        messages.append(Message(user_channel(owner), "restaurant.status_changed", timestamp, told))
    return outcome_of(messages)


def _contents(kind: str, restaurant: str, projections: Projections) -> Data:
    known = belongings(kind, restaurant, projections)
    if kind == "reservations":
        return {"reservations": [show_reservation(data, projections.names) for data in known["reservations"]]}
    return dict(known)
