"""Records as services publish them by HTTP."""


def _created(topic: str, id: str, data: dict[str, object]) -> dict[str, object]:
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": id, "data": data}
    return {"topic": topic, "key": None, "value": value}


def announced(number: int) -> dict[str, object]:
    """Return the record of an announcement."""
    return _created("mesa-ya.announcements.events", f"a{number}", {})


def reviewed(number: int, size: int) -> dict[str, object]:
    """Return the record of a review of the restaurant r1, with a comment of so many characters."""
    data = {"id": f"v{number}", "restaurantId": "r1", "userId": "u1", "comment": "x" * size}
    return _created("mesa-ya.reviews.events", f"v{number}", data)
