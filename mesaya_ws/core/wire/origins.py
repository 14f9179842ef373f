"""Origins of web pages (RFC 6454), and which of them may use the service."""

import re
from collections.abc import Collection

from attrs import frozen

from mesaya_ws.core.wire.hosts import LOOPBACK, split_port

DEFAULT_PORTS = {"http": 80, "https": 443}

_ADDRESS = re.compile(r"[0-9.]+")

_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@frozen
class Origin:
    """A page's scheme, host and port, in the form in which they are compared; a default port is left out."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def parse_origin(text: str) -> Origin | None:
    """Return the origin that is serialized as `text` (RFC 6454, 6.2), however it writes host and port; or None."""
    found = _ORIGIN.fullmatch(text)
    place = split_port(found[2]) if found else None
    if found is None or place is None:
        return None
    return _origin(found[1].lower(), *place)


def canonical_origin(text: str) -> str | None:
    """Return `text` as browsers send it in the header Origin; None when no browser ever sends that.

    Next to origins there are `null`, which sandboxed pages and local files send, and `file://`, of Android's WebView.
    """
    if (lower := text.lower()) in ("null", "file://"):
        return lower
    origin = parse_origin(text)
    return None if origin is None else str(origin)


def may_use(origin: str, host: str, allowed: Collection[str], *, auth: bool) -> bool:
    """Return whether a page of `origin` may use the service, which it called by the name `host[:port]`.

    It may when it is among `allowed` (canonical origins, or `*`), or has been loaded from `host`: there a proxy serves
    both, or a native client sends what it connects to. Without `auth` the latter is no proof, since a page can have its
    own name lead to this machine (DNS rebinding) and would read private channels; instead, pages of this machine may.
    """
    if "*" in allowed or origin in allowed:
        return True
    if not origin.isascii():  # browsers send A-labels; to convert what others send would cost more than a handshake
        return False
    # Some native clients end it with a slash, which no browser does, and which cannot be listed.
    page = parse_origin(origin.removesuffix("/"))
    if page is None:
        return False
    if str(page) in allowed:
        return True
    if page.scheme not in DEFAULT_PORTS:
        return False
    if not auth:
        return page.host in LOOPBACK
    place = split_port(host)
    return place is not None and page == _origin(page.scheme, *place)


def may_be_rebound(host: str, allowed: Collection[str]) -> bool:
    """Return whether a page of anybody may have been loaded from `host[:port]`, which a request has as its Host.

    Whoever owns a name can have it lead to this machine (DNS rebinding); then no browser says that the page is another
    one's. Nobody owns addresses, names of this machine, those without a dot, or the hosts of `allowed` origins.
    """
    place = split_port(host)
    if place is None or "*" in allowed:
        return False
    name = place[0].removesuffix(".")
    if "." not in name or name.endswith(".localhost") or name.startswith("[") or _ADDRESS.fullmatch(name):
        return False
    return name not in {origin.host for origin in map(parse_origin, allowed) if origin is not None}


def _origin(scheme: str, host: str, port: int | None) -> Origin:
    return Origin(scheme, host, None if port == DEFAULT_PORTS.get(scheme) else port)
