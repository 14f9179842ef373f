"""Renders large snapshots for the clients that requested them, while everything else goes on."""

from math import inf

import trio

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.feed.written import WrittenStates
from mesaya_ws.core.session.delivery import Delivery

SHARE = 0.5
"""Of its time, the most that an instance spends on writing states: after each, it rests as long as that took."""


class SnapshotRenderer:
    """Renders what deliveries wait for (`Delivery.to_render`): once for all that need the same within some seconds."""

    def __init__(self, feed: Feed, states: WrittenStates, share: float = SHARE) -> None:
        self._feed = feed
        self._states = states
        self._rests = 1 / share - 1
        self._asking: dict[Delivery, None] = {}  # in the order in which they came
        self._asked = trio.Event()

    def request(self, delivery: Delivery) -> None:
        """Have the state written that `delivery` waits for; it is handed over by `Delivery.on_rendered`."""
        self._asking[delivery] = None
        self._asked.set()

    async def run(self) -> None:
        """Write and hand over, for ever."""
        while True:
            await self._until_asked()
            asking, self._asking = self._asking, {}
            wanted: dict[Channel, list[Delivery]] = {}
            for delivery in asking:
                if delivery.to_render is not None:
                    wanted.setdefault(delivery.to_render, []).append(delivery)
            for channel, deliveries in wanted.items():
                await self._hand_over(channel, deliveries)

    async def _until_asked(self) -> None:
        """Wait for somebody who asks; meanwhile, let go of what is not new any more."""
        while not self._asked.is_set():
            with trio.move_on_at(self._states.forget(trio.current_time()) or inf):
                await self._asked.wait()
        self._asked = trio.Event()

    async def _hand_over(self, channel: Channel, deliveries: list[Delivery]) -> None:
        state = self._states.find(channel, self._feed.window, trio.current_time())
        busy = 0.0
        if state is None:
            await between_records(self._feed)
            state = self._feed.snapshot(channel)
            busy = await _write(state)
            if state.size:
                self._states.keep(state, trio.current_time())
        for delivery in deliveries:
            delivery.on_rendered(state)
            await trio.lowlevel.checkpoint()
        await trio.sleep(busy * self._rests)


async def between_records(feed: Feed) -> None:
    """Wait until all is published of what has been taken: then a state may be taken, and a place given out.

    Whoever owns the feed is at work on it, with a step in every turn of the event loop.
    """
    while feed.is_mid_record:
        await trio.lowlevel.checkpoint()


async def _write(state: Snapshot) -> float:
    """Write a state while others run; return the seconds that this alone has taken."""
    busy, began = 0.0, trio.current_time()
    for _ in state.write():
        busy += trio.current_time() - began
        await trio.lowlevel.checkpoint()
        began = trio.current_time()
    return busy
