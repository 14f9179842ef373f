"""Whose rights an event may change, so that no subscription outlasts them.

Rights depend on who owns a restaurant, and on users' roles (`rights.Facts`). Few events can change either. For those,
the facts are read before the event is applied (`at_stake`) and again after that (`Stakes.changes`); what differs
names the channels and the users whose subscriptions are to be asked for again:

    stakes = at_stake(event, before, facts)
    …apply the event, and hand its messages to those who are subscribed: for the loser it is the last one…
    change = stakes.changes(facts) if stakes else None
"""

from collections.abc import Mapping
from typing import NamedTuple

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.access.rights import OWNERS_KINDS, Facts
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import AUTH, Event
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from mesaya_ws.core.platform.users import LoggedRoles

TOPICS_OF_FACTS = frozenset({*map(topic_of, ("restaurants", "owner-upgrade", "auth")), PARENTS_TOPIC})
"""The topics whose records say what rights depend on. When one is created again, all that it said is forgotten: then
every private subscription is to be asked for again."""


class RightsChange(NamedTuple):
    """Who may have lost or gained a right by an event."""

    channels: tuple[str, ...] = ()
    """Channels whose subscribers are to be asked again, as somebody else may see them now."""
    users: tuple[str, ...] = ()
    """Users all of whose private subscriptions are to be asked again: their roles may be others, or what they own."""
    everybody: bool = False
    """All private subscriptions are to be asked again: much of what rights depend on has been forgotten."""


ENTITIES_OF_FACTS = frozenset({"restaurant", "owner_upgrade", AUTH})
"""The kinds of entities whose events may change what rights depend on: to know the others takes one look."""


class Stakes(NamedTuple):
    """The facts that an event may change, as they were before it."""

    owners: Mapping[str, str | None]
    roles: Mapping[str, LoggedRoles | None]

    def changes(self, facts: Facts) -> RightsChange | None:
        """Return what the event has changed, by the facts as they are after it; None if nothing."""
        channels = tuple(
            restaurant_channel(restaurant, kind)
            for restaurant, owner in self.owners.items()
            if facts.owner_of(restaurant) != owner
            for kind in OWNERS_KINDS
        )
        # Also the same roles in a later record: they count for tokens that are older than that, whatever those say.
        users = [user for user, logged in self.roles.items() if facts.roles_of(user) != logged]
        # Whoever owned a restaurant may be subscribed to any of its conversations.
        users += [
            owner
            for restaurant, owner in self.owners.items()
            if owner is not None and facts.owner_of(restaurant) != owner
        ]
        return RightsChange(channels, tuple(users)) if channels or users else None


def at_stake(event: Event, before: Data | None, facts: Facts) -> Stakes | None:
    """Return the facts that an event may change, which is still to be applied; None: no right depends on it.

    `before` is what is known of the event's entity; of `auth`, nothing.
    """
    match event.entity:
        case "restaurant":
            restaurants = {event.id}
        case "owner_upgrade":
            # An approved one gives its restaurant to its user, and what it leaves out is as it was.
            named = ((before or {}).get("assignedRestaurantId"), event.data.get("assignedRestaurantId"))
            restaurants = {id for id in named if id is not None}
        case entity if entity == AUTH:
            return Stakes({}, {event.id: facts.roles_of(event.id)}) if "roles" in event.data else None
        case _:
            return None
    return Stakes({restaurant: facts.owner_of(restaurant) for restaurant in sorted(restaurants)}, {})
