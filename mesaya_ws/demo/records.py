"""Records of the demo, in the envelopes of the platform's backend."""

from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

import orjson

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.platform.topics import topic_of

Fields = dict[str, Any]


def new_id(random: Random) -> str:
    """Return a random UUID (version 4) that `random` decides."""
    return str(UUID(int=random.getrandbits(128), version=4))


def fixed_id(seed: int, *names: object) -> str:
    """Return the id of a thing that is the same in every run of the demo with this seed."""
    return new_id(Random(":".join(map(str, (seed, *names)))))


def record(
    domain: str, what: str, id: str, data: Mapping[str, Any], now: int, *, subtype: str = "", user: str = ""
) -> NewRecord:
    """Return a record that says what happened to an entity at the time `now`, in ms since the epoch.

    `user` is who acted. The record has the entity's id as its key, as docs/backend.md asks of the platform, so that
    its order holds with several partitions, too.
    """
    envelope: Fields = {"timestamp": platform_time(now), "event_type": what, "entity_id": id}
    if subtype:
        envelope["entity_subtype"] = subtype
    envelope["data"] = data
    if user:
        envelope["metadata"] = {"user_id": user}
    return NewRecord(topic_of(domain), orjson.dumps(envelope), id.encode())


def sign_up(user: str, first_name: str, last_name: str, role: str, now: int, correlation: str) -> NewRecord:
    """Return the record of the auth service that says that somebody has signed up."""
    envelope = {
        "type": "user.signed-up",
        "payload": {
            "userId": user,
            "email": f"{user[:8]}@example.com",
            "firstName": first_name,
            "lastName": last_name,
            "roles": [role],
        },
        "timestamp": platform_time(now),
        "correlationId": correlation,
    }
    return NewRecord(topic_of("auth"), orjson.dumps(envelope), user.encode())
