"""What a client missed that is further back than the window: the pages that it awaits, and what each leads to."""

from mesaya_ws.core.feed.tally import RECOVERED
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest
from mesaya_ws.core.recovery.verdict import NeedsHistory, Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.subscription import State, Subscription


def next_history_request(delivery: Delivery) -> tuple[Subscription, HistoryRequest | None]:
    """Return the first subscription that awaits a page, and which; None if that is of no use any more."""
    subscription = next(each for each in delivery.unsettled if each.awaits_page)
    if subscription.state is State.READING_HISTORY:
        return subscription, _first_page(delivery, subscription)
    return subscription, HistoryRequest(subscription.channel, subscription.next_page, opens=False)


def _first_page(delivery: Delivery, subscription: Subscription) -> HistoryRequest | None:
    """Return what is to be read for a subscription that is to be opened; None if the store cannot help it any more."""
    channel = subscription.channel
    match delivery.feed.check_position(channel, subscription.position or "", since=0):
        case NeedsHistory(vector):
            return HistoryRequest(channel, vector, opens=True)
    return None


def on_history(delivery: Delivery, subscription: Subscription, page: HistoryPage | None) -> None:
    """Open a subscription with the page that it awaits, or go on with it when the send queue has drained.

    None if it cannot be read, or need not be any more. Not while the feed `is_mid_record`.
    """
    if subscription.state is State.READING_HISTORY:
        _open(delivery, subscription, page)
    elif subscription.state is State.AWAITING_PAGE:
        subscription.supply(page)
        delivery.send_queue.defer()


def _open(delivery: Delivery, subscription: Subscription, page: HistoryPage | None) -> None:
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
                delivery.begin(subscription, Unrecoverable.INCONSISTENT_POSITION)
                return
            try:
                replay = feed.replay_stored(channel, page)
            except PositionEvicted:
                delivery.begin(subscription, Unrecoverable.EXPIRED)
                return
            feed.tally.resumes[RECOVERED, "store"] += 1
            delivery.replay(subscription, replay)
        case Unrecoverable() as reason:
            delivery.begin(subscription, reason)
        case _:
            delivery.begin(subscription, Unrecoverable.EXPIRED)
