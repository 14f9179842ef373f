"""What the values of settings must be, each as an attrs validator that raises `ValueError` with a sentence."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from mesaya_ws.core.wire.hosts import canonical_host, split_port
from mesaya_ws.core.wire.origins import canonical_origin


def within(low: float, high: float) -> Callable[[object, "attrs.Attribute[Any]", float], None]:
    """Return an attrs validator for numbers from `low` to `high`."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"{attribute.name.upper()} must be from {low} to {high}, not {value}")

    return check


def one_of(*words: str) -> Callable[[object, "attrs.Attribute[Any]", str], None]:
    """Return an attrs validator for one of `words`."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name.upper()} must be one of {', '.join(words)}, not {value!r}")

    return check


def some_of(*words: str) -> Callable[[object, "attrs.Attribute[Any]", tuple[str, ...]], None]:
    """Return an attrs validator for any of `words`."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
        if foreign := [word for word in value if word not in words]:
            raise ValueError(f"{attribute.name.upper()} must be some of {', '.join(words)}, not {foreign[0]!r}")

    return check


def as_browsers_send(origins: Iterable[str]) -> tuple[str, ...]:
    """Convert origins to what can be compared with the header Origin (RFC 6454); what is no origin stays as it is."""
    return tuple(canonical_origin(origin) or origin for origin in origins)


def origins(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate origins that browsers send, and `*` for all."""
    for origin in value:
        if origin != "*" and canonical_origin(origin) is None:
            raise ValueError(
                f"{attribute.name.upper()} must be origins as browsers send them, such as https://app.example:8443 "
                f"(no path, no wildcard within), or `*` for all, not {origin!r}"
            )


def a_host(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate a host to listen on: an address, an IPv6 one without brackets, or a name."""
    with suppress(ValueError):
        ip_address(value)
        return
    if canonical_host(value) is None or value.startswith("["):
        raise ValueError(f"{attribute.name.upper()} must be an address or a name, such as 0.0.0.0, not {value!r}")


def plain_hosts(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate names of hosts in lower case, without ports."""
    for host in value:
        if canonical_host(host) != host:
            raise ValueError(f"{attribute.name.upper()} must be hosts such as files.example, not {host!r}")


def networks(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate IP addresses, and networks in CIDR notation without bits beyond their length."""
    for network in value:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(
                f"{attribute.name.upper()} must be addresses or networks such as 10.0.0.0/8, not {network!r} ({error})"
            ) from None


def brokers(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate `host:port`s."""
    for broker in value:
        place = split_port(broker)
        if place is None or not place[1]:
            raise ValueError(f"{attribute.name.upper()} must be host:port separated by commas, not {broker!r}")


def named_like_topics(_: object, attribute: "attrs.Attribute[Any]", value: str | tuple[str, ...]) -> None:
    """Validate one or several names that Kafka accepts for a topic; an empty one is valid, too."""
    for name in (value,) if isinstance(value, str) else value:
        if name and (name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name)):
            raise ValueError(f"{attribute.name.upper()} must be 1-249 of A-Z a-z 0-9 . _ -, not {name!r}")


def a_time_zone(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate a name of the IANA time zone database."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; no such path; a directory of names
        raise ValueError(
            f"{attribute.name.upper()} must be a time zone by its IANA name, such as America/Guayaquil or UTC, "
            f"not {value!r}"
        ) from None


def an_http_url(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate the beginning of an HTTP URL, without user, query and fragment; an empty one is valid, too."""
    found = re.fullmatch(r"https?://([^/]+)(?:/[!$&-;=A-Z_a-z~]*)?", value, re.IGNORECASE)
    place = split_port(found[1]) if found else None
    if value and (place is None or place[1] == 0):
        raise ValueError(f"{attribute.name.upper()} must be like http://backend:3000/api/v1, with no user or query")


def a_bearer_token(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate a token that a header can hold (RFC 9110, 5.5); an empty one is valid, too."""
    if re.search("[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError(f"{attribute.name.upper()} must be one line of text, in UTF-8, without control characters")


def public_keys_in_pem(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate public keys that tokens can be verified with; an empty text is valid, too."""
    if value:
        # It takes 40 ms to import: only who has keys waits for that.
        from mesaya_ws.core.access.keys import public_keys

        _must_be_read(public_keys, attribute, value)


def a_secret_key(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate a secret that tokens can be signed with; an empty one is valid, too."""
    if value:
        from mesaya_ws.core.access.keys import secret_key

        _must_be_read(secret_key, attribute, value)


def _must_be_read(read: Callable[[str], object], attribute: "attrs.Attribute[Any]", text: str) -> None:
    try:
        read(text)
    except ValueError as error:  # which never holds anything of the text
        raise ValueError(f"{attribute.name.upper()} {error}") from None


def a_key_set_url(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate an HTTPS URL, or an HTTP one of this machine, without user, query and fragment; or an empty text."""
    found = re.fullmatch(r"(https?)://([^/]+)(?:/[!$&-;=A-Z_a-z~]*)?", value, re.IGNORECASE)
    place = split_port(found[2]) if found else None
    if not value or (found and place and place[1] != 0 and (found[1].lower() == "https" or is_loopback(place[0]))):
        return
    raise ValueError(
        f"{attribute.name.upper()} must be like https://auth.example/.well-known/jwks.json, with no user or query; "
        "`http:` is for this machine alone, as anybody on the way could give other keys"
    )


def is_loopback(host: str) -> bool:
    """Return whether a canonical host is this machine."""
    with suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost"
