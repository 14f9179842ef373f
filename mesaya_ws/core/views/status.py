"""What really happened to an entity, judged by what is known of it rather than by the record's word."""

from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import Folded
from mesaya_ws.core.platform.envelope import Event


def effective_action(event: Event, folded: Folded) -> tuple[str, str | None]:
    """Return what really happened to an entity, and its previous status if that is what changed.

    A record that names the previous status is believed; one that came late only tells what there is now.
    """
    if folded.is_late:
        return "updated", None
    before, what = folded.before, event.what
    field = ENTITIES[event.entity].status
    if field is None or what == "deleted" or (what == "created" and before is None):
        return ("updated" if what == "created" and before is not None else what), None
    status, previous = folded.data.get(field), event.previous
    if previous is None and before is not None:
        previous = before.get(field)
    if previous is None:
        return ("status_changed" if what == "status_changed" else "updated"), None
    return ("status_changed" if status is not None and status != previous else "updated"), previous


def with_status_change(what: str, previous: str | None, data: Data) -> Data:
    """Return the data of a message, with the new and the previous status if that is what changed."""
    return data | {"newStatus": data.get("status"), "previousStatus": previous} if what == "status_changed" else data


def message_type(event: Event, folded: Folded) -> str:
    """Return the type of a message whose entity's status says nothing about what happened."""
    is_update = folded.is_late or (folded.before is not None and event.what == "created")
    return f"{event.entity}.{'updated' if is_update else event.what}"
