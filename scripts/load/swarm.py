"""A process full of clients: as light as Python allows, so that it is the server that is measured.

One epoll, raw sockets, no object per message. Bytes that came before, on whatever connection, are not parsed again.
"""

import os
import socket
import time
from collections import deque
from collections.abc import MutableSequence
from datetime import datetime
from enum import Enum, auto
from multiprocessing.connection import Connection as Pipe
from select import EPOLLIN, EPOLLOUT, epoll
from typing import NamedTuple

import orjson
from attrs import define, field

from load.histogram import Histogram
from load.plan import Plan
from load.wire import CLOSE, PING, PONG, POSITION, TICK, TIMESTAMP, Chunk, Stamp, handshake, masked

READ = 262_144
REPORT_INTERVAL = 0.25
RETRY = 1.0
"""Seconds until a client that was not let in, or was sent away, comes back."""

_NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT, ip(7): one source port serves several destinations
_KNOWN_CHUNKS = 20_000

HASHED = 160
"""Bytes by which a chunk is looked up; the channel and the position are among them."""


class State(Enum):
    """Where a client is on its way."""

    AWAY = auto()
    CONNECTING = auto()
    SHAKING_HANDS = auto()
    SUBSCRIBING = auto()
    OPEN = auto()


@define(eq=False)
class Client:
    """A client, which lives on when its connection is cut. It expects the event number `next`; `missing` are gaps.

    One that is `stopped` reads nothing after the answer to its subscription, and counts nowhere.
    """

    channel: int
    source: str
    bystander: bool
    stopped: bool = False
    state: State = State.AWAY
    link: socket.socket | None = None
    began: int = 0
    next: int = 1
    position: bytes | None = None
    replaying: int = 0
    rest: bytes = b""
    missing: set[int] | None = None


class Sample(NamedTuple):
    """What a swarm has seen since its last sample.

    `open` is the number of clients now, `cpu` the processor time up to now, `last` when the latest event came.
    """

    at: float
    open: int
    connected: int
    deliveries: int
    replayed: int
    recovered: int
    unrecovered: int
    duplicates: int
    misrouted: int
    failures: dict[str, int]
    latency: Histogram
    opening: Histogram
    cpu: float
    last: float


class Finished(NamedTuple):
    """How many events a swarm never received, and how many came only after later ones."""

    lost: int
    late: int


@define
class _Counts:
    connected: int = 0
    deliveries: int = 0
    replayed: int = 0
    recovered: int = 0
    unrecovered: int = 0
    duplicates: int = 0
    misrouted: int = 0
    failures: dict[str, int] = field(factory=dict)
    latency: Histogram = field(factory=Histogram)
    opening: Histogram = field(factory=Histogram)


