"""What the platform's records are about: every kind of entity, its fields and their types, and what belongs to what.

The backend's documents and its running code are the source of this page. An id is a `reference` where routing needs it,
and otherwise any text. A field of another type than said here is left out, one that is not known here passes as it
came, unless it must not be kept (`fields.withheld`).
"""

from collections.abc import Mapping
from typing import Any

from mesaya_ws.core.platform.entity import Dropped, Entity, ListType
from mesaya_ws.core.platform.fields import (
    DROPPED,
    FieldType,
    flag,
    listing,
    mapping,
    moment,
    never,
    number,
    optional,
    reference,
    text,
    word,
)
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of


def each(entity: str) -> ListType:
    """Accept a list of whole entities, each cleaned like one that comes alone; those without an id are left out."""

    def kept(value: Any, field: str, dropped: Dropped) -> Any:
        if type(value) is not list:
            return DROPPED
        kind = ENTITIES[entity]
        lost: Dropped = {}
        items = [(kind.id_in(item), item) for item in value if type(item) is dict]
        cleaned = [kind.clean(identifier, item, lost) for identifier, item in items if identifier is not DROPPED]
        for name, is_fault in lost.items():
            dropped[f"{field}.{name}"] = is_fault
        return cleaned

    return kept


def _entity(
    name: str,
    id_field: str,
    fields: Mapping[str, FieldType],
    *,
    status: str | None = None,
    parents: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    lists: Mapping[str, ListType] | None = None,
    remembered: tuple[str, ...] = (),
    is_scheduled: bool = False,
) -> Entity:
    fields = {**fields, "createdAt": text, "updatedAt": text}
    aliases, lists = dict(aliases or {}), dict(lists or {})
    if status is not None:
        fields[status] = word
        aliases["newStatus"] = status
    return Entity(
        name,
        id_field,
        # The id is found first; a previous status belongs to one event, not to the entity.
        {**fields, **dict.fromkeys(("id", id_field, "previousStatus", *lists), never)},
        status,
        parents=parents,
        references=tuple(field for field, kind in fields.items() if kind is reference),
        required=frozenset((*fields, *lists)).difference(absent),
        absent=absent,
        aliases=aliases,
        lists=lists,
        remembered=remembered,
        is_scheduled=is_scheduled,
    )


_GEOMETRY = {"posX": number, "posY": number, "width": number, "height": number}

ENTITIES: Mapping[str, Entity] = {
    entity.name: entity
    for entity in (
        _entity(
            "restaurant",
            "restaurantId",
            status="status",
            remembered=("ownerId",),
            fields={
                "name": text,
                "description": optional(text),
                "location": mapping,
                "openTime": text,
                "closeTime": text,
                "daysOpen": listing,
                "totalCapacity": number,
                "subscriptionId": text,
                "imageId": optional(text),
                "adminNote": optional(text),
                "active": flag,
                "ownerId": reference,
            },
            lists={"sections": each("section")},
        ),
        _entity(
            "section",
            "sectionId",
            status="status",
            parents=("restaurantId",),
            absent=("tables",),
            fields={
                **_GEOMETRY,
                "restaurantId": reference,
                "name": text,
                "description": optional(text),
                "layoutMetadata": mapping,
            },
            lists={"tables": each("table")},
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
                "tableImageId": text,
                "chairImageId": text,
                "isAvailable": flag,
            },
        ),
        _entity("object", "objectId", {**_GEOMETRY, "imageId": text}),
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
                "description": text,
                "price": number,
                "imageId": optional(text),
            },
            lists={"dishes": each("dish")},
        ),
        _entity(
            "dish",
            "dishId",
            parents=("restaurantId",),
            absent=("imageId", "menuId"),
            fields={
                "restaurantId": reference,
                "name": text,
                "description": text,
                "price": number,
                "imageId": text,
                "menuId": text,
                "categoryId": optional(text),
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
                "userId": text,
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
                "title": text,
                "description": text,
                "entityId": reference,
            },
        ),
        _entity(
            "reservation",
            "reservationId",
            status="status",
            parents=("restaurantId",),
            remembered=("restaurantId", "userId"),
            is_scheduled=True,
            absent=("userName",),
            # So does the shape call them that clients see, which the platform's documents give for producers too.
            aliases={"clientName": "userName", "date": "reservationTime"},
            fields={
                "restaurantId": reference,
                "userId": reference,
                "tableId": text,
                "userName": text,
                "reservationDate": moment,
                "reservationTime": moment,
                "numberOfGuests": number,
            },
        ),
        _entity(
            "payment",
            "paymentId",
            status="paymentStatus",
            # It is of a reservation or of a subscription, which nothing else that is known of it depends on.
            absent=("subscriptionId",),
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
            remembered=("restaurantId",),
            fields={
                "subscriptionPlanId": text,
                "restaurantId": reference,
                "subscriptionStartDate": text,
            },
        ),
        _entity("plan", "subscriptionPlanId", {}),
        _entity(
            "owner_upgrade",
            "requestId",
            status="status",
            absent=("decision",),
            fields={
                "userId": reference,
                "decision": word,
                "statusKey": text,
                "restaurantName": text,
                "restaurantLocation": text,
                "restaurantDescription": optional(text),
                "preferredSubscriptionPlanId": optional(text),
                "userNote": optional(text),
                "adminNote": optional(text),
                "assignedRestaurantId": optional(reference),
                "processedBy": optional(text),
                "processedAt": optional(text),
            },
        ),
        _entity("announcement", "announcementId", {}),
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
        # Where the envelope does not distinguish them, the first whose id is there: a dish names its menu, and a
        # subscription its plan, but not the other way round.
        "menus": ("dish", "menu"),
        "reviews": ("review",),
        "images": ("image",),
        "reservations": ("reservation",),
        "payments": ("payment",),
        "subscriptions": ("subscription", "plan"),
        "owner-upgrade": ("owner_upgrade",),
        "announcements": ("announcement",),
    }.items()
} | {PARENTS_TOPIC: (ENTITIES["restaurant"], ENTITIES["section"])}
"""The entities that each topic speaks of (`auth` apart, whose records never become messages)."""

CASCADES: Mapping[str, tuple[str, ...]] = {
    "restaurant": ("section", "reservation", "review", "subscription"),
    "section": ("table", "section_object"),
    "object": ("section_object",),
}
"""What the platform's database deletes with an entity, without an event (found by the parent's `id_field`).

A reservation only names its table, and a menu its restaurant: they stay.
"""

IMAGED = ("restaurant", "section", "table", "menu", "dish")
"""What an image can be of: its record says only the id, not the kind."""
