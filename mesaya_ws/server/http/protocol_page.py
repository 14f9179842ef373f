"""`GET /asyncapi`: the description of the protocol as a page for people, made of `/asyncapi.json`.

The page is HTML and one style sheet, without a script: everything on it is there when it is loaded, also what a message
holds. It is made once, when the service starts, so it always says what the service does.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from re import sub
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.server.http.asyncapi import document
from mesaya_ws.server.http.schemas import Schema

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}

_SECTIONS = (
    ("client", "From the client", "JSON objects in text frames. Each may carry an id, which the answer repeats."),
    ("service", "From the service", "Answers, and what the service says by itself."),
    ("event", "Events", "What is published on channels. A position says where to go on from."),
)
"""The parts of the page that show messages: how their names begin, and what is said of them."""


def protocol_page_route() -> Route:
    """Return the route of the page."""
    content = protocol_page(document()).encode()

    async def answer(_: Request) -> Response:
        return Response(content, media_type="text/html; charset=utf-8", headers=dict(HEADERS))

    return Route("/asyncapi", answer)


def protocol_page(described: Schema) -> str:
    """Return a description in AsyncAPI 3 as HTML."""
    info, messages = described["info"], described["components"]["messages"]
    sections = [
        _section(
            begin, title, lead, [name for name in messages if name.startswith(f"{begin}.")], described["components"]
        )
        for begin, title, lead in _SECTIONS
    ]
    return "".join(
        (
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n",
            '<meta name=viewport content="width=device-width, initial-scale=1">\n',
            f"<title>The protocol of {escape(info['title'])}</title>\n<link rel=stylesheet href=/asyncapi.css>\n",
            f"</head>\n<body>\n<header>\n<h1>The protocol of {escape(info['title'])} {escape(info['version'])}</h1>\n",
            f"<p>{_text(info['description'])} The same for programs, in AsyncAPI {escape(described['asyncapi'])}: ",
            '<a href="/asyncapi.json">asyncapi.json</a>.</p>\n',
            _contents(messages),
            "</header>\n<main>\n",
            _channels(described),
            *sections,
            "</main>\n</body>\n</html>\n",
        )
    )


def _contents(messages: Mapping[str, Schema]) -> str:
    rows = ['<li><a href="#channels">Channels</a></li>']
    for begin, title, _ in _SECTIONS:
        names = (_link(name, messages[name]["name"]) for name in messages if name.startswith(f"{begin}."))
        rows.append(f'<li><a href="#{begin}">{title}</a>: {" ".join(names)}</li>')
    return f"<nav aria-label=Contents><ul>{''.join(rows)}</ul></nav>\n"


def _channels(described: Schema) -> str:
    messages = described["components"]["messages"]
    rows = []
    for channel in described["channels"].values():
        if channel["address"].startswith("/"):
            continue  # the WebSocket itself
        shown = " ".join(_link(name, messages[name]["name"]) for name in channel["messages"])
        address = sub(r"(\{\w+\})", r"<var>\1</var>", escape(channel["address"]))
        rows.append(f"<tr><td><code>{address}</code></td><td>{_text(channel['description'])}</td><td>{shown}</td></tr>")
    head = "<tr><th scope=col>name</th><th scope=col>who</th><th scope=col>what arrives</th></tr>"
    lead = "<p>What clients subscribe to, all on one WebSocket.</p>"
    return f"<section id=channels>\n<h2>Channels</h2>\n{lead}{_table(head, rows)}</section>\n"


def _section(id: str, title: str, lead: str, names: Iterable[str], components: Schema) -> str:
    articles = "".join(_message(name, components["messages"][name], components["schemas"][name]) for name in names)
    return f"<section id={id}>\n<h2>{title}</h2>\n<p>{lead}</p>\n{articles}</section>\n"


def _message(name: str, message: Schema, schema: Schema) -> str:
    title = f'<h3><a href="#{escape(name)}"><code>{escape(message["name"])}</code></a></h3>'
    return f'<article id="{escape(name)}">\n{title}\n<p>{_text(message["summary"])}</p>\n{_fields(schema)}</article>\n'


def _fields(schema: Schema) -> str:
    """Return a table of what an object may have; nothing for what is no object of known fields."""
    rows = [_row(name, depth, part, is_required) for name, depth, part, is_required in _flat(schema)]
    if not rows:
        return ""
    head = "<tr><th scope=col>field</th><th scope=col>type</th><th scope=col>meaning</th></tr>"
    return _table(head, rows)


def _flat(schema: Schema, depth: int = 0) -> Iterator[tuple[str, int, Schema, bool]]:
    """Yield the fields of an object, each followed by its own: name, depth, schema, and whether it must be there."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        yield name, depth, part, name in required
        yield from _flat(part, depth + 1)
        if isinstance(items := part.get("items"), dict):
            yield from _flat(items, depth + 1)
    for choice in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from _flat(choice, depth)


def _row(name: str, depth: int, schema: Schema, is_required: bool) -> str:
    note = "" if is_required else "<small>optional</small> "
    indent = f' class="in{min(depth, 3)}"' if depth else ""
    return (
        f"<tr><td{indent}><code>{escape(name)}</code></td><td>{_type(schema)}</td>"
        f"<td>{note}{_text(schema.get('description', ''))}</td></tr>"
    )


def _type(schema: Schema) -> str:
    """Return what a value may be, in words."""
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_value, schema["enum"]))
    if choices := (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        return " or ".join(dict.fromkeys(map(_type, choices)))
    types = schema.get("type", "any")
    words = " or ".join(types if isinstance(types, list) else [types])
    if isinstance(items := schema.get("items"), dict):
        words += f" of {_type(items)}"
    if "pattern" in schema:
        words += f" <code>{escape(schema['pattern'])}</code>"
    return words


def _value(value: Any) -> str:
    return f"<code>{escape(str(value))}</code>"


def _link(name: str, title: str) -> str:
    return f'<a href="#{escape(name)}"><code>{escape(title)}</code></a>'


def _table(head: str, rows: Iterable[str]) -> str:
    # A table that is too wide is scrolled by itself, with the keyboard as well.
    return (
        f"<div class=wide tabindex=0><table>\n<thead>{head}</thead>\n<tbody>{''.join(rows)}</tbody>\n</table></div>\n"
    )


def _text(words: str) -> str:
    """Return a sentence as HTML; what stands in `…` is code."""
    return sub(r"`(.+?)`", r"<code>\1</code>", escape(words, quote=False))
