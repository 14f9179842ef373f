"""What the platform's records are about: every kind of entity, its fields and their types, and what belongs to what.

The backend's documents and its running code are the source of this page. A field of another type than said here is left
out, one that is not known here passes as it came; but what nobody may see is never kept, wherever a record hides it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from mesaya_ws.core.channels import IDENTIFIER
from mesaya_ws.core.event_log import topic_of

Data = dict[str, Any]
"""An entity as messages show it: its id under `Entity.id_field`, status words in lower case."""

FieldType = Callable[[Any], Any]
"""Takes a value of a record, returns what is kept of it, or `DROPPED`."""

DROPPED: Any = object()

PRIVATE = frozenset({"ownerId", "adminNote", "userNote", "storagePath", "subscriptionId"})
"""Fields that leave only on channels of those whom they concern: kept for the entities that declare them, and no others."""

_SECRET = re.compile(r"passw|pwd|hash|token|secret|mail", re.IGNORECASE)
_DEEPEST = 32  # orjson reads 1024 levels and writes 254


def text(value: Any) -> Any:
    """Accept a string."""
    return value if type(value) is str else DROPPED


def number(value: Any) -> Any:
    """Accept a number (money too: the platform writes it as one)."""
    return value if type(value) is int or type(value) is float else DROPPED


def flag(value: Any) -> Any:
    """Accept true or false."""
    return value if type(value) is bool else DROPPED


def word(value: Any) -> Any:
    """Accept a status word, and write it in lower case as the clients know it."""
    return value.lower() if type(value) is str else DROPPED


def reference(value: Any) -> Any:
    """Accept the id of an entity: anything that may stand in a channel's name."""
    return value if type(value) is str and IDENTIFIER.fullmatch(value) else DROPPED


def mapping(value: Any) -> Any:
    """Accept an object."""
    return whatever(value) if type(value) is dict else DROPPED


def listing(value: Any) -> Any:
    """Accept a list."""
    return whatever(value) if type(value) is list else DROPPED


def whatever(value: Any, depth: int = 0) -> Any:
    """Accept any JSON, without what is secret in it and without what is nested absurdly deep."""
    if type(value) is dict:
        if depth == _DEEPEST:
            return DROPPED
        return {
            name: kept
            for name, item in value.items()
            if not withheld(name) and (kept := whatever(item, depth + 1)) is not DROPPED
        }
    if type(value) is list:
        if depth == _DEEPEST:
            return DROPPED
        return [kept for item in value if (kept := whatever(item, depth + 1)) is not DROPPED]
    return value


def optional(kind: FieldType) -> FieldType:
    """Accept null, or what `kind` accepts."""
    return lambda value: None if value is None else kind(value)


def each(entity: str) -> FieldType:
    """Accept a list of whole entities, each cleaned like one that comes alone; those without an id are left out."""

    def kept(value: Any) -> Any:
        if type(value) is not list:
            return DROPPED
        kind = ENTITIES[entity]
        ids = ((item, kind.id_in(item)) for item in value if type(item) is dict)
        return [kind.clean(id, item) for item, id in ids if id is not DROPPED]

    return kept


def withheld(name: str) -> bool:
    """Return whether a field of that name, declared nowhere, must not be kept."""
    return name in PRIVATE or _SECRET.search(name) is not None


def _never(_: Any) -> Any:
    return DROPPED


@frozen
class Entity:
    """A kind of entity: its `name` begins the types of its messages, `status` names the field with its status.

    `parents` are the fields by which it is found as a child. Of `absent`, a whole record leaves out those that have no
    value. `aliases` are other names that the platform's documents use for a field.
    """

    name: str
    id_field: str
    fields: Mapping[str, FieldType]
    status: str | None = None
    parents: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}

    def id_in(self, data: Mapping[str, Any]) -> Any:
        """Return the id that an entity's data holds, or `DROPPED`."""
        return reference(data.get(self.id_field, data.get("id")))

    def clean(self, id: str, data: Mapping[str, Any]) -> Data:
        """Return a record's data as messages show it."""
        fields = self.fields
        cleaned = {self.id_field: id}
        for name, value in data.items():
            kind = fields.get(name)
            if kind is not None:
                kept = kind(value)
                if kept is not DROPPED:
                    cleaned[name] = kept
            elif name in self.aliases:
                meant = self.aliases[name]
                kept = fields[meant](value)
                if kept is not DROPPED:
                    cleaned.setdefault(meant, kept)
            elif not withheld(name) and (kept := whatever(value)) is not DROPPED:
                cleaned[name] = kept
        return cleaned


def _entity(name: str, id_field: str, *, status: str | None = None, **more: Any) -> Entity:
    fields = {"createdAt": text, "updatedAt": text} | more.pop("fields")
    # The id is found first; a previous status belongs to one event, not to the entity.
    fields |= {"id": _never, id_field: _never, "previousStatus": _never}
    aliases = more.pop("aliases", {}) | ({"newStatus": status} if status else {})
    if status:
        fields[status] = word
    return Entity(name, id_field, fields, status, aliases=aliases, **more)


_GEOMETRY = {"posX": number, "posY": number, "width": number, "height": number}

