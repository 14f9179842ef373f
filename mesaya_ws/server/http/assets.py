"""`/client/…` and `/console`: the JavaScript client that fits this service, and its console, as they are packaged."""

import gzip
from collections.abc import Iterator, Mapping
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from types import MappingProxyType

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_CONTENT_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
"""By the end of a file's name; a browser runs no module that has another type. Other files are not handed out."""

_CONSOLE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""What the console may do: run what comes from here, without a line of script or style in the page, and without a way
to make HTML of a text. Somebody may have signed in there, so no other page may frame it, or hold on to its window."""


@frozen
class Asset:
    """A file that never changes while the process lives: its bytes, as they are and packed, and its entity tag."""

    content_type: str
    content: bytes
    packed: bytes
    tag: str
    headers: Mapping[str, str]


def client_routes() -> list[Route]:
    """Return `/client/mesaya-ws.js`, with the parts that it loads when they are needed, and its types beside it."""
    folder = files("mesaya_ws") / "web" / "client"
    handed_out = (entry for entry in folder.iterdir() if PurePath(entry.name).suffix in (".js", ".ts"))
    return [_asset_route(f"/client/{entry.name}", _asset(entry)) for entry in handed_out]


def console_routes() -> list[Route]:
    """Return `/console`, which is a page, and below it all that the page loads."""
    folder = files("mesaya_ws") / "web" / "console"
    routes = [_asset_route("/console", _asset(folder / "index.html", _CONSOLE_HEADERS))]
    for path, file in _files_in(folder, "/console"):
        routes.append(_asset_route(path, _asset(file, _CONSOLE_HEADERS)))
    return routes


def protocol_style_route() -> Route:
    """Return `/asyncapi.css`, the style sheet of the page of the protocol."""
    return _asset_route("/asyncapi.css", _asset(files("mesaya_ws") / "web" / "protocol" / "asyncapi.css"))


def _files_in(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    """Yield the files of a folder that are handed out, each with the path at which that is."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files_in(entry, f"{path}/{entry.name}")
        elif PurePath(entry.name).suffix in _CONTENT_TYPES:
            yield f"{path}/{entry.name}", entry


def _asset(file: Traversable, headers: Mapping[str, str] = MappingProxyType({})) -> Asset:
    content = file.read_bytes()
    content_type = _CONTENT_TYPES[PurePath(file.name).suffix]
    return Asset(content_type, content, gzip.compress(content, mtime=0), sha256(content).hexdigest()[:32], headers)


def _asset_route(path: str, asset: Asset) -> Route:
    """Return a route that answers with an asset.

    It may be kept, but not used without asking whether it still fits (RFC 9111, 5.2.2.4), as the service may be another
    one by then; asking costs a request without a body.
    """

    async def answer(request: Request) -> Response:
        packed = _takes_gzip(request.headers.get("accept-encoding", ""))
        # Two representations have two tags (RFC 9110, 8.8.3.3).
        tag = f'"{asset.tag}{"-gzip" if packed else ""}"'
        headers = {
            "ETag": tag,
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            **asset.headers,
        }
        if _is_among(tag, request.headers.get("if-none-match", "")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(asset.packed if packed else asset.content, headers=headers, media_type=asset.content_type)

    return Route(path, answer)


def _takes_gzip(accepted: str) -> bool:
    """Return whether an `Accept-Encoding` takes gzip (RFC 9110, 12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _is_among(tag: str, tags: str) -> bool:
    """Return whether an `If-None-Match` names a tag; weak ones count, too (RFC 9110, 13.1.2)."""
    return tags.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in tags.split(","))
