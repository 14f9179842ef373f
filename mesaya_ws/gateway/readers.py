"""What reads for the sessions of one gateway: history, snapshots and notifications, each in a task of its own."""

import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.shared_snapshots import SharedSnapshots
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.gateway.history import HistoryReader
from mesaya_ws.gateway.notifications import NotificationsRenderer
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from mesaya_ws.gateway.store_keeper import StoreKeeper


@frozen(kw_only=True, eq=False)
class Readers:
    """The readers of one gateway, and the snapshots that they share."""

    history: HistoryReader
    snapshots: SnapshotRenderer
    notifications: NotificationsRenderer
    shared: SharedSnapshots

    def render_snapshot(self, delivery: Delivery) -> None:
        """Request what a delivery waits for of the one who renders it."""
        if self.notifications.takes(delivery):
            self.notifications.request(delivery)
        else:
            self.snapshots.request(delivery)

    def start(self, nursery: trio.Nursery) -> None:
        """Start their tasks in a nursery."""
        nursery.start_soon(self.history.run)
        nursery.start_soon(self.snapshots.run)
        nursery.start_soon(self.notifications.run)


def build_readers(feed: Feed, store: StoreKeeper, snapshot_bytes: int) -> Readers:
    """Build all readers; none of them runs yet. Rendered snapshots are kept in so many bytes."""
    shared = SharedSnapshots(snapshot_bytes)
    return Readers(
        history=HistoryReader(store, feed),
        snapshots=SnapshotRenderer(feed, shared),
        notifications=NotificationsRenderer(store, feed, shared),
        shared=shared,
    )
