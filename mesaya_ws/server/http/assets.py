"""`/client/…`: the JavaScript client that fits this service, as the package holds it."""

import gzip
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_CONTENT_TYPES: Mapping[str, str] = {
    "mesaya-ws.js": "text/javascript; charset=utf-8",
    "mesaya-ws.d.ts": "text/plain; charset=utf-8",
}
"""The files of the client, each with its content type; a browser runs no module that has another one."""


@frozen
class Asset:
    """A file that never changes while the process lives: its bytes, as they are and packed, and its entity tag."""

    content_type: str
    content: bytes
    packed: bytes
    tag: str


def client_routes() -> list[Route]:
    """Return `/client/mesaya-ws.js`, and its types beside it."""
    folder = files("mesaya_ws") / "web" / "client"
    return [
        _asset_route(f"/client/{name}", _asset((folder / name).read_bytes(), content_type))
        for name, content_type in _CONTENT_TYPES.items()
    ]


def _asset(content: bytes, content_type: str) -> Asset:
    return Asset(content_type, content, gzip.compress(content, mtime=0), sha256(content).hexdigest()[:32])


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
