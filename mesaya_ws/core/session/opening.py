"""How a subscription begins at its client's request: now, with what it missed, or later; and how the client ends it."""

from collections.abc import Iterator

from attrs import evolve

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.tally import RECOVERED
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from mesaya_ws.core.session.rights import admit, may_become_open, may_see, note_private, unauthorized
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.session.subscription import State, Subscription, Wait
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import MessageError, Subscribe, Unsubscribe

MAX_LATEST = 100
"""Events that a subscription may begin with."""


def subscribe(session: Session, message: Subscribe) -> None:
    """Begin the subscription that a client requests; one to the same channel is replaced. Raises `MessageError`."""
    name = message.channel
    channel = parse_channel(name)
    if channel is None:
        raise _error(message, codes.BAD_CHANNEL, f"There is no channel {name[:200]!r}.")
    if not 0 <= message.history <= MAX_LATEST:
        raise _error(message, codes.BAD_MESSAGE, f"In 'subscribe', history must be 0 to {MAX_LATEST}.")
    if not may_see(session, channel) and not may_become_open(session, channel, message.position):
        raise unauthorized(name, message.id)
    replaced, most = session.subscriptions.get(name), session.limits.max_subscriptions
    if replaced is not None:
        session.detach(replaced)
    elif len(session.subscriptions) >= most:
        sentence = f"A connection holds at most {most} subscriptions; leave one."
        raise _error(message, codes.TOO_MANY_SUBSCRIPTIONS, sentence)
    subscription = Subscription(channel, session.delivery.unsettled, message, message.position)
    session.subscriptions[name] = subscription
    open_or_wait(session, subscription, Wait(session.feed.refreshes))


def _error(message: Subscribe | Unsubscribe, code: codes.ErrorCode, sentence: str) -> MessageError:
    return MessageError(code, sentence, id=message.id, channel=message.channel)


def unsubscribe(session: Session, message: Unsubscribe) -> None:
    """End a subscription, as its client requests. Raises `MessageError` where there is none."""
    name = message.channel
    if not session.remove(name):
        raise _error(message, codes.NOT_SUBSCRIBED, f"The connection is not subscribed to {name[:200]!r}.")
    session.delivery.send("unsubscribed", channel=name, id=message.id)


def open_or_wait(session: Session, subscription: Subscription, wait: Wait) -> None:
    """Open a subscription of `session`, or let it `wait`, as it may have done already.

    1. The feed is not live, or in the middle of a record: wait until it is, or has published all of that.
    2. The client brings no position: begin now, or with the last events, if it wants them.
    3. What it missed is in the window: replay it.
    4. What it missed is in the state store: have the first page read.
    5. It is ahead of this instance, but not of the log: wait until the feed has reached it.
    6. What it missed is lost: begin now, with the snapshot and the reason.

    The right to the channel is asked for where it begins, and what was missed is shown by that, too: in the cases 1 and
    5, the log may give or take it meanwhile.
    """
    feed, channel, position = session.feed, subscription.channel, subscription.position
    if not feed.live or feed.is_mid_record:
        _wait_for_feed(session, subscription, wait)
        return
    verdict = (
        _latest(feed, subscription, wait) if position is None else feed.check_position(channel, position, wait.since)
    )
    if not isinstance(verdict, NotReached) and not admit(session, subscription):
        return
    match verdict:
        case None:
            session.delivery.begin(subscription)
        case Recoverable(vector):
            feed.tally.resumes[RECOVERED, "window"] += 1
            session.delivery.replay(subscription, feed.replay(channel, vector))
        case NeedsHistory():
            subscription.read_history(wait)
            session.services.read_history(session.delivery)
        case NotReached():
            # Without its vector, which takes a hundred times the memory of the position that it is read from.
            wait.ahead, wait.checked_at = evolve(verdict, vector={}), feed.refreshes
            _wait_for_feed(session, subscription, wait)
        case Unrecoverable():
            session.delivery.begin(subscription, verdict)
    if subscription.is_catching_up:
        session.delivery.suspend(subscription)


def retry_waiting(session: Session) -> Iterator[None]:
    """Open the subscriptions of `session` that the feed has come far enough for.

    Yields after each of them, so that others have their turn: to check one position may take some milliseconds.
    """
    feed = session.feed
    ready = [
        (each, wait)
        for each in session.delivery.unsettled
        if each.state is State.WAITING_FOR_FEED
        and (wait := each.wait) is not None
        and (wait.ahead is None or feed.has_passed(wait.ahead) or wait.checked_at != feed.refreshes)
    ]
    session.delivery.defer_if_many(len(ready))
    for subscription, wait in ready:
        if subscription.state is State.WAITING_FOR_FEED:  # the client may have ended or replaced it meanwhile
            open_or_wait(session, subscription, wait)
            yield


def _latest(feed: Published, subscription: Subscription, wait: Wait) -> Recoverable | None:
    """Return where the last events of a channel begin, for a client that wants them, as if it brought that position."""
    request, channel = subscription.request, subscription.channel
    if request is None or not request.history or request.snapshot:
        return None
    position = feed.position_before_latest(channel, request.history)
    verdict = feed.check_position(channel, position, wait.since)
    if not isinstance(verdict, Recoverable):
        return None
    subscription.position = position
    return verdict


def _wait_for_feed(session: Session, subscription: Subscription, wait: Wait) -> None:
    """Let a subscription wait; if there is a right to it now, it ends where that is taken away meanwhile."""
    if may_see(session, subscription.channel):
        note_private(session, subscription.channel)
    subscription.wait_for_feed(wait)
    session.services.wait_for_feed(session)
