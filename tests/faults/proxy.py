"""What lies between a client and a gateway: a TCP proxy that misbehaves on demand, and a load balancer."""

import contextlib
import itertools
import socket
import struct
from collections.abc import Callable, Iterable

import trio

Address = tuple[str, int]

LOOK_INTERVAL = 0.1
"""Seconds between two health checks of a balancer."""


class Proxy:
    """A port of its own in front of whatever `choose` returns; nothing there is refused, as is everything on demand.

    `refusing` cuts off whoever connects; without `websockets`, whoever asks for one is cut off, as by proxies that do
    not know any. `pace` is how many bytes a second come through from the gateway; `narrow`, how many a connection
    buffers on the way, if that matters (the kernel would take megabytes).
    """

    def __init__(self, choose: Callable[[], Address | None], *, narrow: int | None = None) -> None:
        self.refusing = False
        self.websockets = True
        self.pace = float("inf")
        self.port = 0
        self._choose = choose
        self._narrow = narrow
        self._links: set[_Link] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def pass_websockets(self, *, passing: bool) -> None:
        """Let WebSockets pass from now on, or none, and no present one either."""
        self.websockets = passing
        for link in self._links:
            link.cutting |= link.is_websocket and not passing

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve, for ever."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()
            await trio.serve_listeners(self._serve, listeners, handler_nursery=nursery)

    def cut(self) -> None:
        """Cut all present connections, each in the middle of what its gateway says next."""
        for link in self._links:
            link.cutting = True

    def strand(self) -> None:
        """Let all present connections be half open: neither side ever learns of the other again, nor of its end."""
        for link in self._links:
            link.stranded = True

    async def _serve(self, client: trio.SocketStream) -> None:
        address = None if self.refusing else self._choose()
        try:
            if address is None:
                raise ConnectionRefusedError
            gateway = await _connect(address, self._narrow)
        except OSError:
            await _reset(client)
            return
        if self._narrow is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._narrow)
        link = _Link(client, gateway)
        self._links.add(link)
        try:
            await link.run(self)
        finally:
            self._links.discard(link)


class _Link:
    """A client's connection, and the one to the gateway that belongs to it."""

    def __init__(self, client: trio.SocketStream, gateway: trio.SocketStream) -> None:
        self.client, self.gateway = client, gateway
        self.cutting = self.stranded = self.is_websocket = False

    async def run(self, proxy: Proxy) -> None:
        """Carry what both sides say, until both have ended."""
        async with self.client, self.gateway, trio.open_nursery() as nursery:
            nursery.start_soon(self._carry_up, proxy, nursery.cancel_scope)
            nursery.start_soon(self._carry_down, proxy, nursery.cancel_scope)

    async def _carry_up(self, proxy: Proxy, both: trio.CancelScope) -> None:
        # Whatever breaks: what was said in the other direction is still carried to its end.
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in self.client:
                # A head is that short that it comes at once.
                self.is_websocket |= b"\r\nupgrade: websocket\r\n" in data.lower()
                if self.is_websocket and not proxy.websockets:
                    both.cancel()
                if not self.stranded:
                    await self.gateway.send_all(data)
            await self._end(self.gateway)

    async def _carry_down(self, proxy: Proxy, both: trio.CancelScope) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in self.gateway:
                if self.stranded:
                    continue
                if self.cutting and len(data) > 100:
                    # Any event is longer than that: its end is missing.
                    await self.client.send_all(data[:-3])
                    both.cancel()
                await self.client.send_all(data)
                if proxy.pace < float("inf"):
                    await trio.sleep(len(data) / proxy.pace)
        with contextlib.suppress(trio.BrokenResourceError):
            await self._end(self.client)

    async def _end(self, stream: trio.SocketStream) -> None:
        """End what is said to one side; of a stranded connection, not even that arrives."""
        if self.stranded:
            await trio.sleep_forever()
        await stream.send_eof()


class Balancer(Proxy):
    """One address for several gateways: who connects is given to the next of those whose /health/ready answers 200."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        super().__init__(self._next)
        self.addresses = set(addresses)
        """Where gateways are; those that come and go are added and taken away."""
        self._ready: set[Address] = set()
        self._turn = itertools.count()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve, for ever."""
        await self._look()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_on)
            await super().serve(task_status=task_status)

    def _next(self) -> Address | None:
        ready = sorted(self._ready & self.addresses)
        return ready[next(self._turn) % len(ready)] if ready else None

    async def _look_on(self) -> None:
        while True:
            await trio.sleep(LOOK_INTERVAL)
            await self._look()

    async def _look(self) -> None:
        for address in list(self.addresses):
            (self._ready.add if await _is_ready(address) else self._ready.discard)(address)


async def _connect(address: Address, narrow: int | None) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        if narrow is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, narrow)
        await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def _reset(stream: trio.SocketStream) -> None:
    """End a connection as one that nobody has accepted."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def _is_ready(address: Address) -> bool:
    answer = b""
    with contextlib.suppress(OSError, trio.BrokenResourceError), trio.move_on_after(2):
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(b"GET /health/ready HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n")
            async for data in stream:
                answer += data
    return answer.startswith(b"HTTP/1.1 200 ")
