"""What the platform's records are about: every kind of entity, its fields and their types, and what belongs to what.

The backend's documents and its running code are the source of this page. An id is a `reference` where routing needs it,
and otherwise any text. A field of another type than said here is left out, one that is not known here passes as it
came, unless it must not be kept (`fields.withheld`).
"""

from collections.abc import Mapping
from typing import Any

from mesaya_ws.core.platform.entity import Dropped, Entity, ListType, new_entity
from mesaya_ws.core.platform.fields import (
    DROPPED,
    flag,
    listing,
    mapping,
    moment,
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


_GEOMETRY = {"posX": number, "posY": number, "width": number, "height": number}

ENTITIES: Mapping[str, Entity] = {
    entity.name: entity
    for entity in (
        new_entity(
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
        new_entity(
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
        new_entity(
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
        new_entity("object", "objectId", {**_GEOMETRY, "imageId": text}),
        new_entity(
            "section_object",
            "sectionObjectId",
            parents=("sectionId", "objectId"),
            fields={"sectionId": reference, "objectId": reference},
        ),
        new_entity(
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
        new_entity(
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
        new_entity(
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
        new_entity(
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
        new_entity(
            "reservation",
            "reservationId",
            status="status",
            parents=("restaurantId",),
            remembered=("restaurantId", "userId"),
            is_scheduled=True,
            absent=("userName",),
            # These are the names that clients see; the platform's documents give them for producers, too.
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
        new_entity(
            "payment",
            "paymentId",
            status="paymentStatus",
            # It is of a reservation or of a subscription; nothing else that is known of it depends on which.
            absent=("subscriptionId",),
            fields={
                "reservationId": reference,
                "subscriptionId": reference,
                "amount": number,
                "date": text,
            },
        ),
        new_entity(
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
        new_entity("plan", "subscriptionPlanId", {}),
        new_entity(
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
        new_entity("announcement", "announcementId", {}),
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
