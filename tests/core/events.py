"""Short ways to write down what the log says, and to ask what became of it."""

from typing import Any

import orjson

from mesaya_ws.core.event_log import Record, topic_of
from mesaya_ws.core.outcome import Message, Outcome
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.records import Event, understand
from mesaya_ws.core.routing import route

TIME = "2026-01-20T15:00:00.000Z"

_DOMAINS = {
    "restaurant": "restaurants",
    "section": "sections",
    "table": "tables",
    "object": "objects",
    "section_object": "section-objects",
    "menu": "menus",
    "dish": "menus",
    "review": "reviews",
    "image": "images",
    "reservation": "reservations",
    "payment": "payments",
    "subscription": "subscriptions",
    "plan": "subscriptions",
    "owner_upgrade": "owner-upgrade",
    "announcement": "announcements",
}


def event(kind: str, id: str, metadata: dict[str, Any] | None = None, **data: Any) -> Event:
    """Understand a record of the kind `<entity>.<what>`, in the current envelope."""
    entity, _, what = kind.partition(".")
    value = {"timestamp": TIME, "event_type": what, "entity_id": id, "data": data, "metadata": metadata}
    if entity in ("menu", "dish", "subscription", "plan"):
        value["entity_subtype"] = entity
    understood = understand(Record(topic_of(_DOMAINS[entity]), 0, 0, 0, None, orjson.dumps(value)))
    assert isinstance(understood, Event), understood
    return understood


def user(id: str, first: str = "", last: str = "", roles: tuple[str, ...] = ()) -> Event:
    payload = {"userId": id, "firstName": first, "lastName": last, "roles": roles, "email": "a@example.com"}
    value = {"type": "user.updated", "payload": payload}
    understood = understand(Record(topic_of("auth"), 0, 0, 0, None, orjson.dumps(value)))
    assert isinstance(understood, Event), understood
    return understood


class Platform:
    """What the log has said so far, and what became of the last of it."""

    def __init__(self) -> None:
        self.projections = Projections()
        self.outcome = Outcome((), None)

    def says(self, kind: str, id: str, metadata: dict[str, Any] | None = None, **data: Any) -> dict[str, Message]:
        """Return the messages that a record becomes, by channel."""
        return self.hears(event(kind, id, metadata, **data))

    def hears(self, understood: Event) -> dict[str, Message]:
        self.outcome = route(understood, self.projections)
        messages = {message.channel: message for message in self.outcome.messages}
        assert len(messages) == len(self.outcome.messages), "two messages on one channel"
        return messages
