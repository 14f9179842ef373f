"""`GET /asyncapi.json`: the protocol, described in AsyncAPI 3.1 (https://www.asyncapi.com/docs/reference)."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws import __version__
from mesaya_ws.core.access.channels import CONVERSATION, GLOBAL_KINDS, INBOX, RESTAURANT_KINDS, USER_KINDS
from mesaya_ws.core.access.rights import is_private
from mesaya_ws.server.http.event_schemas import EVENTS, event_schemas
from mesaya_ws.server.http.message_schemas import SERVICE, client_schemas
from mesaya_ws.server.http.schemas import Schema

ASYNCAPI = "3.1.0"

_CONNECTION = "connection"


@cache
def document() -> Schema:
    """Return the description: the WebSocket with all messages, and each sort of channel with its events."""
    from_client, events = client_schemas(), event_schemas()
    messages = {
        **{f"client.{kind}": _message(f"client.{kind}", schema) for kind, schema in from_client.items()},
        **{f"service.{kind}": _message(f"service.{kind}", schema) for kind, schema in SERVICE.items()},
        **{f"event.{about}": _message(f"event.{about}", schema) for about, schema in events.items()},
    }
    schemas = {
        **{f"client.{kind}": schema for kind, schema in from_client.items()},
        **{f"service.{kind}": schema for kind, schema in SERVICE.items()},
        **{f"event.{about}": schema for about, schema in events.items()},
    }
    channels: dict[str, Any] = {
        _CONNECTION: {
            "address": "/ws",
            "description": "The WebSocket: JSON objects in text frames. Events of all subscribed channels come on it.",
            "messages": _refs("#/components/messages", messages),
        }
    }
    operations = {
        "fromClient": _operation("receive", _CONNECTION, (name for name in messages if name.startswith("client."))),
        "toClient": _operation("send", _CONNECTION, (name for name in messages if not name.startswith("client."))),
    }
    for name, kind, address in _addresses():
        typing = ["service.chat.typing"] if kind == CONVERSATION.name else []
        shown = [*(f"event.{about}" for about in EVENTS[kind]), *typing, "service.snapshot", "service.presence"]
        channels[name] = _channel(kind, address, shown)
        operations[f"show.{name}"] = _operation("send", name, shown)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "mesaya-ws",
            "version": __version__,
            "description": "The real-time gateway of MesaYA: a client subscribes to channels, and receives events.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"gateway": {"host": "localhost:8080", "protocol": "ws", "security": [{"$ref": _TOKEN}]}},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Private channels need a token; browsers send it as the sub-protocol `bearer.…`.",
                }
            },
        },
    }


_TOKEN = "#/components/securitySchemes/token"  # noqa: S105 - a reference


def asyncapi_route() -> Route:
    """Return the route."""
    encoded = orjson.dumps(document())

    async def answer(_: Request) -> Response:
        return Response(encoded, media_type="application/json")

    return Route("/asyncapi.json", answer)


def _addresses() -> Iterator[tuple[str, str, str]]:
    """Yield each sort of channel: what it is called here, its kind, and the form of its names."""
    for kind in RESTAURANT_KINDS:
        yield f"restaurant.{kind}", kind, f"restaurant:{{restaurantId}}:{kind}"
    for kind in USER_KINDS:
        yield f"user.{kind}", kind, f"user:{{userId}}:{kind}"
    for kind in GLOBAL_KINDS:
        yield f"global.{kind}", kind, f"global:{kind}"
    yield "restaurant.chat", CONVERSATION.name, f"restaurant:{{restaurantId}}:{CONVERSATION.name}:{{userId}}"
    yield "restaurant.chats", INBOX.name, f"restaurant:{{restaurantId}}:{INBOX.name}"
    yield "user.chats", INBOX.name, f"user:{{userId}}:{INBOX.name}"


def _channel(kind: str, address: str, messages: Iterable[str]) -> Schema:
    parameters = {
        name: {"description": f"The id of the {name.removesuffix('Id')}."}
        for name in ("restaurantId", "userId")
        if f"{{{name}}}" in address
    }
    who = "Some clients may see it only." if is_private(kind) else "Everybody may see it."
    channel: Schema = {"address": address, "description": who, "messages": _refs("#/components/messages", messages)}
    return {**channel, "parameters": parameters} if parameters else channel


def _message(name: str, schema: Schema) -> Schema:
    return {
        "name": name.partition(".")[2] if not name.startswith("event.") else schema["title"],
        "title": schema["title"],
        "summary": schema["description"],
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _refs(base: str, names: Iterable[str]) -> dict[str, Schema]:
    return {name: {"$ref": f"{base}/{name}"} for name in names}


def _operation(action: str, channel: str, messages: Iterable[str]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }
