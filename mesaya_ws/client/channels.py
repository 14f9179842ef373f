"""The channels of a session: what is subscribed, the events that wait to be taken, and up to where they were."""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import trio
from attrs import Factory, define, field

from mesaya_ws.client.connection import RefusedError
from mesaya_ws.client.events import Event

MAX_KEPT = 10_000
"""Events that are kept while a request is to be answered; past that, the connection waits until they are taken."""


@define(eq=False)
class Subscription:
    """What is wanted of a channel: a snapshot when there is no position, and who is on it.

    What comes of a channel counts once the gateway has answered the `subscribe` that was sent last, by its `id`: before
    that, it may be of a subscription that the program has left, and still be on its way.
    """

    snapshot: bool = False
    presence: bool = False
    id: int = 0
    """That of the `subscribe` on the connection in use; 0: it has not been sent there, or is to be sent again."""
    is_live: bool = False
    """Whether that has been answered."""
    was_refused: bool = False
    """Whether it has been refused since it was last answered."""
    kept: int = 0
    """How many events with positions wait to be taken."""
    kept_position: str | None = None
    """That of the last one of these."""

    def end(self) -> None:
        """Note that there is none on the connection in use."""
        self.id, self.is_live = 0, False


_Delivery = tuple[Event, Subscription] | RefusedError
"""An event, with the subscription for which it came; or what ends the session."""


def _deliveries() -> tuple[trio.MemorySendChannel[_Delivery], trio.MemoryReceiveChannel[_Delivery]]:
    return trio.open_memory_channel(math.inf)


@define(eq=False)
class Channels:
    """`positions` holds the position of the last event taken on each channel.

    Events wait until they are taken, and with them all that comes after; those of a channel that is left meanwhile are
    dropped, also where it is subscribed again: what comes from then on begins anew. Only while a request of the same
    program is to be answered, the connection is read on, so that the answer can come: then events are kept, `MAX_KEPT`
    at most.
    """

    positions: dict[str, str]
    subscribed: dict[str, Subscription] = Factory(dict)
    _ids: "count[int]" = Factory(lambda: count(1))
    """Numbers, while the ids of requests are texts."""
    _deliveries: tuple[trio.MemorySendChannel[_Delivery], trio.MemoryReceiveChannel[_Delivery]] = field(
        init=False, factory=_deliveries
    )
    _moved: trio.Event = Factory(trio.Event)
    """Set when an event was taken, or a request begins."""

    # What is subscribed

    def add(self, channel: str, *, snapshot: bool, presence: bool = False) -> bool:
        """Subscribe to a channel on every connection from now on; return whether it is a new one."""
        is_new = channel not in self.subscribed
        subscription = self.subscribed.setdefault(channel, Subscription())
        subscription.snapshot |= snapshot
        subscription.presence |= presence
        return is_new

    def remove(self, channel: str) -> None:
        """Forget a channel, the position on it, and the events of it that wait to be taken."""
        self.subscribed.pop(channel, None)
        self.positions.pop(channel, None)

    def start_over(self) -> None:
        """Note that another connection is in use, on which nothing has been sent."""
        for subscription in self.subscribed.values():
            subscription.end()

    def unsent(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that subscribe to what has not been asked for on the connection in use, by whomever."""
        for channel, subscription in list(self.subscribed.items()):
            if subscription.id == 0 and subscription is self.subscribed.get(channel):
                yield self.request(channel)

    def request(self, channel: str) -> dict[str, Any]:
        """Return the message that subscribes to a channel, from what has arrived of it on; it is to be sent."""
        subscription = self.subscribed[channel]
        subscription.id, subscription.is_live = next(self._ids), False
        message: dict[str, Any] = {"type": "subscribe", "channel": channel, "id": subscription.id}
        position = subscription.kept_position if subscription.kept else self.positions.get(channel)
        if position is not None:
            message["position"] = position
        elif subscription.snapshot:
            message["snapshot"] = True
        if subscription.presence:
            message["presence"] = True
        return message

    # Positions that the gateway says, of channels whose events have all been taken

    def on_subscribed(self, channel: str, position: str) -> None:
        """Note from where on events of a channel come; before its snapshot has arrived, it has no position."""
        if self._has_taken_all(channel) and (channel in self.positions or not self.subscribed[channel].snapshot):
            self.positions[channel] = position

    def on_ended(self, channel: str, position: str) -> None:
        """Note up to where everything of a channel has come whose subscription has ended."""
        if channel in self.positions and self._has_taken_all(channel):
            self.positions[channel] = position

    def advance(self, positions: Mapping[str, str]) -> None:
        """Note up to where everything has come of channels, however long ago their last events were."""
        self.positions.update((name, at) for name, at in positions.items() if self._has_taken_all(name))

    def _has_taken_all(self, channel: str) -> bool:
        """Return whether what comes of a channel counts, and no event of it waits to be taken."""
        subscription = self.subscribed.get(channel)
        return subscription is not None and subscription.is_live and not subscription.kept

    # Events, on their way from the connection to the program

    async def deliver(self, event: Event, reads_on: Callable[[], bool]) -> None:
        """Keep an event until it is taken; wait for that, unless the connection `reads_on`.

        One of a channel that is not subscribed any more is dropped.
        """
        events, _ = self._deliveries
        subscription = self.subscribed.get(event.channel)
        if subscription is None:
            return
        events.send_nowait((event, subscription))
        if event.position is not None:
            subscription.kept += 1
            subscription.kept_position = event.position
        while (kept := events.statistics().current_buffer_used) and not (reads_on() and kept < MAX_KEPT):
            await self._moved.wait()

    async def take(self) -> Event:
        """Return the next event. Raises `RefusedError` or `trio.EndOfChannel` after the last one."""
        _, events = self._deliveries
        while True:
            delivery = await events.receive()
            self.wake()
            if isinstance(delivery, RefusedError):
                raise delivery
            event, subscription = delivery
            if subscription is self.subscribed.get(event.channel):
                break
        if event.position is not None:
            self.positions[event.channel] = event.position
            subscription.kept -= 1
        return event

    def end(self, refused: RefusedError | None) -> None:
        """Deliver nothing more, but that the gateway has `refused`, if it has."""
        events, _ = self._deliveries
        if refused is not None:
            events.send_nowait(refused)
        events.close()

    def wake(self) -> None:
        """Check again whether the connection is to be read."""
        self._moved.set()
        self._moved = trio.Event()
