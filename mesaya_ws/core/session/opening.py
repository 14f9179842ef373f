"""How a subscription begins at its client's request: now, with what it missed, or later; and how the client ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.tally import LOST, RECOVERED
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.rights import admit, may_become_open, may_see, note_private, unauthorized
from mesaya_ws.core.session.subscription import Subscription, Wait
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import MessageError, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from mesaya_ws.core.feed.published import Published
    from mesaya_ws.core.session.delivery import Delivery
    from mesaya_ws.core.session.session import Session


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
        session.delivery.remove(replaced)
        session.presence.ended(session, name)
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
            _begin(session.delivery, subscription, None)
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
            _begin(session.delivery, subscription, verdict)
    if subscription.is_catching_up:
        session.delivery.suspend(subscription)


def _latest(feed: Published, subscription: Subscription, wait: Wait) -> Recoverable | None:
    """Return where the last events of a channel begin, for a client that wants them, as if it brought that position."""
    request, channel = subscription.request, subscription.channel
    if request is None or not request.history or request.snapshot:
        return None
    position = feed.position_before_latest(channel, request.history)
    verdict = None if position is None else feed.check_position(channel, position, wait.since)
    if not isinstance(verdict, Recoverable):
        return None
    subscription.position = position
    return verdict


def first_page(delivery: Delivery, subscription: Subscription) -> HistoryRequest | None:
    """Return what is to be read for a subscription that is to be opened; None if the store cannot help it any more."""
    channel = subscription.channel
    match delivery.feed.check_position(channel, subscription.position or "", since=0):
        case NeedsHistory(vector):
            return HistoryRequest(channel, vector, opens=True)
    return None


def open_with_history(delivery: Delivery, subscription: Subscription, page: HistoryPage | None) -> None:
    """Open a subscription whose first page was read; None if it cannot be.

    Meanwhile, the log may have lost what the client had, or the window what follows the store. Not while the feed
    `is_mid_record`.
    """
    feed, channel = delivery.feed, subscription.channel
    match feed.check_position(channel, subscription.position or "", since=0):
        case Recoverable(vector):
            feed.tally.resumes[RECOVERED, "window"] += 1
            delivery.replay(subscription, feed.replay(channel, vector))
        case NeedsHistory() if page is not None and page.is_whole:
            if not page.is_clean:
                _begin(delivery, subscription, Unrecoverable.INCONSISTENT_POSITION)
                return
            try:
                replay = feed.replay_stored(channel, page)
            except PositionEvicted:
                _begin(delivery, subscription, Unrecoverable.EXPIRED)
                return
            feed.tally.resumes[RECOVERED, "store"] += 1
            delivery.replay(subscription, replay)
        case Unrecoverable() as reason:
            _begin(delivery, subscription, reason)
        case _:
            _begin(delivery, subscription, Unrecoverable.EXPIRED)


def _wait_for_feed(session: Session, subscription: Subscription, wait: Wait) -> None:
    """Let a subscription wait; if there is a right to it now, it ends where that is taken away meanwhile."""
    if may_see(session, subscription.channel):
        note_private(session, subscription.channel)
    subscription.wait_for_feed(wait)
    session.services.wait_for_feed(session)


def _begin(delivery: Delivery, subscription: Subscription, reason: Unrecoverable | None) -> None:
    """Subscribe from now on; with the snapshot, if it was requested, or if what was missed is lost (`reason`)."""
    request = subscription.request
    if reason is not None:
        delivery.feed.tally.resumes[LOST, reason] += 1
    if reason is not None or request is None or request.snapshot:
        delivery.send_snapshot(subscription, reason)
    else:
        delivery.answer(subscription, position=delivery.feed.position(subscription.channel))
        delivery.go_live(subscription)
