#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'
"""The types of the events that the JavaScript client receives, made of the description of the protocol."""

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mesaya_ws.server.http.asyncapi import document

PAGE = Path(__file__).parent.parent / "mesaya_ws" / "web" / "client" / "mesaya-ws-messages.d.ts"
HEAD = """/**
 * The events of the gateway's channels, made by `scripts/client_types.py` of the description of its protocol
 * (`/asyncapi.json`): what is changed here is overwritten.
 */

interface Passing {
  readonly channel: string;
}

interface Placed extends Passing {
  /** Where to resume from, to receive what follows. */
  readonly position: string;
  /** When it happened, as the platform says it. */
  readonly timestamp: string;
}
"""
COMMON = ("channel", "position", "timestamp")
PLAIN = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def types() -> str:
    """Return the module of the types."""
    schemas = document()["components"]["schemas"]
    events = list(dict.fromkeys(name for channel in channels() for name in events_of(channel)))
    rows = "\n".join(f"  | {title_of(name)}" for name in events if name.startswith("event."))
    parts = [
        HEAD,
        *(interface(name, schemas[name]) for name in events),
        f"/** Any event that the log holds. */\nexport type AnyEvent =\n{rows};\n",
        message_of(),
    ]
    return "\n".join(parts)


def channels() -> list[dict[str, Any]]:
    """Return the sorts of channels, without the WebSocket itself."""
    return [each for each in document()["channels"].values() if not each["address"].startswith("/")]


def events_of(channel: dict[str, Any]) -> list[str]:
    """Return the names of what arrives on a channel, beside its state and who is there."""
    return [name for name in channel["messages"] if name not in ("service.snapshot", "service.presence")]


def title_of(name: str) -> str:
    """Return what the type of an event is called: that of `event.section_object` is `SectionObjectEvent`."""
    return "".join(word.capitalize() for word in re.split(r"[._]", name.partition(".")[2])) + "Event"


def interface(name: str, schema: dict[str, Any]) -> str:
    """Return the type of an event."""
    about = name.partition(".")[2]
    kind = "Placed" if "position" in schema["properties"] else "Passing"
    fields = "".join(f"  {line}\n" for line in fields_of(schema, about, COMMON))
    return f"/** {schema['description']} */\nexport interface {title_of(name)} extends {kind} {{\n{fields}}}\n"


def fields_of(schema: dict[str, Any], about: str = "", left_out: Collection[str] = ()) -> Iterator[str]:
    """Yield the fields of an object, each in as many lines as it takes."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        if name in left_out:
            continue
        if description := part.get("description"):
            yield f"/** {description} */"
        # Of some events any word may follow, of which a pattern is all that is said.
        is_open = name == "type" and not part.keys() & {"const", "enum"}
        kind = f"`{about}.${{string}}`" if is_open else type_of(part)
        lines = f"readonly {name}{'' if name in required else '?'}: {kind};"
        yield from lines.split("\n")
    if schema.get("additionalProperties", True):
        yield "readonly [field: string]: any;"


def type_of(schema: dict[str, Any]) -> str:
    """Return the type of what a schema describes."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if choices := (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        return " | ".join(dict.fromkeys(map(type_of, choices)))
    kinds = schema.get("type", [])
    return (
        " | ".join(type_of_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)) or "unknown"
    )


def type_of_kind(kind: str, schema: dict[str, Any]) -> str:
    """Return the type of those values that are of one kind of JSON's."""
    if kind == "array":
        items = type_of(schema["items"]) if "items" in schema else "any"
        return f"readonly ({items})[]" if re.search(r"[\s|]", items) else f"readonly {items}[]"
    if kind == "object":
        fields = "".join(f"  {line}\n" for line in fields_of(schema))
        return f"{{\n{fields}}}"
    return PLAIN[kind]


def message_of() -> str:
    """Return the type that knows the events of a channel by its name."""
    forms = []
    for channel in channels():
        name = re.sub(r"\{\w+\}", "${string}", channel["address"])
        forms.append((f"Channel extends `{name}`", " | ".join(map(title_of, events_of(channel)))))
    # The more of a name is given, the earlier it is tried.
    forms.sort(key=lambda form: -form[0].count(":"))
    rows = "\n  : ".join(f"{condition}\n  ? {events}" for condition, events in forms)
    head = "/** The events of a channel, by its name. */\nexport type MessageOf<Channel extends string>"
    return f"{head} = {rows}\n  : AnyEvent;\n"


def main() -> None:
    """Show the types, or write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(types(), encoding="utf-8")
    else:
        sys.stdout.write(types())


if __name__ == "__main__":
    main()
