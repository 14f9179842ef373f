"""Writes large states down for the clients that asked for them, while everything else goes on."""

import trio

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.delivery import Delivery
from mesaya_ws.core.feed import Feed


class Scribe:
    """Writes for clients that wait for it (`Delivery.showing`): once for all who want the same at the same time."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._asking: dict[Delivery, None] = {}  # in the order in which they came
        self._asked = trio.Event()

    def ask(self, delivery: Delivery) -> None:
        """Have the state written that `delivery` waits for; it is handed over by `Delivery.show`."""
        self._asking[delivery] = None
        self._asked.set()

    async def run(self) -> None:
        """Write and hand over, for ever."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            asking, self._asking = self._asking, {}
            wanted: dict[Channel, list[Delivery]] = {}
            for delivery in asking:
                if delivery.showing is not None:
                    wanted.setdefault(delivery.showing, []).append(delivery)
            for channel, deliveries in wanted.items():
                await self._write(channel, deliveries)

    async def _write(self, channel: Channel, deliveries: list[Delivery]) -> None:
        snapshot = self._feed.snapshot(channel)
        for _ in snapshot.write():
            await trio.lowlevel.checkpoint()
        for delivery in deliveries:
            delivery.show(snapshot)
            if delivery.showing is not None:
                self.ask(delivery)
            await trio.lowlevel.checkpoint()
