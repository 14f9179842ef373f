"""A scenario: a log, gateways and what lies in front of them, clients, a platform that goes on writing; the verdict."""

import itertools
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from mesaya_ws.core.platform.topics import topic_of
from tests.e2e.client import connected
from tests.support.gateway import Gateway
from tests.timing import PATIENCE

from .log import Held, Log
from .platform import Platform
from .proxy import Address, Proxy
from .results import Results, Row
from .subscribers import KINDS, Subscriber, identity
from .verdict import Truth, Verdict

AnyProxy = TypeVar("AnyProxy", bound=Proxy)


class Runner(Protocol):
    """Something that runs until it is cancelled, and says when it has started."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None: ...


AnyRunner = TypeVar("AnyRunner", bound=Runner)


RATE = 30
"""Records a second that the platform writes."""


APART = 0.05
"""Seconds between a record and another one on which its meaning hangs; an answer of the broker is not made at once."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Return when `condition` holds."""
    with trio.move_on_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads and processes
            await trio.sleep(0.02)
        return
    raise AssertionError(f"Not within {PATIENCE:.0f} s: {what}.")


class World:
    """Made by `world`; everything in it ends with the context."""

    def __init__(self, log: Log, folder: Path, nursery: trio.Nursery, results: Results) -> None:
        self.log = log
        self.platform = Platform()
        self.gateways: list[Gateway] = []
        self.subscribers: list[Subscriber] = []
        self.began = self.ended = 0.0
        """When writing began, and ended, by `time.monotonic`."""
        self._clients: list[trio.CancelScope] = []
        self._numbers = itertools.count(1)
        self._folder = folder
        self._nursery = nursery
        self._results = results

    # Gateways

    async def gateway(self, *, ready: bool = True, **settings: str) -> Gateway:
        """Start a gateway on the log, and return when it is ready, unless that is not wanted."""
        # Others may be started meanwhile; two with one log would be taken for each other.
        name = f"gateway-{next(self._numbers)}"
        gateway = await trio.to_thread.run_sync(Gateway, self._folder, self.log.settings | settings, name)
        self.gateways.append(gateway)
        if ready:
            await trio.to_thread.run_sync(gateway.wait_ready)
        return gateway

    async def stop(self, gateway: Gateway) -> None:
        """End a gateway as a deployment does; it must end well."""
        assert await trio.to_thread.run_sync(gateway.stop) == 0, gateway.output

    def check_gateways(self) -> None:
        """See that none has met a fault of its own."""
        for gateway in self.gateways:
            assert "Traceback" not in gateway.output, gateway.output
            assert '"exception"' not in gateway.output, gateway.output

    async def proxy(self, gateway: Gateway, **options: int) -> Proxy:
        """Put a proxy in front of a gateway."""
        return await self.serve(Proxy(partial(address, gateway), **options))

    async def serve(self, proxy: AnyProxy) -> AnyProxy:
        """Let a proxy serve."""
        await self._nursery.start(proxy.serve)
        return proxy

    # Clients

    async def start(self, runner: AnyRunner) -> AnyRunner:
        """Run something for as long as the world lasts."""
        await self._nursery.start(runner.run)
        return runner

    async def subscribe(
        self,
        urls: str | Sequence[str],
        channels: Sequence[str] = (),
        *,
        snapshot: bool = False,
        settled: bool = True,
        kinds: Sequence[Callable[..., Subscriber]] = KINDS,
    ) -> list[Subscriber]:
        """Add a subscriber of each kind, to all channels unless some are named; return when they are subscribed.

        Without `snapshot`, nobody may be writing. When not `settled`, they are only begun.
        """
        urls = [urls] if isinstance(urls, str) else urls
        added = [kind(urls, channels or self.platform.channels, snapshot=snapshot) for kind in kinds]
        begin = None if snapshot else frozenset(await self.log.read_back())
        for subscriber in added:
            subscriber.begin = begin
            self._nursery.start_soon(self._run, subscriber)
        if settled:
            await until(lambda: all(one.subscribed for one in added), "new clients are subscribed")
        self.subscribers += added
        return added

    async def _run(self, subscriber: Subscriber) -> None:
        with trio.CancelScope() as scope:
            self._clients.append(scope)
            await subscriber.run()

    # What the platform writes

    async def found(self) -> None:
        """Write what there is before anything happens."""
        await self.log.write(list(self.platform.founding()))
        await self.log.settle()

    @asynccontextmanager
    async def writing(self, rate: float = RATE) -> AsyncIterator[None]:
        """Let the platform write for the time of the context; return when all is acknowledged."""
        async with trio.open_nursery() as nursery:
            self.began = time.monotonic()
            nursery.start_soon(self._write, rate)
            yield
            nursery.cancel_scope.cancel()
        await self.log.settle()
        self.ended = time.monotonic()

    async def _write(self, rate: float) -> None:
        begin = trio.current_time()
        for number, record in enumerate(self.platform.events()):
            await trio.sleep_until(begin + number / rate)
            # A record whose fate is not known would be written again.
            with trio.CancelScope(shield=True):
                if record.topic == topic_of("sections"):
                    # What becomes of tables hangs on it, and between topics there is no order but that of time.
                    await self._apart()
                    await self.log.write([record])
                    await self._apart()
                else:
                    await self.log.write([record])

    async def _apart(self) -> None:
        await self.log.settle()
        await trio.sleep(APART)

    async def received_more(self, subscribers: Sequence[Subscriber], more: int = 30) -> None:
        """Return when each of the subscribers has received some more; whatever comes meanwhile renews the patience."""
        wanted = {one: len(one.ids) + more for one in subscribers}

        def missing() -> int:
            return sum(max(0, count - len(one.ids)) for one, count in wanted.items())

        while still := missing():
            try:
                await until(lambda still=still: missing() < still, f"one of {still} more events")
            except AssertionError as error:
                error.add_note(f"What they were last, and why: {[(one.kind, one.last()) for one in wanted]}")
                raise

    async def all_received(self, subscribers: Sequence[Subscriber]) -> None:
        """Return when the subscribers have received all that there is; nobody may be writing."""
        truth = await trio.to_thread.run_sync(Truth, await self.log.read_back())
        for one in subscribers:
            for channel in one.channels:
                await until(partial(_has_received, one, channel, truth), f"{one.kind} has received all of {channel}")

    async def all_in_place(self, url: str, subscribers: Sequence[Subscriber]) -> None:
        """Return when the positions of the subscribers are the present ones of a gateway, on quiet channels, too."""

        def ask() -> dict[str, str]:
            with connected(url) as client:
                return client.subscribe(*{channel: None for one in subscribers for channel in one.channels})

        present = await trio.to_thread.run_sync(ask)
        for one in subscribers:
            places = {channel: present[channel] for channel in one.channels}
            await until(lambda one=one, places=places: one.places == places, f"{one.kind} has moved on")

    # The end

    async def finish(self, forgotten: Iterable[Held] = ()) -> Truth:
        """Write the last words, and end the clients when they have received them, and whatever else comes.

        Return the truth, with which they are to be compared; see there for what is `forgotten`.
        """
        words = self.platform.last_words()
        await self.log.write(words)
        await self.log.settle()
        truth = await trio.to_thread.run_sync(Truth, await self.log.read_back(), forgotten)
        last = {word.value for word in words}
        for one in self.subscribers:
            for channel in one.channels:
                await until(
                    partial(_has_received, one, channel, truth, last), f"{one.kind} has received all of {channel}"
                )
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for one in self.subscribers:
                    nursery.start_soon(one.drain)
        for scope in self._clients:
            scope.cancel()
        return truth

    def report(
        self, fault: str, done: str, truth: Truth, subscribers: Sequence[Subscriber], *, snapshots: int = 0
    ) -> None:
        """Enter a fault into the results, and fail if it has broken a promise.

        `snapshots` is how many channels may have been sent a gap; without that, there must be none.
        """
        verdict = Verdict()
        for one in subscribers:
            for channel in one.channels:
                found = truth.check(channel, one.received[channel], one.begin)
                verdict += found._replace(wrong=tuple(f"{one.kind}: {words}" for words in found.wrong))
        gaps = sum(
            message["type"] == "gap"
            for one in subscribers
            for received in one.received.values()
            for message in received
        )
        if gaps > snapshots:
            verdict += Verdict(wrong=(f"{gaps} times, events were given up as lost",))
        silence = max(one.longest_silence(self.began, self.ended) for one in subscribers)
        self.enter(Row(fault, self.log.name, done, len(subscribers), verdict, gaps, silence))

    def enter(self, row: Row) -> None:
        """Enter a line into the results, and fail if a promise was broken."""
        self._results.add(row)
        assert not row.verdict.wrong, "\n".join(row.verdict.wrong)


def address(gateway: Gateway) -> Address:
    """Return where a gateway listens."""
    return "127.0.0.1", gateway.port


def _has_received(one: Subscriber, channel: str, truth: Truth, last: Collection[bytes | None] = ()) -> bool:
    """Return whether a subscriber has received the last words on a channel, if any are given, and misses nothing."""
    ids = {identity(due.message) for due in truth.due[channel] if due.record.value in last}
    return ids <= one.ids and not truth.lost(channel, one.received[channel], one.begin)


@asynccontextmanager
async def world(log: Log, folder: Path, results: Results) -> AsyncIterator[World]:
    """Open a world on a log; its files are in `folder`."""
    async with trio.open_nursery() as nursery:
        made = World(log, folder, nursery, results)
        try:
            yield made
            nursery.cancel_scope.cancel()
            made.check_gateways()
        finally:
            for gateway in made.gateways:
                gateway.kill()
