"""Who a session of the client is: a token, or something that gets one; or a name, where the gateway has AUTH=off."""

import re
from collections.abc import Awaitable, Callable
from math import inf

import trio
from attrs import define

from mesaya_ws.client.connection import NotConnectedError, RefusedError
from mesaya_ws.client.timings import DEFAULTS, Timings
from mesaya_ws.core.wire.codes import BAD_TOKEN, UNAUTHENTICATED

Token = str | Callable[[], Awaitable[str]]
"""A token, or an async function that returns one that is good for some time."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_REFUSALS = (BAD_TOKEN.name, UNAUTHENTICATED.name)


@define(eq=False)
class Credentials:
    """Gets tokens, for new connections (`token_now`) and for the present one (`renewed`).

    A token is fetched anew for each connection, so one that was refused is followed by another one, once in a row:
    `is_final` says which refusals are.
    """

    token: Token | None = None
    user: str | None = None
    roles: tuple[str, ...] = ()
    timings: Timings = DEFAULTS
    _fetched_at: float = -inf
    _connections: int = 0
    _refused_on: int | None = None
    """The number of the connection on which a token was refused, if none has been taken since."""

    @property
    def can_renew(self) -> bool:
        """Whether there can be another token than the present one."""
        return callable(self.token)

    async def token_now(self) -> str | None:
        """Return a token for a new connection; None: it has none.

        Raises `NotConnectedError` where it cannot be had now, and whatever else the function raises.
        """
        self._connections += 1
        return await self._fetch()

    async def _fetch(self) -> str | None:
        if self.token is None or isinstance(self.token, str):
            await trio.lowlevel.checkpoint()
            return self.token
        self._fetched_at = trio.current_time()
        timeout = self.timings.token_timeout
        try:
            with trio.move_on_after(timeout):
                token = await self.token()
                require_token(token)
                return token
        except OSError as error:
            raise NotConnectedError(f"there is no token ({error.strerror or type(error).__name__})") from error
        raise NotConnectedError(f"there is no token (none within {timeout:.0f} s)")

    async def renewed(self) -> str | None:
        """Return another token than the present one, not too soon after it; see `token_now`."""
        await trio.sleep_until(self._fetched_at + self.timings.token_interval)
        return await self._fetch()

    def is_final(self, refusal: RefusedError) -> bool:
        """Return whether a refusal makes another attempt pointless; note that there was one.

        That a connection is closed for want of a token is none of its own where one was bad: it was for want of that.
        """
        if refusal.code not in _REFUSALS or not self.can_renew:
            return True
        if refusal.code == UNAUTHENTICATED.name and self._refused_on == self._connections:
            return False
        is_second = self._refused_on is not None
        self._refused_on = self._connections
        return is_second

    def accepted(self) -> None:
        """Note that the gateway has taken a token."""
        self._refused_on = None


def require_token(token: str) -> None:
    """Raise `ValueError` unless `token` can stand in a header (RFC 6750, 2.1); the message does not repeat it."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token consists of letters, digits and -._~+/ alone")
