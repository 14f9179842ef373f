"""The images of what comes to a restaurant, moves or goes: they come, move or go with it, told in one message."""

from typing import NamedTuple

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.platform.projections import Projections


class Along(NamedTuple):
    """Where an entity belongs; and for each of its `parts` with images (itself, too), where it belongs, and these."""

    place: str | None
    parts: dict[str, tuple[str | None, list[str]]]


def images_along(event: Event, projections: Projections) -> Along | None:
    """Return where the images of an entity, and of its parts, belong before an event about it is folded."""
    images = projections.shelves["image"]
    if not images.alive:
        return None
    parts = [event.id]
    match event.entity:
        case "section":
            tables = projections.shelves["table"].under("sectionId", event.id)
            parts += dict.fromkeys((*tables, *(table["tableId"] for table in event.data.get("tables", ()))))
        case "menu":
            parts += (dish["dishId"] for dish in event.data.get("dishes", ()))
        case "table" | "dish":
            pass
        case _:
            return None
    # All images of one part belong to one restaurant: to ask for each of them would take a hundred times as long.
    found = {
        part: (projections.place_of_images(part), list(under))
        for part in parts
        if (under := images.under("entityId", part))
    }
    if not found:
        return None
    return Along(projections.place(event.entity, projections.shelves[event.entity].alive.get(event.id)), found)


def moved_along(event: Event, before: Along, projections: Projections) -> list[Message]:
    """Return what is told on `:info` of images that an event has moved, which were there `before`."""
    images = projections.shelves["image"].alive
    gone: dict[str, list[str]] = {}
    come: dict[str, list[str]] = {}
    for part, (was, along) in before.parts.items():
        here = projections.place_of_images(part)
        if was == here:
            continue
        if was is not None:
            gone.setdefault(was, []).extend(along)
        if here is not None:
            come.setdefault(here, []).extend(along)
    messages = []
    entity = ENTITIES[event.entity]
    now = projections.place(event.entity, projections.shelves[event.entity].alive.get(event.id))
    for place in dict.fromkeys((*gone, *come)):
        told: dict[str, object] = {entity.id_field: event.id}
        if place in gone:
            told["imageIds"] = gone[place]
        if place in come:
            told["images"] = [images[image] for image in come[place]]
        what = "deleted" if place != now else "updated" if before.place == now else "created"
        messages.append(Message(restaurant_channel(place, "info"), f"{event.entity}.{what}", event.timestamp, told))
    return messages
