"""What must be known before a record means anything: a table's section, a payment's reservation."""

from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import Event
from mesaya_ws.core.shelf import Shelf


def missing_parent(event: Event, projections: Projections) -> str | None:
    """Return what must be known before it can be said whom an event concerns, as `<entity>:<id>`, or None.

    A parent that is known to be deleted is not missing: waiting would not bring it back.
    """
    shelves = projections.shelves
    entity = event.entity
    if entity in ("table", "section_object"):
        return _unless_known("section", _named(event, shelves[entity], "sectionId"), projections)
    if entity == "subscription":
        return _unless_known("restaurant", _named(event, shelves[entity], "restaurantId"), projections)
    if entity == "payment":
        if reservation := _named(event, shelves[entity], "reservationId"):
            return _unless_known("reservation", reservation, projections)
        subscription = _named(event, shelves[entity], "subscriptionId")
        known = shelves["subscription"].last(subscription)
        if known is None:
            return _unless_known("subscription", subscription, projections)
        return _unless_known("restaurant", known.get("restaurantId"), projections)
    return None


def _unless_known(kind: str, id: str | None, projections: Projections) -> str | None:
    return None if id is None or projections.is_parent(kind, id) else f"{kind}:{id}"


def _named(event: Event, shelf: Shelf, field: str) -> str | None:
    return event.data.get(field) or (shelf.last(event.id) or {}).get(field)
