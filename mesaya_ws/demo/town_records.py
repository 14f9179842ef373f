"""The records of what stands in the demo: what a log holds before an evening begins."""

from collections.abc import Iterator
from typing import Any

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.demo.records import fixed_id, record, sign_up
from mesaya_ws.demo.texts import MENUS, RESTAURANTS
from mesaya_ws.demo.town import DEPTH, Restaurant, Section, Table, Town

BUILT = "2026-01-12T14:00:00.000Z"
"""Since when all that stands has stood, whenever the demo is run."""

_DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]


def town_records(town: Town, now: int, known: frozenset[str]) -> Iterator[NewRecord]:
    """Yield what must be in the log before an evening begins, parents first, without the ids that are `known`."""
    owners = (restaurant.owner for restaurant in town.restaurants)
    for user in (*owners, *town.guests):
        if user.id not in known:
            correlation = fixed_id(town.seed, "correlation", user.id)
            yield sign_up(user.id, user.first_name, user.last_name, user.role, now, correlation)
    for restaurant in town.restaurants:
        if restaurant.id not in known:
            yield _restaurant_record(town.seed, restaurant, now)
        for section in restaurant.sections:
            if section.id not in known:
                yield _section_record(restaurant, section, now)
            for table in section.tables:
                if table.id not in known:
                    yield table_record(town.seed, table, "created", "AVAILABLE", now)
        for number, menu in enumerate(MENUS):
            if (menu_id := fixed_id(town.seed, restaurant.number, "menu", number)) not in known:
                yield _menu_record(town.seed, restaurant, menu_id, menu, number, now)


def _times(now: int) -> dict[str, str]:
    return {"createdAt": BUILT, "updatedAt": platform_time(now)}


def _restaurant_record(seed: int, restaurant: Restaurant, now: int) -> NewRecord:
    _, description, city, province, address = RESTAURANTS[restaurant.kind]
    data = {
        "id": restaurant.id,
        "name": restaurant.name,
        "description": description,
        "location": {
            "label": f"{address}, {city}, EC",
            "address": address,
            "city": city,
            "province": province,
            "country": "EC",
            "latitude": None,
            "longitude": None,
            "placeId": None,
        },
        "openTime": "10:00",
        "closeTime": "23:30",
        "daysOpen": _DAYS,
        "totalCapacity": sum(table.capacity for table in restaurant.tables),
        "subscriptionId": fixed_id(seed, "subscription", restaurant.number),
        "imageId": None,
        "status": "ACTIVE",
        "adminNote": None,
        "active": True,
        "ownerId": restaurant.owner.id,
        **_times(now),
        "sections": [],
    }
    return record("restaurants", "created", restaurant.id, data, now, user=restaurant.owner.id)


def _section_record(restaurant: Restaurant, section: Section, now: int) -> NewRecord:
    data = {
        "id": section.id,
        "restaurantId": restaurant.id,
        "name": section.name,
        "description": section.description,
        "width": section.width,
        "height": section.height,
        "posX": 0,
        "posY": 0,
        "status": "ACTIVE",
        "layoutMetadata": {"layoutId": None, "orientation": "LANDSCAPE", "zIndex": 0, "notes": None},
        "createdAt": platform_time(now),  # of a section, the backend says the time of the event in both
        "updatedAt": platform_time(now),
    }
    return record("sections", "created", section.id, data, now)


def table_record(seed: int, table: Table, what: str, status: str, now: int) -> NewRecord:
    """Return a record that shows a table with this status."""
    data = {
        "id": table.id,
        "sectionId": table.section,
        "number": table.number,
        "capacity": table.capacity,
        "posX": table.x,
        "posY": table.y,
        "width": table.width,
        "height": DEPTH,
        "tableImageId": fixed_id(seed, "image of tables"),
        "chairImageId": fixed_id(seed, "image of chairs"),
        "status": status,
        "isAvailable": status == "AVAILABLE",
        **_times(now),
    }
    return record("tables", what, table.id, data, now)


def _menu_record(seed: int, restaurant: Restaurant, id: str, menu: Any, number: int, now: int) -> NewRecord:
    title, description, dishes = menu
    category = fixed_id(seed, "category", number)
    shown = [
        {
            "dishId": fixed_id(seed, id, "dish", place),
            "restaurantId": restaurant.id,
            "name": name,
            "description": text,
            "price": price,
            "menuId": id,
            "categoryId": category,
            "categoryName": title,
            "categoryDescription": None,
            "categoryOrder": number,
            **_times(now),
        }
        for place, (name, text, price) in enumerate(dishes)
    ]
    data = {
        "menuId": id,
        "restaurantId": restaurant.id,
        "name": title,
        "description": description,
        "price": round(sum(price for _, _, price in dishes), 2),
        "imageId": None,
        "dishes": shown,
        **_times(now),
    }
    return record("menus", "created", id, data, now, subtype="menu")
