"""What clients ask of table holds, which last for the few minutes in which a form is filled in, and the answers.

What may be claimed, `hold_rules` says; who wins, the log does (`core.interactions.hold_table`).
"""

from mesaya_ws.core.access.channels import parse_channel, restaurant_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import Action
from mesaya_ws.core.interactions.hold import Granted, Hold
from mesaya_ws.core.interactions.hold_records import RELEASED, Release, hold_record
from mesaya_ws.core.log.records import Appended
from mesaya_ws.core.session.commands import AppendResult, Command, TooManyAppendsError
from mesaya_ws.core.session.hold_rules import Answer, released
from mesaya_ws.core.session.pending_claim import PendingClaim
from mesaya_ws.core.session.rights import has_right, still_reading
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import encode_with_nulls
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.core.wire.messages import Id, MessageError, ReleaseTables, SelectTables


def select_tables(session: Session, message: SelectTables) -> Command | bytes:
    """Return the claim that is to be appended for a client, or the frame of the answer. Raises `MessageError`."""
    identity, feed, rules = _identity(session, message.id), session.feed, session.holds
    if not _may(session, Action.HOLD, message.restaurantId):
        raise MessageError(codes.UNAUTHORIZED, "Tables are held by who is signed in.", id=message.id)
    claim = rules.claim(message, identity.user, feed.known)
    if (known := rules.answer_at_once(claim, feed.known, lag=feed.lag)) is not None:
        return frame(known, message.id)
    _count(session, identity, message.id)
    pending = PendingClaim(claim, rules, feed, lambda: session.is_of(claim.user))

    def answer(result: AppendResult) -> bytes:
        outcome = pending.settle(result)
        if outcome is None and not session.is_of(claim.user):
            outcome = Answer("error", {}, codes.UNAUTHORIZED, "Who asked for the tables is not signed in any more.")
        return _failed(result, message.id) if outcome is None else frame(outcome, message.id)

    return Command(hold_record(claim), answer, is_read_back=True, turn=pending.turn, key=claim)


def release_tables(session: Session, message: ReleaseTables) -> Command | bytes:
    """Return the release that is to be appended for a client, or the frame of the answer. Raises `MessageError`.

    Users end their own holds, the people of a restaurant all of theirs. One that is not known yet may be on its way.
    """
    identity, feed, rules, id = _identity(session, message.id), session.feed, session.holds, message.holdId
    if IDENTIFIER.fullmatch(id) is None:
        raise MessageError(codes.BAD_MESSAGE, f"holdId must be {IDENTIFIER_FORM}", id=message.id)
    unknown = MessageError(codes.NOT_FOUND, f"You have no hold {id!r}.", id=message.id)
    outcome = feed.known.hold_outcome(id)
    by: str | None = identity.user
    if isinstance(outcome, Granted):
        hold = outcome.hold
        if hold.user != by:
            by = None
            if not _may(session, Action.RELEASE, hold.restaurant):
                raise unknown
        if hold.ended is not None:
            return frame(released(hold), message.id)
    elif outcome is not None:
        raise unknown
    _count(session, identity, message.id)
    # A second tab may name the hold by the id of its own claim.
    ends = outcome.hold.id if isinstance(outcome, Granted) else id
    rules.release_asked(ends, session)

    def answer(result: AppendResult) -> bytes:
        rules.release_answered(ends, session)
        if not isinstance(result, Appended):
            return _failed(result, message.id)
        match feed.known.hold_outcome(id):
            case Granted(hold) if hold.ended is not None and by in (None, hold.user):
                return frame(released(hold), message.id)
        return frame(Answer("error", {}, codes.NOT_FOUND, unknown.sentence), message.id)

    return Command(hold_record(Release(id, by, RELEASED)), answer, is_read_back=True)


def frame(answer: Answer, id: Id) -> bytes:
    """Return the frame of an answer to the message with that id."""
    error = {} if answer.error is None else {"code": answer.error.name, "message": answer.sentence}
    return text_frame(encode_with_nulls(answer.kind, id, **error, **answer.fields))


def notice_of(hold: Hold) -> bytes:
    """Return the frame that informs a user of the end of a hold."""
    return frame(released(hold), None)


def _identity(session: Session, id: Id) -> Identity:
    if session.identity is None:
        raise MessageError(codes.UNAUTHORIZED, "Tables are held by who is signed in.", id=id)
    if not session.feed.live:
        raise still_reading(id)
    return session.identity


def _may(session: Session, action: Action, restaurant: str) -> bool:
    channel = parse_channel(restaurant_channel(restaurant, "tables"))
    return channel is not None and has_right(session, action, channel)


def _count(session: Session, identity: Identity, id: Id) -> None:
    """Count a record of a user. Raises `MessageError` where that is one too many."""
    wait = session.holds.limits.write(identity.user, session.holds.clock())
    if wait is not None:
        raise MessageError(codes.TOO_OFTEN, f"Too many messages: try again in {wait:g} seconds.", id=id, retry_in=wait)


def _failed(result: AppendResult | None, id: Id) -> bytes:
    if isinstance(result, TooManyAppendsError):
        return frame(Answer("error", {"retryIn": 1.0}, codes.TOO_OFTEN, str(result)), id)
    sentence = str(result) if isinstance(result, Exception) else "The record was read, and nothing is known of it."
    return frame(Answer("error", {}, codes.UNAVAILABLE, sentence), id)
