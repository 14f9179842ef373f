"""The images of what comes to a restaurant, moves or goes: they come, move or go with it, told in one message."""

from typing import NamedTuple

from mesaya_ws.core.channels import restaurant_channel
from mesaya_ws.core.entities import ENTITIES
from mesaya_ws.core.outcome import Message
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import Event


class Along(NamedTuple):
    """The `images` of an entity, and of its parts, by the restaurants to which they belong, and where that is now."""

    place: str | None
    images: dict[str, str | None]


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
    found = [image for part in parts for image in images.under("entityId", part)]
    if not found:
        return None
    place = projections.place(event.entity, projections.shelves[event.entity].alive.get(event.id))
    return Along(place, {image: projections.place("image", images.alive[image]) for image in found})


def moved_along(event: Event, before: Along, projections: Projections) -> list[Message]:
    """Return what is told on `:info` of images that an event has moved, which were there `before`."""
    images = projections.shelves["image"].alive
    gone: dict[str, list[str]] = {}
    come: dict[str, list[str]] = {}
    for image, was in before.images.items():
        here = projections.place("image", images.get(image))
        if was == here:
            continue
        if was is not None:
            gone.setdefault(was, []).append(image)
        if here is not None:
            come.setdefault(here, []).append(image)
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
