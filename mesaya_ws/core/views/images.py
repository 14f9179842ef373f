"""Images: their records, what `:info` shows of them, and that they come, move and go with what they are of."""

from typing import NamedTuple

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Disposition, Event
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import alive_under
from mesaya_ws.core.views.floor_plan import plan_size
from mesaya_ws.core.views.menus import menu_size
from mesaya_ws.core.views.parts import part_rule

image_rule = part_rule("info", "entityId", otherwise=Disposition.UNPLACED)


class ImagesBefore(NamedTuple):
    """Where an entity belongs; and for each of its `parts` with images (itself, too), where it belongs, and these."""

    place: str | None
    parts: dict[str, tuple[str | None, list[str]]]


def lookup_images(event: Event, projections: Projections) -> ImagesBefore | None:
    """Return where the images of an entity, and of its parts, belong before an event about it is applied."""
    images = projections.entities["image"]
    if not images.alive:
        return None
    parts = [event.id]
    match event.entity:
        case "section":
            tables = projections.entities["table"].under("sectionId", event.id)
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
    place = projections.place(event.entity, projections.entities[event.entity].alive.get(event.id))
    return ImagesBefore(place, found)


def moved_images(event: Event, before: ImagesBefore, projections: Projections) -> list[Message]:
    """Return what is said on `:info` of images that an event has moved, which were there `before`."""
    images = projections.entities["image"].alive
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
    now = projections.place(event.entity, projections.entities[event.entity].alive.get(event.id))
    for place in dict.fromkeys((*gone, *come)):
        shown: dict[str, object] = {entity.id_field: event.id}
        if place in gone:
            shown["imageIds"] = gone[place]
        if place in come:
            shown["images"] = [images[image] for image in come[place]]
        what = "deleted" if place != now else "updated" if before.place == now else "created"
        messages.append(Message(restaurant_channel(place, "info"), f"{event.entity}.{what}", event.timestamp, shown))
    return messages


def image_contents(restaurant: str, projections: Projections) -> dict[str, list[Data]]:
    """Return the images of a restaurant, and of its parts."""
    return {"images": alive_under("image", "entityId", _imaged_parts(restaurant, projections), projections)}


def info_size(restaurant: str, projections: Projections, enough: int) -> int:
    """Return how many entities must be looked at for these; with more than `enough`, it need not be exact."""
    size = plan_size(restaurant, projections) + menu_size(restaurant, projections)
    if size > enough:
        return size
    images = projections.entities["image"]
    return size + sum(len(images.under("entityId", part)) for part in _imaged_parts(restaurant, projections))


def _imaged_parts(restaurant: str, projections: Projections) -> list[str]:
    """Return the ids of all that can have an image: a restaurant, and its parts."""
    entities = projections.entities
    sections = list(entities["section"].under("restaurantId", restaurant))
    parts = [restaurant, *sections]
    parts += (id for section in sections for id in entities["table"].under("sectionId", section))
    for kind in ("menu", "dish"):
        parts += entities[kind].under("restaurantId", restaurant)
    return parts
