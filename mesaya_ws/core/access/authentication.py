"""How the servers find out who a client is; `gateway.authenticator` answers."""

from enum import Enum
from typing import Protocol

from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity


class Unavailable(Enum):
    """Whether a token is good cannot be said now; it may be said a moment later."""

    KEYS = "The keys that tokens are verified with cannot be read from their issuer now: try again in a moment."
    REVOCATIONS = "Which tokens have been revoked is still being read from the event log: try again in a moment."

    @property
    def sentence(self) -> str:
        """Why not, in a sentence."""
        return self.value


class Authentication(Protocol):
    """Says whom a token names. Neither method raises, whatever the token is."""

    def authenticate_at_once(self, token: str | bytes) -> Identity | BadToken | None:
        """Return whom a token names, or what is wrong with it; None: only `authenticate` can say, which takes time.

        Takes a fraction of a millisecond. A token that was good before takes some microseconds.
        """
        ...

    async def authenticate(self, token: str | bytes) -> Identity | BadToken | Unavailable:
        """Return likewise; it may read keys and revocations first, for some seconds at most. It is a checkpoint."""
        ...


class NoKeys:
    """An `Authentication` for a service that has no keys: it says so of every token, without looking at it."""

    def authenticate_at_once(self, token: str | bytes) -> BadToken:
        """Return what is wrong."""
        return BadToken(Flaw.NO_KEY)

    async def authenticate(self, token: str | bytes) -> BadToken:
        """Return likewise."""
        return self.authenticate_at_once(token)
