"""Finds out who clients are that say so while they are connected, and ends identities in time.

One task does all that is due: it sleeps until the first token of all ends, or something is revoked.
"""

from collections.abc import Callable
from math import inf
from time import time
from typing import TYPE_CHECKING

import trio

from mesaya_ws.core.access.authentication import Authentication, NoKeys, Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.revocations import Revocation
from mesaya_ws.core.session.authenticating import on_authenticated
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.identity_changes import end_revoked, run_due
from mesaya_ws.core.session.session import Session, Unfinished
from mesaya_ws.core.wire.codes import BAD_TOKEN, OTHER_USER
from mesaya_ws.core.wire.messages import Auth
from mesaya_ws.runtime.logs import bind_context, get_logger
from mesaya_ws.runtime.metrics import Metrics

if TYPE_CHECKING:
    from mesaya_ws.gateway.revocations import TokenRevocations

log = get_logger(__name__)

LONGEST_SLEEP = 10.0
"""Seconds after which the clock is read again: somebody may have set it."""


class SignIn:
    """Answers `auth` (`on_authenticated`); while `run` runs, does what is due for the `identities`."""

    def __init__(
        self,
        identities: SessionIdentities[Session],
        authentication: Authentication | None,
        metrics: Metrics,
        revocations: "TokenRevocations | None" = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._identities = identities
        # With AUTH=off, who one is needs no token, and none can be verified.
        self._authentication = NoKeys() if authentication is None else authentication
        self._metrics = metrics
        self._revocations = revocations
        self._clock = clock
        self._woken = trio.Event()
        self._sleeps_until = inf
        # Users who are signed in here, and so as many at most: whose identities are to be asked about, and are now.
        self._revoked: dict[str, None] = {}
        self._ending: dict[str, None] = {}
        self._ended = trio.Event()
        self._floor = 0

    def authenticate(self, session: Session, message: Auth) -> Unfinished | None:
        """Answer an `auth`; if the issuer's keys must be read first, return what is to be awaited for that."""
        token = message.token
        if message.user is not None:
            self._answer(session, message, Identity(message.user, tuple(message.roles)))
        elif token is None:
            self._answer(session, message, None)
        elif (result := self._authentication.authenticate_at_once(token)) is not None:
            self._answer(session, message, result)
        else:

            async def authenticate() -> None:
                self._answer(session, message, await self._authentication.authenticate(token))

            return authenticate
        return None

    def _answer(self, session: Session, message: Auth, result: Identity | BadToken | Unavailable | None) -> None:
        if isinstance(result, BadToken):
            log.info("message refused", code=BAD_TOKEN.name, reason=result.flaw.name.lower())
        elif isinstance(result, Identity) and session.identity is not None and session.identity.user != result.user:
            log.info("message refused", code=OTHER_USER.name)
        # In the task of the connection: its lines in the log name the user from now on.
        if not on_authenticated(session, message, result, self._clock()):
            self._metrics.violations["connections_per_user"] += 1
        bind_context(user=None if session.identity is None else session.identity.user)

    def on_revoked(self, revocation: Revocation) -> None:
        """End the identities that are concerned, soon."""
        directory = self._identities.directory
        if self._revocations is not None and (floor := self._revocations.floor) > self._floor:
            self._floor = floor
            self._revoked.update(dict.fromkeys(directory.all_users()))
        elif directory.has_user(revocation.user):
            self._revoked[revocation.user] = None
        else:
            return
        self._wake()

    async def revoke(self, user: str, before: int) -> int:
        """Revoke tokens (`TokenRevocations.revoke`); return when the identities that came of them have ended here."""
        assert self._revocations is not None  # noqa: S101 - where no token is verified, none is revoked
        before = await self._revocations.revoke(user, before)
        while user in self._revoked or user in self._ending:
            await self._ended.wait()
        return before

    async def run(self) -> None:
        """Do what is due when it is, until cancelled; nothing is revoked (`revoke`) without it."""
        identities, revocations = self._identities, self._revocations
        while True:
            self._woken = trio.Event()
            for _ in run_due(identities, self._clock()):
                await trio.lowlevel.checkpoint()
            if self._revoked and revocations is not None:
                self._ending, self._revoked = self._revoked, {}
                for _ in end_revoked(identities, self._ending, revocations.is_revoked, self._clock()):
                    await trio.lowlevel.checkpoint()
                self._ending = {}
                self._ended.set()
                self._ended = trio.Event()
            now = self._clock()
            seconds = min(LONGEST_SLEEP, max(0.0, identities.deadlines.next - now))
            self._sleeps_until = now + seconds
            with trio.move_on_after(seconds):
                await self._woken.wait()

    def on_earlier(self) -> None:
        """Do what is due now before all else when it is (`Deadlines.on_earlier`)."""
        # Most tokens end long after it wakes up anyway: to wake up for them would make handshakes dearer.
        if self._identities.deadlines.next < self._sleeps_until:
            self._wake()

    def _wake(self) -> None:
        self._woken.set()
