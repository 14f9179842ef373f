"""What JSON Schemas (2020-12) of messages are made of, in both directions.

Messages are described in `message_schemas`, events in `event_schemas`; `asyncapi` puts them together.
"""

from collections.abc import Collection, Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
SECONDS: Schema = {"type": "number", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}
CHANNEL: Schema = {"type": "string", "description": "The channel's name."}
POSITION: Schema = {"type": "string", "description": "A place on the channel, to resume from; opaque."}


def shape(properties: Mapping[str, Schema], optional: Collection[str] = ()) -> Schema:
    """Return the schema of an object that has these properties and no others, all but the `optional` ones always."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}
