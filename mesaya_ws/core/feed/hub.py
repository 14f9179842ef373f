"""Who listens to which channel, and the fan-out of publications to them."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from mesaya_ws.core.wire.codes import CloseCode

YIELD_EVERY = 256
"""After how many writes a fan-out lets others run: at some 4 µs a write, about once a millisecond."""

WRITE_BYTES = 16_384
"""Bytes that are as much work as a write of their own."""


LEAVING = ""
"""The `viewer` of a subscriber that is about to leave."""


class Subscriber(Protocol):
    """Something that takes frames at once, without waiting and without failing: a connection's send queue."""

    @property
    def viewer(self) -> str | None:
        """Who it counts as where viewers are counted: a user, or (None) one of its own; `LEAVING`: nobody."""
        ...

    def offer(self, data: bytes, messages: int) -> None:
        """Take `data`, which holds that many whole frames."""
        ...


class SendQueue(Subscriber, Protocol):
    """A subscriber that queues what it cannot write."""

    viewer: str | None
    """As of any subscriber; at first None. The session sets it."""

    backlogged: bool
    """Whether something waits to be written."""

    def defer(self) -> None:
        """Count as backlogged until others have had their turn, even if nothing waits."""
        ...

    def stream(self, frames: Iterator[bytes]) -> None:
        """Take the frames of one large message, each when there is room for it; nothing else may wait.

        When `frames` raises `PositionEvicted`, the client was too slow.
        """
        ...

    def disconnect(self, code: CloseCode) -> None:
        """Close the client's connection, and say why."""
        ...


class Delivered(NamedTuple):
    """What one step of a fan-out has done: the frames of one channel, handed to so many subscribers."""

    messages: int
    size: int
    subscribers: int
    timestamps: list[int]


class _Pending:
    """Frames of one channel that wait for the next fan-out, for those who were subscribed when the first one came.

    `first` is the serial of the first publication, `latest` that of the latest subscription before it.
    """

    __slots__ = ("first", "frames", "latest", "subscribers", "timestamps")

    def __init__(self, subscribers: list[Subscriber], latest: int, first: int) -> None:
        self.frames: list[bytes] = []
        self.timestamps: list[int] = []
        self.subscribers = subscribers
        self.latest = latest
        self.first = first


class Hub:
    """Subscriptions by channel, and publications on their way to subscribers.

    Publications are gathered (`publish`) and then written (`fan_out`), so that those of one poll of the log on one
    channel are joined into one write for each subscriber. A subscription counts from the moment it is made: what was
    published before, but is not written yet, is not for it. A subscriber that is sent what it missed first is on its
    channel, but suspended: it is handed nothing until it subscribes.
    """

    def __init__(self) -> None:
        self._channels: dict[str, dict[Subscriber, int]] = {}
        self._suspended: dict[str, dict[Subscriber, None]] = {}
        self._pending: dict[str, _Pending] = {}
        self._writing: dict[str, _Pending] = {}
        self._serial = 0
        self.subscriptions = 0

    @property
    def channels(self) -> int:
        """The number of channels that somebody is subscribed to."""
        return len(self._channels)

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Hand the publications that are to come on `channel` to `subscriber`."""
        subscribers = self._channels.setdefault(channel, {})
        self.subscriptions += subscriber not in subscribers
        self._serial += 1
        subscribers[subscriber] = self._serial
        if self._suspended:
            self._end_suspension(channel, subscriber)

    def suspend(self, channel: str, subscriber: Subscriber) -> None:
        """Hand nothing on `channel` to `subscriber`, which is on it, until it subscribes (again)."""
        self.unsubscribe(channel, subscriber)
        self._suspended.setdefault(channel, {})[subscriber] = None

    def unsubscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Hand nothing more on `channel` to `subscriber`, not even what is published but not written yet."""
        subscribers = self._channels.get(channel)
        if subscribers is not None and subscribers.pop(subscriber, None) is not None:
            self.subscriptions -= 1
            self._serial += 1
            if not subscribers:
                del self._channels[channel]
        if self._suspended:
            self._end_suspension(channel, subscriber)

    def _end_suspension(self, channel: str, subscriber: Subscriber) -> None:
        subscribers = self._suspended.get(channel)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            if not subscribers:
                del self._suspended[channel]

    def has_subscribers(self, channel: str) -> bool:
        """Return whether anybody is on a channel, suspended or not."""
        return channel in self._channels or channel in self._suspended

    def subscribers(self, channel: str) -> list[Subscriber]:
        """Return all that are on a channel, suspended or not."""
        return [*self._channels.get(channel, ()), *self._suspended.get(channel, ())]

    def viewers(self, channel: str) -> list[str | None]:
        """Return whom those on a channel count as; it takes 0.03 ms for each thousand."""
        return [viewer for each in self.subscribers(channel) if (viewer := each.viewer) != LEAVING]

    def publish(self, channel: str, frame: bytes, timestamp: int, serial: int) -> None:
        """Gather a frame for the subscribers of `channel`.

        `timestamp` is when the log took it (ms since the epoch); `serial` is the publication's (see `Window`).
        """
        pending = self._pending.get(channel)
        if pending is None:
            subscribers = self._channels.get(channel)
            if subscribers is None:
                return
            pending = self._pending[channel] = _Pending(list(subscribers), self._serial, serial)
        pending.frames.append(frame)
        pending.timestamps.append(timestamp)

    def is_settled(self, channel: str) -> bool:
        """Return whether everything that was published on `channel` has been written."""
        return channel not in self._pending and channel not in self._writing

    def written(self, channel: str) -> int:
        """Return the serial of the last publication written to the subscriber that `fan_out` is serving."""
        return self._writing[channel].first - 1

    def fan_out(self) -> Iterator[Delivered | None]:
        """Write what was gathered; yield what was done for each channel, and None whenever others should run.

        Between steps, subscriptions may come and go.
        """
        self._writing, self._pending = self._pending, {}
        steps = 0
        for channel, pending in list(self._writing.items()):
            frames = pending.frames
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            messages, latest, reached = len(frames), pending.latest, len(pending.subscribers)
            work = 1 + len(data) // WRITE_BYTES
            current = self._channels.get(channel, {})
            for subscriber in pending.subscribers:
                # Left meanwhile, or left and came back: then these frames lie before its subscription. Nearly always
                # nobody did, which is known at once.
                if self._serial != latest and current.get(subscriber, latest + 1) > latest:
                    reached -= 1
                    continue
                subscriber.offer(data, messages)
                steps += work
                if steps >= YIELD_EVERY:
                    steps = 0
                    yield None
                    current = self._channels.get(channel, {})
            del self._writing[channel]
            yield Delivered(messages * reached, len(data) * reached, reached, pending.timestamps)
