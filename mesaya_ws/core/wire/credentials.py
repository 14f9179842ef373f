"""The token that a client brings with its WebSocket handshake; never in the query, which logs of proxies show."""

from typing import NamedTuple

from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.handshake import Head, HeadError, offered_subprotocols

BEARER = "bearer."
"""What a sub-protocol begins with that is a token: browsers let pages choose nothing else of a handshake."""


class Credentials(NamedTuple):
    """A token, and whether it came `in_header` (scripts, mobile) or as a sub-protocol (browsers)."""

    token: str
    in_header: bool

    def __repr__(self) -> str:
        return f"Credentials(in_header={self.in_header})"  # a token is for no log


def credentials_of(head: Head) -> Credentials | None:
    """Return the token of a handshake: `Authorization: Bearer …` (RFC 6750, 2.1), or a sub-protocol `bearer.…`.

    None: there is none; another scheme of `Authorization` is for a proxy. Raises `HeadError` when there are several.
    """
    headers, tokens = head.headers, []
    if "sec-websocket-protocol" in headers:
        tokens += [
            Credentials(name.removeprefix(BEARER), in_header=False)
            for name in offered_subprotocols(head)
            if name.startswith(BEARER)
        ]
    if (authorization := headers.get("authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            tokens.append(Credentials(token.strip(" \t"), in_header=True))
    if len(tokens) > 1:
        raise HeadError(
            http_errors.BAD_HANDSHAKE,
            "A handshake brings one token: as Authorization: Bearer …, or as one sub-protocol bearer.….",
        )
    return tokens[0] if tokens else None
