"""Who owns each restaurant: by its own records, by requests that were approved, or by the platform's API."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.latest import Latest
from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.rows import at_in, text_in
from mesaya_ws.core.state.tracking import Tracking


class Owners:
    """Owners of restaurants. `entities` are the tables of all kinds, by name: whoever owns them may replace one.

    `assigned` are those by requests: those that count, as no later record of the restaurant names another. `found` are
    those by the platform's API: they count where no record names any. What changes is noted in the `tracking`.
    """

    def __init__(self, entities: Mapping[str, EntityTable], tracking: Tracking | None = None) -> None:
        tracking = tracking or Tracking()
        self._entities = entities
        self._tracked, self._tracked_found = tracking.table("assigned"), tracking.table("found_owner")
        self.assigned: Latest[str] = Latest(self._tracked)
        self.found: dict[str, str] = {}

    def draft(self, entities: Mapping[str, EntityTable]) -> "Owners":
        """Return owners that know the same, with a draft of the entities."""
        owners = Owners(entities)
        owners.assigned, owners.found = self.assigned.draft(), over(self.found)
        return owners

    def of(self, restaurant: str | None) -> str | None:
        """Return who owns a restaurant, or owned it when it was deleted."""
        if restaurant is None:
            return None
        known = self._entities["restaurant"].last(restaurant) or {}
        return self.assigned.get(restaurant) or known.get("ownerId") or self.found.get(restaurant)

    def apply_restaurant(self, event: Event) -> None:
        """Drop an owner known by a request if a later record of the restaurant names its owner."""
        assigned = self.assigned.entries.get(event.id)
        restaurants = self._entities["restaurant"]
        if assigned is None or "ownerId" not in event.data or event.id not in restaurants.alive:
            return
        if restaurants.record_of(event.id, "ownerId")[0] >= assigned[0][0]:
            self.assigned.remove(event.id)

    def apply_request(self, id: str) -> None:
        """Give an approved owner the restaurant: the platform does so without a record of the restaurant."""
        requests, restaurants = self._entities["owner_upgrade"], self._entities["restaurant"]
        request = requests.alive.get(id, {})
        restaurant, user = request.get("assignedRestaurantId"), request.get("userId")
        if request.get("status") != "approved" or not restaurant or not user:
            return
        at = max(requests.record_of(id, field) for field in ("status", "assignedRestaurantId", "userId"))
        known = restaurants.alive.get(restaurant, {})
        if "ownerId" not in known or restaurants.record_of(restaurant, "ownerId")[0] <= at[0]:
            self.assigned.put(restaurant, at, user)

    def forget(self, restaurant: str) -> None:
        """Forget who owned a restaurant that is forgotten itself."""
        # Else it would seem to be one that no record is about, with an owner who may see what it was.
        self.assigned.remove(restaurant)
        if self.found.pop(restaurant, None) is not None:
            self._tracked_found.note(restaurant, None)

    def find(self, restaurant: str, owner: str) -> None:
        """Take in who owns a restaurant by the platform's API, which has not said so before."""
        if restaurant not in self.found:
            self.found[restaurant] = owner
            self._tracked_found.note(restaurant, owner)

    def forget_assigned(self) -> Iterator[None]:
        """Forget all requests, yielding after some of them."""
        yield from self.assigned.discard()
        self.assigned = Latest(self._tracked)

    def forget_found(self) -> Iterator[None]:
        """Forget what the platform's API has said, yielding after some of it."""
        found, self.found = self.found, {}
        return self._tracked_found.emptied(found)

    def load_assigned(self, restaurant: str, value: Any) -> None:
        """Take in a row of the table `assigned`."""
        at, owner = value
        self.assigned.put(restaurant, at_in(at), text_in(owner))
