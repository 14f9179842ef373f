"""Images: their records, what `:info` shows of them, and that they come, move and go with what they are of."""

from collections.abc import Iterable
from itertools import chain, islice
from typing import NamedTuple

from mesaya_ws.core.access.channels import restaurant_channel
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entities import ENTITIES
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Steps
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import Contents, Derived, read_under
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
    if not projections.entities["image"].alive:
        return None
    found = _images_of(_imaged_by(event, projections), projections)
    return ImagesBefore(_place(event, projections), found) if found else None


def lookup_images_in_steps(event: Event, projections: Projections) -> Steps[ImagesBefore | None]:
    """Do the same as `lookup_images`, yielding after some parts."""
    found: dict[str, tuple[str | None, list[str]]] = {}
    if not projections.entities["image"].alive:
        return None
    parts = iter(_imaged_by(event, projections))
    while some := list(islice(parts, PARTS_AT_ONCE)):
        found |= _images_of(some, projections)
        yield
    return ImagesBefore(_place(event, projections), found) if found else None


def imaged_count(event: Event, projections: Projections) -> int:
    """Return how many things can have images that go where an entity goes: itself, and its parts."""
    match event.entity:
        case "section":
            tables = projections.entities["table"].children.under("sectionId", event.id)
            return 1 + len(tables) + len(event.data.get("tables", ()))
        case "menu":
            return 1 + len(event.data.get("dishes", ()))
    return int(event.entity in ("table", "dish"))


def _imaged_by(event: Event, projections: Projections) -> Iterable[str]:
    """Return the ids of these; some come twice."""
    match event.entity:
        case "section":
            tables = projections.entities["table"].children.under("sectionId", event.id)
            return chain((event.id,), tables, (table["tableId"] for table in event.data.get("tables", ())))
        case "menu":
            return [event.id, *(dish["dishId"] for dish in event.data.get("dishes", ()))]
        case "table" | "dish":
            return (event.id,)
    return ()


def _images_of(parts: Iterable[str], projections: Projections) -> dict[str, tuple[str | None, list[str]]]:
    images = projections.entities["image"]
    # All images of one part belong to one restaurant: to ask for each of them would take a hundred times as long.
    return {
        part: (projections.relations.place_of_images(part), list(under))
        for part in parts
        if (under := images.children.under("entityId", part))
    }


def _place(event: Event, projections: Projections) -> str | None:
    return projections.relations.place(event.entity, projections.entities[event.entity].alive.get(event.id))


class MovedImages:
    """Images that an event has taken from one place (`gone`) to another one (`come`), by the restaurant."""

    def __init__(self) -> None:
        self.gone: dict[str, list[str]] = {}
        self.come: dict[str, list[str]] = {}

    def note(self, parts: Iterable[tuple[str, tuple[str | None, list[str]]]], projections: Projections) -> None:
        """Take note of the images of some parts, by where these were before."""
        for part, (was, along) in parts:
            here = projections.relations.place_of_images(part)
            if was == here:
                continue
            if was is not None:
                self.gone.setdefault(was, []).extend(along)
            if here is not None:
                self.come.setdefault(here, []).extend(along)

    @property
    def count(self) -> int:
        """How many images messages show, at most."""
        return sum(map(len, self.gone.values())) + sum(map(len, self.come.values()))

    def messages(self, event: Event, before: str | None, projections: Projections) -> list[Message]:
        """Return what is said on `:info` of images that an event about an entity has moved, which was at `before`."""
        images, entity = projections.entities["image"].alive, ENTITIES[event.entity]
        now, messages = _place(event, projections), []
        for place in dict.fromkeys((*self.gone, *self.come)):
            shown: dict[str, object] = {entity.id_field: event.id}
            if place in self.gone:
                shown["imageIds"] = self.gone[place]
            if place in self.come:
                come = self.come[place]
                is_long = len(come) > PARTS_AT_ONCE
                shown["images"] = Derived(come, images.get) if is_long else [images[image] for image in come]
            what = "deleted" if place != now else "updated" if before == now else "created"
            message = Message(restaurant_channel(place, "info"), f"{event.entity}.{what}", event.timestamp, shown)
            messages.append(message)
        return messages


def moved_images(before: ImagesBefore, projections: Projections) -> MovedImages:
    """Return the images that an event has moved, which were there `before`."""
    moved = MovedImages()
    moved.note(before.parts.items(), projections)
    return moved


def moved_images_in_steps(before: ImagesBefore, projections: Projections) -> Steps[MovedImages]:
    """Do the same as `moved_images`, yielding after some parts."""
    moved, parts = MovedImages(), list(before.parts.items())
    for first in range(0, len(parts), PARTS_AT_ONCE):
        moved.note(parts[first : first + PARTS_AT_ONCE], projections)
        yield
    return moved


def image_contents(restaurant: str, projections: Projections) -> Contents:
    """Return the images of a restaurant, and of its parts, which are to be read."""
    return {"images": read_under("image", "entityId", _parts_to_search(restaurant, projections), projections)}


def info_size(restaurant: str, projections: Projections, enough: int) -> int:
    """Return how many entities must be read for these; with more than `enough`, it need not be exact."""
    size = plan_size(restaurant, projections, enough) + menu_size(restaurant, projections)
    if size > enough:
        return size
    images = projections.entities["image"]
    return size + sum(map(len, images.children.under_each("entityId", _imaged_parts(restaurant, projections))))


def _parts_to_search(restaurant: str, projections: Projections) -> Iterable[str]:
    """Return the ids of these parts; of none where there are no images at all."""
    return _imaged_parts(restaurant, projections) if projections.entities["image"].alive else ()


def _imaged_parts(restaurant: str, projections: Projections) -> Iterable[str]:
    """Return the ids of all that can have an image: a restaurant, and its parts."""
    entities = projections.entities
    sections = entities["section"].children.under("restaurantId", restaurant)
    tables = chain.from_iterable(entities["table"].children.under_each("sectionId", sections))
    menus, dishes = (entities[kind].children.under("restaurantId", restaurant) for kind in ("menu", "dish"))
    return chain((restaurant,), sections, tables, menus, dishes)
