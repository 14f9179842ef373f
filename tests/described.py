"""Whether a message of the service is as /asyncapi.json describes it."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mesaya_ws.server.http.event_schemas import event_schemas
from mesaya_ws.server.http.message_schemas import SERVICE


@cache
def _validators() -> dict[str, Draft202012Validator]:
    schemas = {**SERVICE, **{f"event.{about}": schema for about, schema in event_schemas().items()}}
    return {name: Draft202012Validator(schema) for name, schema in schemas.items()}


def problem(message: dict[str, Any]) -> str | None:
    """Return what is wrong with a message that the service has sent; None: nothing."""
    kind = message.get("type", "")
    about, dot, _ = kind.partition(".")
    names = (kind, f"event.{kind}", f"event.{about}") if dot else (kind,)
    validator = next((_validators()[name] for name in names if name in _validators()), None)
    if validator is None:
        return f"no message of type {kind!r} is described"
    error = best_match(validator.iter_errors(message))
    return None if error is None else f"{error.json_path}: {error.message}"
