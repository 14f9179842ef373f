"""Who sessions are, from when until when; and what ends when that ends, or when the log takes a right away.

| event | what happens |
|---|---|
| connected without an identity, AUTH_REQUIRED | after HANDSHAKE_TIMEOUT: closed with 4401 |
| signed in, or renewed | the end of the token counts from now on; private channels are asked for again |
| 30 to 90 s before the end | `token_expiring`, at random, so that those who signed in together do not renew together |
| the end, and the leeway later | the identity ends: `token_expired` |
| the token is revoked | the identity ends: `revoked` |
| the client signs out | the identity ends: `signed_out` |
| the identity has ended, AUTH_REQUIRED | within 5 s, at random: closed with 4401 |
| a record changes an owner, or roles | subscriptions without a right end: `rights_changed` |

When an identity ends, so do the subscriptions that need one; public ones go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from mesaya_ws.core.access.rights_changes import RightsChange
from mesaya_ws.core.session.authenticating import end_identity, warn_of_expiry
from mesaya_ws.core.session.deadlines import Deadlines
from mesaya_ws.core.session.directory import SessionDirectory
from mesaya_ws.core.session.rights import ask_again, ask_again_for_all
from mesaya_ws.core.wire import codes

if TYPE_CHECKING:
    from mesaya_ws.core.access.identity import Identity
    from mesaya_ws.core.session.session import Session

WARNED_BEFORE = (30.0, 90.0)
"""Seconds before the end of a token in which that is announced to the client."""

CLOSED_WITHIN = 5.0
"""Seconds within which those are closed who have lost their identities: they may be many, and come back at once."""

ASKED_AT_ONCE = 50
"""Sessions that are asked about their rights, or informed of their tokens, in one step, at up to some 50 µs each."""


@frozen
class IdentityRules:
    """The settings MAX_CONNECTIONS_PER_USER (0: no limit), JWT_LEEWAY, AUTH_REQUIRED and HANDSHAKE_TIMEOUT."""

    max_per_user: int = 0
    leeway: float = 5.0
    required: bool = False
    patience: float = 10.0


def _midway(first: float, last: float) -> float:
    return (first + last) / 2


@define(eq=False)
class SessionIdentities:
    """Keeps track of who the sessions of this instance are; times are seconds since 1970, and passed by the caller.

    Methods that visit many sessions yield on the way, so that others have their turn; sessions may come, go and change
    meanwhile. Whoever owns this calls `run` when something is due (`deadlines.next`). `uniform` draws a number between
    two others; by default, it is the one midway.
    """

    rules: IdentityRules = IdentityRules()
    _uniform: Callable[[float, float], float] = _midway
    directory: SessionDirectory = field(init=False)
    deadlines: Deadlines[Session] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.directory = SessionDirectory(self.rules.max_per_user)
        self.deadlines = Deadlines()

    def connected(self, session: Session, now: float) -> None:
        """Note a session of which is not known who it is."""
        if self.rules.required:
            self.deadlines.set(session, now + self.rules.patience)

    def enter(self, session: Session, identity: Identity, now: float) -> bool:
        """Note who a session is from now on; return False, and note nothing, if that user has too many sessions."""
        if not self.directory.enter(identity.user, session):
            return False
        self.deadlines.set(session, max(now, identity.expires_at - self._uniform(*WARNED_BEFORE)))
        return True

    def ended(self, session: Session, user: str, now: float) -> None:
        """Note that a session has lost its identity."""
        self.directory.leave(user, session)
        if self.rules.required:
            self.deadlines.set(session, now + self._uniform(0, CLOSED_WITHIN))
        else:
            self.deadlines.cancel(session)

    def left(self, session: Session) -> None:
        """Forget a session, whose subscriptions have ended."""
        if session.identity is not None:
            self.directory.leave(session.identity.user, session)
        self.deadlines.cancel(session)

    def run(self, now: float) -> Iterator[None]:
        """Do what is due."""
        number = 0
        while (session := self.deadlines.pop(now)) is not None:
            self._due(session, now)
            number += 1
            if number % ASKED_AT_ONCE == 0:
                yield

    def _due(self, session: Session, now: float) -> None:
        identity = session.identity
        if identity is None:
            if self.rules.required:
                session.close(codes.UNAUTHENTICATED)
            return
        end = identity.expires_at + self.rules.leeway
        if now >= end:
            end_identity(session, codes.TOKEN_EXPIRED, now)
            return
        if now < identity.expires_at:
            warn_of_expiry(session, now)
        self.deadlines.set(session, end)

    def revoked(
        self, users: Iterable[str], is_revoked: Callable[[str, float | None], bool], now: float
    ) -> Iterator[None]:
        """End the identities of users that came of tokens which are revoked."""
        number = 0
        for user in users:
            for session in self.directory.sessions_of(user):
                identity = session.identity
                if identity is not None and identity.user == user and is_revoked(user, identity.issued_at):
                    end_identity(session, codes.REVOKED, now)
                number += 1
                if number % ASKED_AT_ONCE == 0:
                    yield

    def apply(self, changes: Iterable[RightsChange]) -> Iterator[None]:
        """End the subscriptions that have lost their right; to be done before another record is published."""
        number = 0
        for change in changes:
            for channel in self.directory.all_channels() if change.everybody else change.channels:
                for session in self.directory.sessions_on(channel):
                    ask_again(session, channel)
                    number += 1
                    if number % ASKED_AT_ONCE == 0:
                        yield
            for user in change.users:
                for session in self.directory.sessions_of(user):
                    ask_again_for_all(session)
                    number += 1
                    if number % ASKED_AT_ONCE == 0:
                        yield
