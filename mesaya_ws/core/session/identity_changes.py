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

What visits many sessions yields on the way, so that others have their turn; sessions may come, go and change meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator

from mesaya_ws.core.access.rights_changes import RightsChange
from mesaya_ws.core.session.authenticating import end_identity, warn_of_expiry
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.rights import ask_again, ask_again_for_all
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.session.step_budget import StepBudget
from mesaya_ws.core.wire import codes

Identities = SessionIdentities[Session]


def run_due(identities: Identities, now: float) -> Iterator[None]:
    """Do what is due."""
    budget = StepBudget()
    while (session := identities.deadlines.pop(now)) is not None:
        work = session.work
        _due(identities, session, now)
        if budget.spend(work):
            yield


def _due(identities: Identities, session: Session, now: float) -> None:
    identity = session.identity
    if identity is None:
        if identities.rules.required:
            session.close(codes.UNAUTHENTICATED)
        return
    end = identity.expires_at + identities.rules.leeway
    if now >= end:
        end_identity(session, codes.TOKEN_EXPIRED, now)
        return
    if now < identity.expires_at:
        warn_of_expiry(session, now)
    identities.deadlines.set(session, end)


def end_revoked(
    identities: Identities, users: Iterable[str], is_revoked: Callable[[str, float | None], bool], now: float
) -> Iterator[None]:
    """End the identities of users that came of tokens which are revoked."""
    budget = StepBudget()
    for user in users:
        for session in identities.directory.sessions_of(user):
            identity, work = session.identity, session.work
            if identity is not None and identity.user == user and is_revoked(user, identity.issued_at):
                end_identity(session, codes.REVOKED, now)
            if budget.spend(work):
                yield


def apply_rights_changes(identities: Identities, changes: Iterable[RightsChange]) -> Iterator[None]:
    """End the subscriptions that have lost their right; to be done before another record is published."""
    budget = StepBudget()
    for change in changes:
        for channel in identities.directory.all_channels() if change.everybody else change.channels:
            for session in identities.directory.sessions_on(channel):
                ask_again(session, channel)
                if budget.spend(2):  # by itself, each costs more than in a row
                    yield
        for user in change.users:
            for session in identities.directory.sessions_of(user):
                work = session.work
                ask_again_for_all(session)
                if budget.spend(work):
                    yield
