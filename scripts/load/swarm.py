"""A process full of clients: as light as Python allows, so that it is the server that is measured.

One epoll, raw sockets, no object per message. Bytes that came before, on whatever connection, are not parsed again.
"""

import random
import time
from collections.abc import MutableSequence
from multiprocessing.connection import Connection as Pipe
from select import EPOLLIN

from load.admission import Admission
from load.client import Client, State
from load.dialogue import Dialogue
from load.plan import Plan
from load.received import Received
from load.sockets import Sockets
from load.wire import TICK, Chunk

READ = 262_144
AT_ONCE = 1024
"""Sockets that are read in one go, at most."""

REPORT_INTERVAL = 0.25

PROBE_INTERVAL = 0.05
"""Seconds from one look at how late this process is to the next."""

SIGNED_IN_AT_ONCE = 20
"""Clients that are given another token in one turn: to sign it takes some 30 µs, in which nothing else is received."""

_KNOWN_CHUNKS = 20_000

HASHED = 160
"""Bytes by which a chunk is looked up; the channel and the position are among them."""


class Swarm:
    """The clients of one process. The commands that come through `pipe` are the names of its methods."""

    def __init__(self, plan: Plan, index: int, pipe: Pipe, counters: MutableSequence[int]) -> None:
        self._plan = plan
        self._index = index
        self._pipe = pipe
        self._counters = counters
        self._received = Received()
        self._admission = Admission(plan)
        self._last = 0.0
        self._sockets = Sockets(plan)
        self._dialogue = Dialogue(plan, self._received, self._admission, self._sockets)
        # One buffer for all: a fresh one of this size for every read would cost more than the read.
        self._buffer = bytearray(READ)
        self._view = memoryview(self._buffer)
        self._running = True
        self._clients = [
            Client(
                number % plan.channels,
                f"127.0.0.{2 + number % plan.sources}",
                number < plan.bystanders,
                lapsing=number < plan.lapsing,
            )
            for number in range(index, plan.connections, plan.processes)
        ]
        for client, number in zip(self._clients, range(index, plan.connections, plan.processes), strict=True):
            client.next, position = plan.place(number)
            client.position = None if position is None else position.encode()
        self._stopped = [
            Client(number % plan.channels, f"127.0.0.{2 + number % plan.sources}", bystander=False, stopped=True)
            for number in range(index, plan.stopped, plan.processes)
        ]

        self._to_sign_in: list[tuple[Client, float]] = []

    # Commands

    def connect(self) -> None:
        """Connect all clients that have not been away for long."""
        self._admission.queue((client for client in self._clients if client.position is None), time.monotonic())

    def cut_all(self) -> None:
        """Cut all but the bystanders, at once; they stay away."""
        for client in self._clients:
            if not client.bystander and client.state is not State.AWAY:
                self._dialogue.cut(client)

    def come_back(self) -> None:
        """Connect those who are away, as fast as they can."""
        self._admission.rush(client for client in self._clients if client.state is State.AWAY)

    def stop_reading(self) -> None:
        """Connect those who read nothing."""
        self._admission.queue(self._stopped, time.monotonic())

    def start_cutting(self) -> None:
        """From now on, cut one after the other."""
        self._admission.start_cutting((client for client in self._clients if not client.bystander), time.monotonic())

    def stop_cutting(self) -> None:
        """Cut nobody any more."""
        self._admission.stop_cutting()

    def let_tokens_end(self, first: float, last: float) -> None:
        """Give all clients tokens that end between two times (s since the epoch)."""
        self._to_sign_in = [(client, random.uniform(first, last)) for client in self._clients]

    def finish(self, fed: list[int]) -> None:
        """End, and report what is missing of the events that were `fed`, by channel."""
        self._report()
        self._pipe.send(self._received.finish(self._clients, fed))
        self._running = False

    # The loop

    def run(self) -> None:
        """Serve until `finish`."""
        self._sockets.poll.register(self._pipe.fileno(), EPOLLIN)
        received, admission = self._received, self._admission
        report_at = time.monotonic() + REPORT_INTERVAL
        probe_at = time.monotonic() + PROBE_INTERVAL
        while self._running:
            busy = admission.busy or bool(self._to_sign_in)
            patience = min(0.002 if busy else 0.02, max(0.0, probe_at - time.monotonic()))
            ready = self._sockets.poll.poll(patience, AT_ONCE)
            if (late := time.monotonic() - probe_at) >= 0:
                received.now.lag.record(round(late * 1e6))
                probe_at += late + PROBE_INTERVAL
            seen = received.total
            self._read(ready)
            if self._plan.nap and len(ready) < AT_ONCE and not busy:
                time.sleep(self._plan.nap)
            if received.total > seen:
                self._counters[self._index] = received.total
                self._last = time.time()
            now = time.monotonic()
            for client, ends in self._to_sign_in[-SIGNED_IN_AT_ONCE:]:
                if client.state is State.OPEN:
                    self._dialogue.sign_in(client, ends)
            del self._to_sign_in[-SIGNED_IN_AT_ONCE:]
            if busy:
                for client in admission.cuts(now):
                    received.now.cuts += 1
                    self._dialogue.cut(client)
                    admission.send_back(client, now + self._plan.away)
                for client in admission.entries(now):
                    self._dialogue.dial(client)
            if now >= report_at or len(received.fresh) > _KNOWN_CHUNKS:
                self._report()
                report_at = now + REPORT_INTERVAL
            if self._pipe.poll():
                command, *arguments = self._pipe.recv()
                getattr(self, command)(*arguments)

    def _read(self, ready: list[tuple[int, int]]) -> None:
        """Take what came; nearly all of it passes through the first half of this loop."""
        by_fd, chunks, clock, opened = self._sockets.clients, self._received.chunks, time.time_ns, State.OPEN
        buffer, view = self._buffer, self._view
        total, fresh, dialogue = 0, self._received.fresh, self._dialogue
        for fd, _ in ready:
            client = by_fd.get(fd)
            if client is None:
                continue
            if client.state is State.CONNECTING:
                dialogue.connected(client)
                continue
            try:
                size = client.link.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError as error:
                dialogue.gone(client, error.strerror or "broken")
                continue
            data = bytes(view[:size])
            if client.rest or client.replaying or client.state is not opened:
                dialogue.take(client, data)
                continue
            # To compare is far cheaper than to hash: only the beginning of a long chunk is hashed.
            key = size, data[:HASHED]
            chunk = chunks.get(key)
            if chunk is None or chunk.data != data:
                chunk = chunks[key] = Chunk(data)
                fresh.append(chunk)
            if chunk.plain and chunk.first == client.next and chunk.channel == client.channel:
                count = len(chunk.stamps)
                client.next += count
                client.position = chunk.position
                total += count
                tick = clock() >> TICK
                arrivals = chunk.bystanders if client.bystander else chunk.arrivals
                arrivals[tick] = arrivals.get(tick, 0) + 1
            else:
                dialogue.take(client, data)
        self._received.total += total
        self._received.now.deliveries += total

    def _report(self) -> None:
        sample = self._received.close()
        sample.open, sample.last = self._dialogue.open, self._last
        sample.behind = sum(client.replaying > 0 for client in self._clients)
        sample.cpu, sample.at = time.process_time(), time.time()
        self._pipe.send(sample)


def run_swarm(plan: Plan, index: int, pipe: Pipe, counters: MutableSequence[int]) -> None:
    """Run a swarm; what a process of it does."""
    Swarm(plan, index, pipe, counters).run()