ENTITIES: Mapping[str, Entity] = {
    entity.name: entity
    for entity in (
        _entity(
            "restaurant",
            "restaurantId",
            status="status",
            fields={
                "name": text,
                "description": optional(text),
                "location": mapping,
                "openTime": text,
                "closeTime": text,
                "daysOpen": listing,
                "totalCapacity": number,
                "subscriptionId": reference,
                "imageId": optional(reference),
                "adminNote": optional(text),
                "active": flag,
                "ownerId": reference,
                "sections": each("section"),
            },
        ),
        _entity(
            "section",
            "sectionId",
            status="status",
            parents=("restaurantId",),
            fields={
                **_GEOMETRY,
                "restaurantId": reference,
                "name": text,
                "description": optional(text),
                "layoutMetadata": mapping,
                "tables": each("table"),
            },
        ),
        _entity(
            "table",
            "tableId",
            status="status",
            parents=("sectionId",),
            fields={
                **_GEOMETRY,
                "sectionId": reference,
                "number": number,
                "capacity": number,
                "tableImageId": optional(reference),
                "chairImageId": optional(reference),
                "isAvailable": flag,
            },
        ),
        _entity("object", "objectId", fields={**_GEOMETRY, "imageId": optional(reference)}),
        _entity(
            "section_object",
            "sectionObjectId",
            parents=("sectionId", "objectId"),
            fields={"sectionId": reference, "objectId": reference},
        ),
        _entity(
            "menu",
            "menuId",
            parents=("restaurantId",),
            absent=("dishes",),
            fields={
                "restaurantId": reference,
                "name": text,
                "description": optional(text),
                "price": number,
                "imageId": optional(reference),
                "dishes": each("dish"),
            },
        ),
        _entity(
            "dish",
            "dishId",
            parents=("restaurantId",),
            absent=("imageId", "menuId"),
            fields={
                "restaurantId": reference,
                "name": text,
                "description": optional(text),
                "price": number,
                "imageId": optional(reference),
                "menuId": optional(reference),
                "categoryId": optional(reference),
                "categoryName": optional(text),
                "categoryDescription": optional(text),
                "categoryOrder": optional(number),
            },
        ),
        _entity(
            "review",
            "reviewId",
            parents=("restaurantId",),
            fields={
                "restaurantId": reference,
                "userId": reference,
                "userName": optional(text),
                "rating": number,
                "comment": optional(text),
            },
        ),
        _entity(
            "image",
            "imageId",
            parents=("entityId",),
            fields={
                "url": text,
                "title": optional(text),
                "description": optional(text),
                "entityId": optional(reference),
            },
        ),
        _entity(
            "reservation",
            "reservationId",
            status="status",
            parents=("restaurantId",),
            # So does the shape call them that clients see, which the platform's documents give for producers too.
            aliases={"clientName": "userName", "date": "reservationTime"},
            fields={
                "restaurantId": reference,
                "userId": reference,
                "tableId": reference,
                "userName": text,
                "reservationDate": text,
                "reservationTime": text,
                "numberOfGuests": number,
            },
        ),
        _entity(
            "payment",
            "paymentId",
            status="paymentStatus",
            fields={
                "reservationId": reference,
                "subscriptionId": reference,
                "amount": number,
                "date": text,
            },
        ),
        _entity(
            "subscription",
            "subscriptionId",
            status="stateSubscription",
            parents=("restaurantId",),
            fields={
                "subscriptionPlanId": reference,
                "restaurantId": reference,
                "subscriptionStartDate": text,
            },
        ),
        _entity("plan", "subscriptionPlanId", fields={}),
        _entity(
            "owner_upgrade",
            "requestId",
            status="status",
            fields={
                "userId": reference,
                "decision": word,
                "statusKey": text,
                "restaurantName": text,
                "restaurantLocation": text,
                "restaurantDescription": optional(text),
                "preferredSubscriptionPlanId": optional(reference),
                "userNote": optional(text),
                "adminNote": optional(text),
                "assignedRestaurantId": optional(reference),
                "processedBy": optional(reference),
                "processedAt": optional(text),
            },
        ),
        _entity("announcement", "announcementId", fields={}),
    )
}

OF_TOPIC: Mapping[str, tuple[Entity, ...]] = {
    topic_of(domain): tuple(ENTITIES[name] for name in names)
    for domain, names in {
        "restaurants": ("restaurant",),
        "sections": ("section",),
        "tables": ("table",),
        "objects": ("object",),
        "section-objects": ("section_object",),
        "menus": ("menu", "dish"),
        "reviews": ("review",),
        "images": ("image",),
        "reservations": ("reservation",),
        "payments": ("payment",),
        # A subscription names its plan, a plan no subscription: whoever asks looks for a subscription first.
        "subscriptions": ("subscription", "plan"),
        "owner-upgrade": ("owner_upgrade",),
        "announcements": ("announcement",),
    }.items()
}
"""The entities that each topic speaks of (`auth` apart, whose records never become messages)."""

CASCADES: Mapping[str, tuple[str, ...]] = {
    "restaurant": ("section", "reservation", "review", "subscription"),
    "section": ("table", "section_object"),
    "object": ("section_object",),
}
"""What the platform's database deletes with an entity, without an event (found by the parent's `id_field`).

A reservation only names its table, and a menu its restaurant: they stay.
"""