class Swarm:
    """The clients of one process. The commands that come through `pipe` are the names of its methods."""

    def __init__(self, plan: Plan, index: int, pipe: Pipe, received: MutableSequence[int]) -> None:
        self._plan = plan
        self._index = index
        self._pipe = pipe
        self._received = received
        self._total = 0
        self._late = 0
        self._last = 0.0
        self._epoll = epoll()
        # One buffer for all: a fresh one of this size for every read would cost more than the read.
        self._buffer = bytearray(READ)
        self._view = memoryview(self._buffer)
        self._by_fd: dict[int, Client] = {}
        self._chunks: dict[tuple[int, bytes], Chunk] = {}
        self._fresh: list[Chunk] = []
        self._counts = _Counts()
        self._open = 0
        self._under_way = 0
        self._running = True
        self._request = handshake(f"{plan.host}:{plan.port}", plan.path)
        self._clients = [
            Client(number % plan.channels, f"127.0.0.{2 + number % plan.sources}", number < plan.bystanders)
            for number in range(index, plan.connections, plan.processes)
        ]
        self._stopped = [
            Client(number % plan.channels, f"127.0.0.{2 + number % plan.sources}", bystander=False, stopped=True)
            for number in range(index, plan.stopped, plan.processes)
        ]
        self._waiting: deque[Client] = deque()
        self._back_at: deque[tuple[float, Client]] = deque()
        self._ramp = plan.ramp / plan.processes if plan.ramp else None
        self._ramp_next = 0.0
        self._to_cut: deque[Client] | None = None
        self._cut_next = 0.0

    # Commands

    def connect(self) -> None:
        """Let all clients come."""
        self._ramp_next = time.monotonic()
        self._waiting.extend(self._clients)

    def cut_all(self) -> None:
        """Cut all but the bystanders, at once; they stay away."""
        for client in self._clients:
            if not client.bystander and client.state is not State.AWAY:
                self._cut(client)

    def come_back(self) -> None:
        """Let those who are away come back as fast as they can."""
        self._ramp = None
        self._waiting.extend(client for client in self._clients if client.state is State.AWAY)

    def stop_reading(self) -> None:
        """Let those come who read nothing."""
        self._waiting.extend(self._stopped)

    def start_cutting(self) -> None:
        """From now on, cut one after the other."""
        self._to_cut = deque(client for client in self._clients if not client.bystander)
        self._cut_next = time.monotonic()

    def stop_cutting(self) -> None:
        """Cut nobody any more."""
        self._to_cut = None

    def finish(self, fed: list[int]) -> None:
        """End, and tell what is missing of the events that were `fed`, by channel."""
        lost = sum(
            len(client.missing or ()) + max(0, fed[client.channel] - client.next + 1) for client in self._clients
        )
        self._report()
        self._pipe.send(Finished(lost, self._late))
        self._running = False

    # The loop

    def run(self) -> None:
        """Serve until `finish`."""
        self._epoll.register(self._pipe.fileno(), EPOLLIN)
        report_at = time.monotonic() + REPORT_INTERVAL
        while self._running:
            busy = self._waiting or self._back_at or self._to_cut is not None
            ready = self._epoll.poll(0.002 if busy else 0.02, 1024)
            seen = self._total
            self._read(ready)
            if self._total > seen:
                self._received[self._index] = self._total
                self._last = time.time()
            now = time.monotonic()
            if busy:
                self._move(now)
            if now >= report_at or len(self._fresh) > _KNOWN_CHUNKS:
                self._report()
                report_at = now + REPORT_INTERVAL
            if self._pipe.poll():
                command, *arguments = self._pipe.recv()
                getattr(self, command)(*arguments)

    def _read(self, ready: list[tuple[int, int]]) -> None:
        """Take what came; nearly all of it passes through the first half of this loop."""
        by_fd, chunks, clock, opened = self._by_fd, self._chunks, time.time_ns, State.OPEN
        buffer, view = self._buffer, self._view
        total, fresh = 0, self._fresh
        for fd, _ in ready:
            client = by_fd.get(fd)
            if client is None:
                continue
            if client.state is State.CONNECTING:
                self._connected(client)
                continue
            try:
                size = client.link.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError as error:
                self._gone(client, error.strerror or "broken")
                continue
            data = bytes(view[:size])
            if client.rest or client.replaying or client.state is not opened:
                self._take(client, data)
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
                arrivals = chunk.arrivals
                arrivals[tick] = arrivals.get(tick, 0) + 1
            else:
                self._take(client, data)
        self._total += total
        self._counts.deliveries += total

    def _move(self, now: float) -> None:
        """Cut those whose time it is, and bring those who may come."""
        plan = self._plan
        if self._to_cut is not None and plan.cut_every:
            while self._cut_next <= now:
                self._cut_next += plan.cut_every / len(self._to_cut)
                client = self._to_cut[0]
                self._to_cut.rotate(-1)
                if client.state is State.OPEN:
                    self._cut(client)
                    self._back_at.append((now + plan.away, client))
        while self._back_at and self._back_at[0][0] <= now:
            self._waiting.append(self._back_at.popleft()[1])
        while self._waiting and self._under_way < plan.concurrency and (not self._ramp or self._ramp_next <= now):
            if self._ramp:
                self._ramp_next += 1 / self._ramp
            client = self._waiting.popleft()
            if client.state is State.AWAY:
                self._dial(client)

    # A client's way

    def _dial(self, client: Client) -> None:
        client.began = time.time_ns()
        client.link = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        client.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._plan.host == "127.0.0.1":
            client.link.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
            client.link.bind((client.source, 0))
        client.link.connect_ex((self._plan.host, self._plan.port))
        client.state, client.rest = State.CONNECTING, b""
        self._under_way += 1
        fd = client.link.fileno()
        self._by_fd[fd] = client
        self._epoll.register(fd, EPOLLOUT)

    def _connected(self, client: Client) -> None:
        if error := client.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._gone(client, os.strerror(error))
            return
        client.state = State.SHAKING_HANDS
        self._epoll.modify(client.link.fileno(), EPOLLIN)
        self._send(client, self._request)

    def _send(self, client: Client, data: bytes) -> None:
        try:
            client.link.send(data)
        except OSError as error:
            self._gone(client, error.strerror or "broken")

    def _gone(self, client: Client, reason: str) -> None:
        """Note that a client was cut off, and let it come back a little later."""
        self._counts.failures[reason] = self._counts.failures.get(reason, 0) + 1
        self._cut(client)
        self._back_at.append((time.monotonic() + RETRY, client))

    def _cut(self, client: Client) -> None:
        """Break the connection without farewell, with a reset."""
        if client.state is State.OPEN:
            self._open -= 1
        elif client.state is not State.AWAY:
            self._under_way -= 1
        if client.link is not None:
            del self._by_fd[client.link.fileno()]
            client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.link.close()
        client.link, client.state, client.rest, client.replaying = None, State.AWAY, b"", 0

    # What is unusual

    def _take(self, client: Client, data: bytes) -> None:
        """Take bytes in whatever state a client is."""
        if not data:
            self._gone(client, "closed by the server")
            return
        data = client.rest + data
        if client.state is State.SHAKING_HANDS:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                client.rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._gone(client, head.partition(b"\r\n")[0].decode("latin-1"))
                return
            client.state = State.SUBSCRIBING
            self._send(client, _hello(self._plan, client))
        chunk = Chunk(data)
        client.rest = data[chunk.rest :]
        for opcode, payload in chunk.others:
            self._hear(client, opcode, payload)
            if client.state is State.AWAY:
                return
        if client.stopped:
            return
        now = time.time_ns()
        for stamp in chunk.stamps:
            self._account(client, stamp, now)
        client.position = chunk.position or client.position

    def _hear(self, client: Client, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._send(client, PONG)
        elif opcode == CLOSE:
            self._gone(client, f"closed with {int.from_bytes(payload[:2])} {payload[2:].decode(errors='replace')}")
        elif payload == b"{}" and self._plan.dialect == "centrifugo":  # its ping
            self._send(client, masked(b"{}"))
        elif client.state is State.SUBSCRIBING:
            self._answered(client, payload)
        elif self._plan.watch and (told := TIMESTAMP.search(payload)) and POSITION.search(payload):
            self._counts.deliveries += 1
            self._total += 1
            self._counts.latency.record(int((time.time() - _seconds(told[1])) * 1e6))

    def _answered(self, client: Client, payload: bytes) -> None:
        if b'"error":' in payload or b'"type":"error"' in payload:
            self._gone(client, payload.decode(errors="replace"))
        elif _READY[self._plan.dialect] in payload:
            client.state = State.OPEN
            self._under_way -= 1
            if client.stopped:
                self._epoll.unregister(client.link.fileno())
                return
            self._open += 1
            self._counts.connected += 1
            self._counts.opening.record((time.time_ns() - client.began) // 1000)
            if client.position is not None and self._plan.dialect == "mesaya":
                answer = orjson.loads(payload)
                client.replaying = answer.get("replayed", 0)
                self._counts.recovered += answer.get("recovered") is True
                self._counts.unrecovered += answer.get("recovered") is not True
            if not client.replaying and (position := POSITION.search(payload)):
                client.position = position[1]

    def _account(self, client: Client, stamp: Stamp, now: int) -> None:
        """Enter one event into the books."""
        counts = self._counts
        if stamp.channel != client.channel:
            counts.misrouted += 1
            return
        if stamp.number >= client.next:
            if stamp.number > client.next:
                client.missing = (client.missing or set()).union(range(client.next, stamp.number))
            client.next = stamp.number + 1
        elif client.missing and stamp.number in client.missing:
            client.missing.remove(stamp.number)
            self._late += 1
        else:
            counts.duplicates += 1
            return
        counts.deliveries += 1
        self._total += 1
        if client.replaying:
            client.replaying -= 1
            counts.replayed += 1
        else:
            counts.latency.record((now - stamp.due) // 1000)

    def _report(self) -> None:
        counts, self._counts = self._counts, _Counts()
        latency = counts.latency
        for chunk in self._fresh:
            for stamp in chunk.stamps if chunk.arrivals else ():
                for tick, times in chunk.arrivals.items():
                    latency.record((((2 * tick + 1) << (TICK - 1)) - stamp.due) // 1000, times)
        self._chunks.clear()
        self._fresh.clear()
        self._pipe.send(
            Sample(
                time.time(),
                self._open,
                counts.connected,
                counts.deliveries,
                counts.replayed,
                counts.recovered,
                counts.unrecovered,
                counts.duplicates,
                counts.misrouted,
                counts.failures,
                latency,
                counts.opening,
                time.process_time(),
                self._last,
            )
        )


_READY = {"mesaya": b'"subscribed"', "centrifugo": b'"id":2'}


def _hello(plan: Plan, client: Client) -> bytes:
    """Return the frame that subscribes a client, in the language of the server."""
    channel = plan.channel(client.channel)
    if plan.dialect == "centrifugo":
        return masked(b'{"id":1,"connect":{}}\n' + orjson.dumps({"id": 2, "subscribe": {"channel": channel}}))
    message = {"type": "subscribe", "channel": channel}
    if client.position is not None:
        message["position"] = client.position.decode()
    return masked(orjson.dumps(message))


def _seconds(iso: bytes) -> float:
    return datetime.fromisoformat(iso.decode()).timestamp()


def run_swarm(plan: Plan, index: int, pipe: Pipe, received: MutableSequence[int]) -> None:
    """Run a swarm; what a process of it does."""
    Swarm(plan, index, pipe, received).run()
