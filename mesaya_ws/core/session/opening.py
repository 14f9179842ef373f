"""How a subscription begins: now, with what its client missed, or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mesaya_ws.core.feed.tally import LOST, RECOVERED
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted

if TYPE_CHECKING:
    from mesaya_ws.core.session.session import Session
    from mesaya_ws.core.session.subscription import Subscription, Wait


def open_or_wait(session: Session, subscription: Subscription, wait: Wait) -> None:
    """Open a subscription of `session`, or let it `wait`, as it may have done already.

    1. The feed is not live, or in the middle of a record: wait until it is, or has published all of that.
    2. The client brings no position: begin now.
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
    verdict = None if position is None else feed.check_position(channel, position, wait.since)
    if not isinstance(verdict, NotReached) and not session.admit(subscription):
        return
    match verdict:
        case None:
            _begin(session, subscription, None)
        case Recoverable(vector):
            feed.tally.resumes[RECOVERED, "window"] += 1
            session.delivery.replay(subscription, feed.replay(channel, vector))
        case NeedsHistory():
            subscription.read_history(wait)
            session.services.read_history(session)
        case NotReached():
            # Without its vector, which takes a hundred times the memory of the position that it is read from.
            wait.ahead, wait.checked_at = evolve(verdict, vector={}), feed.refreshes
            _wait_for_feed(session, subscription, wait)
        case Unrecoverable():
            _begin(session, subscription, verdict)


def history_request(session: Session, subscription: Subscription) -> HistoryRequest | None:
    """Return what is to be read for a subscription of `session`; None if the store cannot help it any more."""
    channel = subscription.channel
    match session.feed.check_position(channel, subscription.position or "", since=0):
        case NeedsHistory(vector):
            return HistoryRequest(channel, vector, opens=True)
    return None


def open_with_history(session: Session, subscription: Subscription, page: HistoryPage | None) -> None:
    """Open a subscription of `session` whose first page was read; None if it cannot be.

    Meanwhile, the log may have lost what the client had, or the window what follows the store. Not while the feed
    `is_mid_record`.
    """
    feed, channel = session.feed, subscription.channel
    match feed.check_position(channel, subscription.position or "", since=0):
        case Recoverable(vector):
            feed.tally.resumes[RECOVERED, "window"] += 1
            session.delivery.replay(subscription, feed.replay(channel, vector))
        case NeedsHistory() if page is not None and page.is_whole:
            if not page.is_clean:
                _begin(session, subscription, Unrecoverable.INCONSISTENT_POSITION)
                return
            try:
                replay = feed.replay_stored(channel, page)
            except PositionEvicted:
                _begin(session, subscription, Unrecoverable.EXPIRED)
                return
            feed.tally.resumes[RECOVERED, "store"] += 1
            session.delivery.replay(subscription, replay)
        case Unrecoverable() as reason:
            _begin(session, subscription, reason)
        case _:
            _begin(session, subscription, Unrecoverable.EXPIRED)


def _wait_for_feed(session: Session, subscription: Subscription, wait: Wait) -> None:
    subscription.wait_for_feed(wait)
    session.services.wait_for_feed(session)


def _begin(session: Session, subscription: Subscription, reason: Unrecoverable | None) -> None:
    """Subscribe from now on; with the snapshot, if it was requested, or if what was missed is lost (`reason`)."""
    request = subscription.request
    if reason is not None:
        session.feed.tally.resumes[LOST, reason] += 1
    if reason is not None or request is None or request.snapshot:
        session.delivery.send_snapshot(subscription, reason)
    else:
        session.delivery.answer(subscription, position=session.feed.position(subscription.channel))
        session.delivery.go_live(subscription)
