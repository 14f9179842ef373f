"""Which WebSocket handshakes are accepted, and whom the token of one names.

more handshakes of the address than there may be?  ─▶ 429
not a handshake of RFC 6455, or of a foreign page? ─▶ 4xx
two tokens?                                        ─▶ 400
a bad one, in the header `Authorization`           ─▶ 401
a bad one, as a sub-protocol                       ─▶ opened, sent an error, and closed: a page cannot see a status
"""

from typing import NamedTuple

import trio

from mesaya_ws.core.access.authentication import Authentication, Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.credentials import credentials_of
from mesaya_ws.core.wire.handshake import Head, HeadError, accept_websocket
from mesaya_ws.server.address_limits import AddressLimits
from mesaya_ws.settings import Settings

Caller = Identity | BadToken | Unavailable | None
"""Whom the token of a handshake names, or why it names nobody; None: there was no token, or no token counts."""


class Admitted(NamedTuple):
    """A handshake that is accepted: the `answer` that opens the WebSocket, and who the client is."""

    answer: bytes
    caller: Caller = None


class Admission:
    """Decides on handshakes; without `authentication`, tokens are ignored, as nobody can say whom they name."""

    def __init__(self, settings: Settings, addresses: AddressLimits, authentication: Authentication | None) -> None:
        self._settings = settings
        self._addresses = addresses
        self._authentication = authentication

    def admit_reader(self, address: str | None) -> None:
        """Count a request for events by HTTP, which costs as much as a handshake. Raises `HeadError`."""
        if address is not None and not self._addresses.admit_handshake(address, trio.current_time()):
            raise _TOO_MANY_HANDSHAKES

    async def admit(self, head: Head, address: str | None) -> Admitted:
        """Return the answer to a handshake that came from `address` (None: not known). Raises `HeadError`.

        It waits only where the issuer's keys must be read first.
        """
        self.admit_reader(address)
        answer = accept_websocket(head, self._settings.allowed_origins, auth=self._settings.auth)
        credentials = credentials_of(head)
        if credentials is None or self._authentication is None:
            return Admitted(answer)
        caller: Caller = self._authentication.authenticate_at_once(credentials.token)
        if caller is None:
            caller = await self._authentication.authenticate(credentials.token)
        if credentials.in_header:
            _refuse_by_http(caller)
        return Admitted(answer, caller)


def _refuse_by_http(caller: Caller) -> None:
    """Raise `HeadError` for a token that names nobody, whose client can see an answer by HTTP."""
    if isinstance(caller, BadToken):
        raise HeadError(http_errors.BAD_TOKEN, caller.sentence, ("WWW-Authenticate", 'Bearer error="invalid_token"'))
    if isinstance(caller, Unavailable):
        raise HeadError(http_errors.UNAVAILABLE, caller.sentence, ("Retry-After", "1"))


_TOO_MANY_HANDSHAKES = HeadError(
    http_errors.TOO_MANY_HANDSHAKES,
    "This address opens WebSockets too often (HANDSHAKES_PER_SECOND); try again later.",
    ("Retry-After", "5"),
)
