"""Who the client of one session is: how it says so, how that is answered, and how it ends.

`session.identities` keeps track of all sessions; what ends their identities is in the table of `identity_changes`.
"""

from math import floor

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.identities import introduction
from mesaya_ws.core.session.rights import ask_again_for_all
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.identifiers import IDENTIFIER
from mesaya_ws.core.wire.messages import NO_TOKEN, Auth, MessageError


def authenticate(session: Session, message: Auth) -> None:
    """Find out who the client is, by its token; with AUTH=off, it may say so itself. Raises `MessageError`."""
    claims = message.user is not None or bool(message.roles)
    if session.limits.auth and claims:
        raise MessageError(codes.BAD_MESSAGE, "In 'auth', who one is a token says (AUTH=on).", id=message.id)
    if claims and not (
        message.token is NO_TOKEN
        and IDENTIFIER.fullmatch(message.user or "")
        and all(type(role) is str for role in message.roles)
    ):
        sentence = "In 'auth', user is an id, roles are texts, and there is no token with them."
        raise MessageError(codes.BAD_MESSAGE, sentence, id=message.id)
    if not claims and message.token is NO_TOKEN:
        raise MessageError(codes.BAD_MESSAGE, "In 'auth', token is missing.", id=message.id)
    session.unfinished = session.services.authenticate(session, message)


def on_authenticated(
    session: Session, message: Auth, result: Identity | BadToken | Unavailable | None, now: float
) -> bool:
    """Answer an `auth` of the client of `session`, whose `result` is known now (s since 1970); None: it signs out.

    Returns False if the connection is closed, since that user has as many as there may be.
    """
    before = session.identity
    match result:
        case BadToken():
            session.send_error(MessageError(codes.BAD_TOKEN, result.sentence, id=message.id))
        case Unavailable():
            session.send_error(MessageError(codes.UNAVAILABLE, result.sentence, id=message.id))
        case Identity(user) if before is not None and before.user != user:
            sentence = "The connection is that of another user, who has to sign out first."
            session.send_error(MessageError(codes.OTHER_USER, sentence, id=message.id))
        case Identity():
            if not identify(session, result, now):
                return False
            session.delivery.send("authenticated", id=message.id, **introduction(session.identity, now))
            if before is not None:
                ask_again_for_all(session)
        case None:
            session.delivery.send("authenticated", id=message.id, roles=())
            end_identity(session, codes.SIGNED_OUT, now)
    return True


def identify(session: Session, identity: Identity, now: float) -> bool:
    """Note who the client of `session` is, at the time `now` (s since 1970).

    Closes the connection with 4429 and returns False if that user has as many as there may be.
    """
    if not session.identities.enter(session, identity, now):
        session.close(codes.TOO_MANY_CONNECTIONS)
        return False
    session.identity = identity
    session.presence.identified(session, session.subscriptions)
    return True


def warn_of_expiry(session: Session, now: float) -> None:
    """Announce the end of the client's token, in time to renew it."""
    if session.identity is not None:
        session.delivery.send("token_expiring", expiresIn=max(0, floor(session.identity.expires_at - now)))


def end_identity(session: Session, reason: str, now: float) -> None:
    """Make `session` nobody's; subscriptions that need an identity end, each with a message that says why."""
    identity = session.identity
    if identity is None:
        return
    session.identity = None
    session.identities.ended(session, identity.user, now)
    session.presence.identified(session, session.subscriptions)
    ask_again_for_all(session, reason)
