"""Renders large snapshots for the clients that requested them, while everything else goes on."""

from math import inf
from weakref import WeakKeyDictionary

import trio

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.shared_snapshots import SharedSnapshots
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.session.delivery import Delivery

SHARE = 0.5
"""The share of its time that an instance spends on rendering, at most: it rests after each snapshot."""


class SnapshotRenderer:
    """Renders what deliveries wait for (`Delivery.to_render`): once for all that need the same within some seconds."""

    def __init__(self, feed: Published, shared: SharedSnapshots, share: float = SHARE) -> None:
        self._feed = feed
        self._shared = shared
        self._rests = 1 / share - 1
        # In the order in which they came; weak, for who has gone is not rendered for.
        self._requests: WeakKeyDictionary[Delivery, None] = WeakKeyDictionary()
        self._requested = trio.Event()

    def request(self, delivery: Delivery) -> None:
        """Request the snapshot that `delivery` waits for; it is passed to `Delivery.on_rendered`."""
        self._requests[delivery] = None
        self._requested.set()

    async def run(self) -> None:
        """Render and deliver snapshots until cancelled."""
        while True:
            await self._wait_requested()
            requests = list(self._requests)
            self._requests.clear()
            wanted: dict[Channel, list[Delivery]] = {}
            for delivery in requests:
                channel = delivery.to_render
                if channel is not None and self._feed.states.reads_notifications(channel):  # by now it waits for that
                    delivery.services.render_snapshot(delivery)
                elif channel is not None:
                    wanted.setdefault(channel, []).append(delivery)
            for channel, deliveries in wanted.items():
                await self._render(channel, deliveries)

    async def _wait_requested(self) -> None:
        """Wait for a request; meanwhile, forget snapshots that are too old to be shared."""
        while not self._requested.is_set():
            with trio.move_on_at(self._shared.forget(trio.current_time()) or inf):
                await self._requested.wait()
        self._requested = trio.Event()

    async def _render(self, channel: Channel, deliveries: list[Delivery]) -> None:
        snapshot = self._shared.find(channel, self._feed.window, trio.current_time())
        busy = 0.0
        if snapshot is None:
            await between_records(self._feed)
            snapshot = self._feed.states.snapshot(channel)
            busy = await render_pieces(snapshot)
            if snapshot.size:
                self._shared.keep(snapshot, trio.current_time())
        for delivery in deliveries:
            delivery.on_rendered(snapshot)
            await trio.lowlevel.checkpoint()
        await trio.sleep(busy * self._rests)


async def between_records(feed: Published) -> None:
    """Wait until every record that was taken is published entirely: only then is there a position to snapshot.

    The feed's owner publishes a step in each turn of the event loop.
    """
    while feed.is_mid_record:
        await trio.lowlevel.checkpoint()


async def render_pieces(snapshot: Snapshot) -> float:
    """Render a snapshot while other tasks run; return the seconds that the rendering itself took."""
    busy, began = 0.0, trio.current_time()
    for _ in snapshot.write():
        busy += trio.current_time() - began
        await trio.lowlevel.checkpoint()
        began = trio.current_time()
    return busy
