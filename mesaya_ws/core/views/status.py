"""What really happened to an entity, decided by what is known of it rather than by the record's word."""

from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Event


def effective_action(event: Event, before: Before, after: After) -> tuple[str, str | None]:
    """Return what really happened to an entity, and its previous status if that is what changed.

    A record that names the previous status is believed; one that came late only says what there is now.
    """
    if after.is_late:
        return "updated", None
    former, what = before.data, event.what
    field = ENTITIES[event.entity].status
    if field is None or what == "deleted" or (what == "created" and former is None):
        return ("updated" if what == "created" and former is not None else what), None
    status, previous = after.data.get(field), event.previous
    if previous is None and former is not None:
        previous = former.get(field)
    if previous is None:
        return ("status_changed" if what == "status_changed" else "updated"), None
    return ("status_changed" if status is not None and status != previous else "updated"), previous


def with_status_change(what: str, previous: str | None, data: Data) -> Data:
    """Return the data of a message, with the new and the previous status if that is what changed."""
    return data | {"newStatus": data.get("status"), "previousStatus": previous} if what == "status_changed" else data


def message_type(event: Event, before: Before, after: After) -> str:
    """Return the type of a message whose entity's status says nothing about what happened."""
    is_update = after.is_late or (before.data is not None and event.what == "created")
    return f"{event.entity}.{'updated' if is_update else event.what}"
