"""Kinds of channels, and the records of the platform that make events on them."""

from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from attrs import frozen

Record = tuple[str, bytes]
"""A topic, and the value of a record; or a channel, and the message for it."""


@frozen
class Workload:
    """A kind of channel, and the records that make events on it."""

    channel: str
    topic: str
    setup: Callable[[str], list[Record]]
    event: Callable[[str, str], dict[str, object]]


def record(topic: str, what: str, id: str, data: dict[str, object], at: int) -> Record:
    """Return a record of a topic's domain, in the platform's envelope, of the moment `at` (ns since the epoch)."""
    envelope = {"timestamp": iso(at), "event_type": what, "entity_id": id, "data": {"id": id, **data}}
    return f"mesa-ya.{topic}.events", orjson.dumps(envelope)


def iso(nanoseconds: int) -> str:
    """Return a time since the epoch as the platform writes it."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _floor_plan(subject: str) -> list[Record]:
    """Return the section that the table of a restaurant belongs to."""
    section = {"restaurantId": subject, "name": "Terraza", "width": 800, "height": 600, "status": "ACTIVE"}
    return [record("sections", "created", f"{subject}-s", section, 0)]


def _table(subject: str, stamp: str) -> dict[str, object]:
    return {"sectionId": f"{subject}-s", "number": 1, "capacity": 4, "status": "OCCUPIED", "stamp": stamp}


def _reservation(subject: str, stamp: str) -> dict[str, object]:
    at = "2026-11-28T13:00:00.000Z"
    return {"userId": subject, "reservationTime": at, "numberOfGuests": 2, "status": "PENDING", "stamp": stamp}


def _reservation_at(subject: str, stamp: str) -> dict[str, object]:
    return {**_reservation(subject, stamp), "restaurantId": subject}


def _nothing(_: str) -> list[Record]:
    return []


TABLES = Workload("restaurant:{}:tables", "tables", _floor_plan, _table)
RESERVATIONS = Workload("restaurant:{}:reservations", "reservations", _nothing, _reservation_at)
USERS = Workload("user:{}:notifications", "reservations", _nothing, _reservation)
