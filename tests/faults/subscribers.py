"""Clients that keep all that they receive, and come back after every fault: two implementations.

One is the package's own client. The other shares no code with it, and does what the documentation says that a client
does; it is built on `websockets`, in a thread of its own.
"""

import itertools
import json
import random
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

import trio
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from mesaya_ws.client.session import Session, connect
from mesaya_ws.client.timings import Timings
from tests.e2e.client import Client, connected

Message = dict[str, Any]

TICK = 0.5
"""Seconds of silence after which the independent client pings."""

SILENCE = 4.0
"""Seconds after which it believes that nobody is there any more."""


def identity(message: Message) -> str:
    """Return what no other event of the channel has; its position is opaque.

    The rules give no order to what goes along with something, as the tables of a section.
    """
    data = {
        name: sorted(value, key=json.dumps) if isinstance(value, list) else value
        for name, value in message["data"].items()
    }
    return json.dumps([message["type"], message["timestamp"], data], sort_keys=True)


class Subscriber(ABC):
    """Somebody who is subscribed to `channels`; behind `urls`, one after the other, the gateways are.

    `received` holds all events and snapshots by channel, in the order in which they came, and `ids` the events'
    identities. With `snapshot`, every channel begins with its state.
    """

    kind = ""

    def __init__(self, urls: Sequence[str], channels: Iterable[str], *, snapshot: bool = False) -> None:
        self.channels = list(channels)
        self.snapshot = snapshot
        self.received: dict[str, list[Message]] = {channel: [] for channel in self.channels}
        self.ids: set[str] = set()
        self.closes: list[int | None] = []
        """The codes that the independent client's connections ended with; None where there was none."""
        self.connections = 0
        self.paused = False
        """While it is set, nothing is read."""
        self.begin: Collection[object] | None = None
        """The records that lay before its beginning; None if it began with a snapshot."""
        self._times: list[float] = []
        self._urls = itertools.cycle(urls)

    @abstractmethod
    async def run(self) -> None:
        """Be a subscriber until cancelled."""

    def last(self) -> object:
        """Return what it says of its connections, the last ones, for whoever looks why it receives nothing."""
        return self.closes[-10:]

    @property
    def subscribed(self) -> bool:
        """Whether all channels have been answered for the first time."""
        return all(channel in self.places for channel in self.channels)

    @abstractmethod
    def drop(self) -> None:
        """End the connection, as one's own machine does, and come back."""

    @abstractmethod
    async def drain(self) -> None:
        """Return when all that was sent to it before has been received."""

    @property
    @abstractmethod
    def places(self) -> dict[str, str]:
        """Its positions by channel."""

    def longest_silence(self, begin: float, end: float) -> float:
        """Return how many seconds it was at the most that nothing came, between two times of `time.monotonic`."""
        times = [begin, *(at for at in self._times if begin < at < end), end]
        return max(after - before for before, after in itertools.pairwise(times))

    def receive(self, message: Message) -> None:
        self.received.setdefault(message["channel"], []).append(message)
        self._times.append(time.monotonic())
        if message["type"] not in ("gap", "snapshot"):
            self.ids.add(identity(message))


LIVELY = Timings(ping_interval=2.0, max_backoff=2.0)
"""The package's client notices in seconds what it otherwise notices within a minute."""


class PackageSubscriber(Subscriber):
    """Uses `mesaya_ws.client.session`."""

    kind = "mesaya_ws.client.session"

    def __init__(self, urls: Sequence[str], channels: Iterable[str], *, snapshot: bool = False) -> None:
        super().__init__(urls, channels, snapshot=snapshot)
        self.session: Session | None = None
        self._scope = trio.CancelScope()
        self._echoes = itertools.count()

    async def run(self) -> None:
        positions: dict[str, str] = {}
        while True:
            self.connections += 1
            with trio.CancelScope() as self._scope:
                async with connect(next(self._urls), positions, timings=LIVELY) as self.session:
                    positions = self.session.positions
                    for channel in self.channels:
                        await self.session.subscribe(channel, snapshot=self.snapshot)
                    async for event in self.session:
                        self.receive(
                            {
                                "channel": event.channel,
                                "type": event.type,
                                "timestamp": event.timestamp,
                                "data": event.data,
                                "complete": event.complete,
                            }
                        )
                        while self.paused:  # noqa: ASYNC110 - the tests say when
                            await trio.sleep(0.05)

    @property
    def places(self) -> dict[str, str]:
        return self.session.positions if self.session is not None else {}

    def drop(self) -> None:
        self._scope.cancel()

    async def drain(self) -> None:
        # Its state comes after all that was said before.
        channel = f"restaurant:echo-{next(self._echoes)}:menu"
        assert self.session is not None
        await self.session.subscribe(channel, snapshot=True)
        while channel not in self.received:  # noqa: ASYNC110 - another task receives it
            await trio.sleep(0.02)
        await self.session.unsubscribe(channel)


