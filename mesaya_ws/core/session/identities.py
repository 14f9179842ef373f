"""Who the sessions of an instance are: noted as clients sign in and out, and when something is due for each of them.

What happens then, and in which other cases an identity ends, is in `identity_changes`.
"""

from collections.abc import Callable, Hashable
from math import floor, inf
from typing import Generic, TypeVar

from attrs import define, field, frozen

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.deadlines import Deadlines
from mesaya_ws.core.session.directory import SessionDirectory

S = TypeVar("S", bound=Hashable)

WARNED_BEFORE = (30.0, 90.0)
"""Seconds before the end of a token in which that is announced to the client."""

CLOSED_WITHIN = 5.0
"""Seconds within which those are closed who have lost their identities: they may be many, and come back at once."""


@frozen
class IdentityRules:
    """The settings MAX_CONNECTIONS_PER_USER (0: no limit), JWT_LEEWAY, AUTH_REQUIRED and HANDSHAKE_TIMEOUT."""

    max_per_user: int
    leeway: float
    required: bool
    patience: float


@define(eq=False)
class SessionIdentities(Generic[S]):
    """Keeps track of who the sessions of this instance are; times are seconds since 1970, and passed by the caller.

    Whoever owns this calls `identity_changes.run_due` when something is due (`deadlines.next`). `uniform` draws a
    number between two others.
    """

    rules: IdentityRules
    _uniform: Callable[[float, float], float]
    directory: SessionDirectory[S] = field(init=False)
    deadlines: Deadlines[S] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.directory = SessionDirectory(self.rules.max_per_user)
        self.deadlines = Deadlines()

    def connected(self, session: S, now: float) -> None:
        """Note a session of which is not known who it is."""
        if self.rules.required:
            self.deadlines.set(session, now + self.rules.patience)

    def enter(self, session: S, identity: Identity, now: float) -> bool:
        """Note who a session is from now on; return False, and note nothing, if that user has too many sessions."""
        if not self.directory.enter(identity.user, session):
            return False
        self.deadlines.set(session, max(now, identity.expires_at - self._uniform(*WARNED_BEFORE)))
        return True

    def ended(self, session: S, user: str, now: float) -> None:
        """Note that a session has lost its identity."""
        self.directory.leave(user, session)
        if self.rules.required:
            self.deadlines.set(session, now + self._uniform(0, CLOSED_WITHIN))
        else:
            self.deadlines.cancel(session)

    def left(self, session: S, identity: Identity | None) -> None:
        """Forget a session, whose subscriptions have ended, and who it was."""
        if identity is not None:
            self.directory.leave(identity.user, session)
        self.deadlines.cancel(session)


def introduction(identity: Identity | None, now: float) -> dict[str, object]:
    """Return who a client is, as `welcome` says it: the user, the roles, and in how many seconds that ends."""
    if identity is None:
        return {}
    left = None if identity.expires_at == inf else max(0, floor(identity.expires_at - now))
    return {"user": identity.user, "roles": identity.roles, "expiresIn": left}
