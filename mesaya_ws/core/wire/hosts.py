"""Names and addresses of hosts, in the one form in which they can be compared."""

import re
from ipaddress import IPv4Address, IPv6Address

import idna

LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))

_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def canonical_host(text: str) -> str | None:
    """Return a host as URLs write it: lower case, A-labels (RFC 5890), IPv6 in brackets; None when `text` is no host.

    Names may have underscores, which DNS and containers know; what ends in a number is an address, as in browsers.
    """
    if len(text) > 254:  # more than DNS has room for; nothing below sees it
        return None
    if text.startswith("[") and text.endswith("]"):
        try:
            return f"[{IPv6Address(text[1:-1])}]" if "%" not in text else None
        except ValueError:
            return None
    name = text.lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    if not _NAME.fullmatch(name):
        return None
    if _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            return None
    return name


def split_port(text: str) -> tuple[str, int | None] | None:
    """Return the canonical host and the port, None if there is none, of `host[:port]`; None when `text` is not that."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?", text)
    host = canonical_host(found[1]) if found else None
    if found is None or host is None:
        return None
    port = int(found[2]) if found[2] else None
    return (host, port) if port is None or port <= 65535 else None
