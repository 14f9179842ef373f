"""Renders the snapshots of users' notifications: the latest ones are read from the state store, for many at once.

request ──▶ a batch of deliveries ──▶ read in a thread ──▶ rendered with what the window has ──▶ delivered
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import islice
from weakref import WeakKeyDictionary

import trio

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.shared_snapshots import SharedSnapshots
from mesaya_ws.core.recovery.notifications import StoredNotifications, read_notifications
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.gateway.snapshots import between_records, render_pieces
from mesaya_ws.gateway.store_keeper import StoreKeeper
from mesaya_ws.gateway.store_reads import Look, read_stored

BATCH = 16
"""Deliveries whose notifications are read in one go: some 3 ms, from a disk that answers at once."""


class NotificationsRenderer:
    """Renders what deliveries wait for, where that `reads_notifications`: in the order in which they came."""

    def __init__(self, store: StoreKeeper, feed: Feed, shared: SharedSnapshots) -> None:
        self._store = store
        self._feed = feed
        self._shared = shared
        # In the order in which they came; weak, for who has gone is not rendered for.
        self._waiting: WeakKeyDictionary[Delivery, None] = WeakKeyDictionary()
        self._requested = trio.Event()

    def takes(self, delivery: Delivery) -> bool:
        """Return whether what a delivery waits for is to be requested here."""
        channel = delivery.to_render
        return channel is not None and self._feed.states.reads_notifications(channel)

    def request(self, delivery: Delivery) -> None:
        """Request the snapshot that `delivery` waits for; it is passed to `Delivery.on_rendered`."""
        self._waiting[delivery] = None
        self._requested.set()

    async def run(self) -> None:
        """Render and deliver snapshots, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            while self._waiting:
                wanted: dict[Channel, list[Delivery]] = {}
                for delivery in list(islice(self._waiting, BATCH)):
                    del self._waiting[delivery]
                    channel = delivery.to_render
                    if channel is not None and self._feed.states.reads_notifications(channel):
                        wanted.setdefault(channel, []).append(delivery)
                    elif channel is not None:  # by now it waits for something else
                        delivery.services.render_snapshot(delivery)
                await self._render(wanted)
                await trio.lowlevel.checkpoint()

    async def _render(self, wanted: Mapping[Channel, Collection[Delivery]]) -> None:
        states = self._feed.states

        def look(channels: Sequence[Channel]) -> Look[StoredNotifications]:
            return partial(read_notifications, channels=channels, count=states.inbox_events)

        def continues(_: Channel, stored: StoredNotifications) -> bool:
            return states.continues_notifications(stored)

        found = await read_stored(self._store, self._feed, wanted, look, continues)
        for channel, deliveries in wanted.items():
            await between_records(self._feed)
            stored = found(channel)
            # What cannot be read is not shown, and the snapshot says that it is not complete.
            snapshot = states.snapshot(channel, stored if stored is not None and continues(channel, stored) else None)
            await render_pieces(snapshot)
            if snapshot.size:
                self._shared.keep(snapshot, trio.current_time())
            for delivery in deliveries:
                delivery.on_rendered(snapshot)
                await trio.lowlevel.checkpoint()