class ThreadSubscriber(Subscriber):
    """A subscriber that reads in a thread of its own, in `_run`, until it is `_stopped`."""

    def __init__(self, urls: Sequence[str], channels: Iterable[str], *, snapshot: bool = False) -> None:
        super().__init__(urls, channels, snapshot=snapshot)
        self._stopped = threading.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_when_cancelled)
            await trio.to_thread.run_sync(self._run, limiter=trio.CapacityLimiter(1))

    async def _stop_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._stopped.set()
            self.paused = False
            self.drop()

    @abstractmethod
    def _run(self) -> None:
        """Read, and come back, until `_stopped` is set."""


class PlainSubscriber(ThreadSubscriber):
    """Uses `websockets`, and what the documentation says."""

    kind = "websockets"

    def __init__(self, urls: Sequence[str], channels: Iterable[str], *, snapshot: bool = False) -> None:
        super().__init__(urls, channels, snapshot=snapshot)
        self.positions: dict[str, str] = {}
        self.pongs = 0
        self._client: Client | None = None
        self._dropped = False

    @property
    def places(self) -> dict[str, str]:
        return self.positions

    def drop(self) -> None:
        if self._client is not None:
            self._dropped = True
            with suppress(OSError):
                self._client.socket.socket.shutdown(socket.SHUT_RDWR)

    async def drain(self) -> None:
        # A pong comes after all that was said before; the next ping may have been sent already.
        wanted = self.pongs + 2
        while self.pongs < wanted:  # noqa: ASYNC110 - a thread receives them
            await trio.sleep(0.02)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._converse()
            except ConnectionClosed as closed:
                if self._client is not None and not self._dropped:
                    self.closes.append(closed.rcvd.code if closed.rcvd else None)
            except (OSError, InvalidHandshake, InvalidMessage, TimeoutError):
                pass
            self._client, self._dropped = None, False
            self._stopped.wait(random.uniform(0, 0.3))

    def _converse(self) -> None:
        # A client that does not read leaves what comes to the kernel.
        with connected(next(self._urls), max_queue=4, open_timeout=SILENCE, close_timeout=0.1) as self._client:
            self.connections += 1
            for channel in self.channels:
                self._subscribe(channel)
            received_at = pinged_at = time.monotonic()
            while not self._stopped.is_set():
                now = time.monotonic()
                if now - pinged_at > TICK:
                    pinged_at = now
                    self._client.send(type="ping")
                with suppress(TimeoutError):
                    self._take(json.loads(self._client.socket.recv(timeout=TICK)))
                    received_at = time.monotonic()
                while self.paused:
                    time.sleep(0.05)
                    received_at = time.monotonic()
                if time.monotonic() - received_at > SILENCE:
                    # Without a farewell: it would wait for the answer.
                    self.drop()

    def _subscribe(self, channel: str) -> None:
        assert self._client is not None
        if channel in self.positions:
            self._client.send(type="subscribe", channel=channel, position=self.positions[channel])
        else:
            self._client.send(type="subscribe", channel=channel, snapshot=self.snapshot)

    def _take(self, message: Message) -> None:
        channel = message.get("channel")
        match message["type"]:
            case "pong":
                self.pongs += 1
                self.positions |= message["positions"]
            case "subscribed":
                if message.get("recovered") is False:
                    self.receive({"channel": channel, "type": "gap", "data": message["reason"]})
                elif "recovered" not in message and not self.snapshot:
                    self.positions[channel] = message["position"]
            case "error":
                raise AssertionError(message)
            case "welcome" | "unsubscribed" | "pending" | "going_away":
                pass
            case _:
                if message.get("recovered") is False:
                    self.receive({"channel": channel, "type": "gap", "data": message["reason"]})
                self.receive(message)
                self.positions[channel] = message["position"]


KINDS = (PackageSubscriber, PlainSubscriber)
