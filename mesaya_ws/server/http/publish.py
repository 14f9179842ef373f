"""`POST /publish`: a platform record, or an announcement, for services that do not speak Kafka."""

from time import time
from typing import Any
from uuid import uuid4

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.server.http.request import authorize, bad_message, publish, read_object, structure
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.settings import Settings

ANNOUNCEMENTS = "global:announcements"


@frozen
class PlatformRecord:
    """`{"topic", "value"}`, and a `key` if the topic wants one: what a service would produce to Kafka."""

    topic: str
    value: dict[str, Any]
    key: str | None = None


@frozen
class Announcement:
    """`{"channel": "global:announcements", "type": "announcement.<word>", "data"}`."""

    channel: str
    type: str
    data: dict[str, Any]


def publish_route(settings: Settings, publisher: Publisher) -> Route:
    """Return the route; it answers 201 with topic, partition and offset when the log has acknowledged the record."""

    async def answer(request: Request) -> Response:
        authorize(request, settings)
        body = await read_object(request, settings)
        if "channel" in body:
            return await publish(publisher, *_announced(structure(body, Announcement)))
        record = structure(body, PlatformRecord)
        return await publish(publisher, record.topic, record.value, record.key)

    return Route("/publish", answer, methods=["POST"])


def _announced(message: Announcement) -> tuple[str, dict[str, Any]]:
    """Return topic and record of an announcement; one without `announcementId` gets a new one."""
    entity, _, word = message.type.partition(".")
    if message.channel != ANNOUNCEMENTS or entity != "announcement":
        raise bad_message(
            f"Messages are published on {ANNOUNCEMENTS}, with a type such as announcement.created; "
            "what concerns other channels is published as a platform record."
        )
    record = {
        "timestamp": platform_time(round(time() * 1000)),
        "event_type": word,
        "entity_id": message.data.get("announcementId", str(uuid4())),
        "data": message.data,
    }
    return topic_of("announcements"), record
