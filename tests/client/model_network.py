"""A network in memory: sockets for Trio, and what lies between their ends. Its time is that of the test's clock."""

import errno
import socket
from collections import deque

import trio
from attrs import Factory, define, field

SEND_BUFFER = 2_000
"""Bytes that a connection takes of which nothing arrives."""


@define(eq=False)
class Line:
    """What lies between a client's socket and the gateway: all that is sent arrives in its order, after a while."""

    network: "Network"
    socket: "FakeSocket"
    peer: object = None
    """What receives at the other end: `on_bytes`, and `on_end` when the client has closed."""
    _ways: dict[str, deque] = field(factory=lambda: {"up": deque(), "down": deque()})
    is_over: bool = False
    """Nothing arrives any more: it was cut, or it is silent."""
    undelivered: int = 0

    def up(self, data):
        """Pass bytes, or the end, to the gateway."""
        if self.is_over:
            self.undelivered += len(data)
        elif self.peer is not None:
            self._pass("up", lambda: self.peer.on_bytes(data) if data else self.peer.on_end())

    def down(self, data, *, then=lambda: None):
        """Pass bytes, or the end, to the client; once they have arrived, `then` is called."""
        self._pass("down", lambda: (self.socket.feed(data), then()))

    def _pass(self, way, arrive):
        self._ways[way].append(arrive)
        self.network.nursery.start_soon(self._arrive, way)

    async def _arrive(self, way):
        await trio.sleep(self.network.latency())
        act = self._ways[way].popleft()
        if not self.is_over:
            act()

    def cut(self):
        """End it, as a router does that says so to the client; the gateway notices by itself."""
        if not self.is_over:
            self.silence()
            self.socket.reset()

    def silence(self):
        """Swallow everything, both ways."""
        self.is_over = True
        if self.peer is not None:
            self.peer.on_end()


class FakeSocket(trio.socket.SocketType):
    """A client's socket, as `trio.SocketStream` uses it."""

    type = socket.SOCK_STREAM
    family = socket.AF_INET
    did_shutdown_SHUT_WR = False  # noqa: N815 - Trio's name

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.line = Line(network, self)
        self.is_closed = False
        self._error = None
        self._received = deque()
        self._changed = trio.Event()

    def setsockopt(self, *_):
        """Take any option."""

    def getsockopt(self, *_):
        return 0

    def _change(self):
        self._changed.set()
        self._changed = trio.Event()

    def _check(self):
        if self.is_closed:
            raise OSError(errno.EBADF, "closed")
        if self._error:
            raise self._error

    async def connect(self, address):
        self.network.sockets.append(self)
        await trio.sleep(self.network.latency())
        self._check()
        self.network.on_connect(self.line)
        self._check()

    async def send(self, data, flags=0):
        await trio.lowlevel.checkpoint()
        self._check()
        while self.line.undelivered > SEND_BUFFER:
            await self._changed.wait()
            self._check()
        self.line.up(bytes(data))
        return len(data)

    async def recv(self, size, flags=0):
        await trio.lowlevel.checkpoint()
        while True:
            if self._received and not self.is_closed:
                return self._received.popleft() if self._received[0] else b""
            self._check()
            await self._changed.wait()

    def feed(self, data):
        """Have bytes, or the end, arrive."""
        self._received.append(data)
        self._change()

    def reset(self):
        """Have it end with an error."""
        self._error = ConnectionResetError(errno.ECONNRESET, "reset")
        self._change()

    def refuse(self):
        """Have nobody listen there."""
        self._error = ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    def close(self):
        if not self.is_closed:
            self.is_closed = True
            self._change()
            self.line.up(b"")


@define(eq=False)
class Network(trio.abc.SocketFactory):
    """Makes the sockets of a client; `on_connect` decides what becomes of those that it connects."""

    nursery: trio.Nursery
    random: object
    on_connect: object = None
    slowness: float = 0.1
    sockets: list = Factory(list)

    def latency(self):
        return self.random.uniform(0, self.slowness)

    def socket(self, family=0, type=0, proto=0):
        return FakeSocket(self)

    @property
    def open_sockets(self):
        return [each for each in self.sockets if not each.is_closed]
