"""Where a client is: its address behind proxies, and what counts as one address."""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from mesaya_ws.core.wire.hosts import split_port

MAX_PROXIES = 32
"""Addresses of `X-Forwarded-For` that are read, from its end: proxies in a row. Real chains have two or three."""

_SITE_BITS = 64
"""Of an IPv6 address: the network that a host gets at least, and all of whose addresses it can use (RFC 4291)."""


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that `text` is, also with a port or in brackets, as proxies write it; None if it is none.

    An IPv4 address that is mapped into IPv6 (RFC 4291, 2.5.5.2) is that IPv4 address.
    """
    if len(text) > 100:  # nothing below sees what no address can be
        return None
    for host in (text, (split_port(text) or ("",))[0].strip("[]")):
        with suppress(ValueError):
            address = ip_address(host)
            return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return None


def address_key(host: str) -> str:
    """Return what stands for all addresses that one client can have: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in host:
        return host
    address = parse_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SITE_BITS), strict=False))
    return host if address is None else str(address)


class TrustedProxies:
    """The proxies whose word is taken for where a client is; `networks` are addresses and networks in CIDR notation.

    Raises `ValueError` when one of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def trusts(self, host: str) -> bool:
        """Return whether `host` is the address of one of them."""
        return bool(self._networks) and self._includes(parse_address(host.partition("%")[0]))

    def client_of(self, proxy: str, forwarded_for: str) -> str:
        """Return where the client of a trusted `proxy` is, by the header `X-Forwarded-For` that the proxy has sent.

        Each proxy appends whom it talks to, so the right-most address that is not trusted is the client's; what is left
        of it is the client's own claim. Where the list ends, or holds no address, it is the last trusted one.
        """
        client = proxy
        for text in reversed(forwarded_for.rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]):
            address = parse_address(text.strip(" \t"))
            if address is None:
                return client
            client = str(address)
            if not self._includes(address):
                return client
        return client

    def _includes(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)
