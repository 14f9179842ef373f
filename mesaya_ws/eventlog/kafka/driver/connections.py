"""The clients' connections: fixes for sockets left open, waits without end, and attempts too often."""

import ssl
import weakref
from contextlib import suppress
from selectors import EVENT_READ
from time import monotonic
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaProtocolError
from kafka.net.inet import KafkaNetSocket, create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import KernelEvent, NetworkSelector, TaskState
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from mesaya_ws.eventlog.kafka.contacts import CONTACTS, Contact

_DIRECT = "direct"

READ = 65_536
"""Bytes that are read at once, at most."""


class Loop(NetworkSelector):  # type: ignore[misc]  # kafka-python has no types
    """The event loop of one client's connections."""

    def go_on_waiting(self) -> None:
        """Put the running task to sleep until its registered event happens again; a handler for `KernelEvent`."""
        self._current.state = TaskState.WAIT_IO


class UnthreadedLoop(Loop):
    """A loop that runs in the thread that waits for a result.

    With a thread of its own, each answer would cost two switches between threads.
    """

    def start(self) -> None:
        """Do not start a thread."""


class ClosingSocket(KafkaNetSocket):  # type: ignore[misc]
    """Closes a socket whose connection fails.

    kafka-python leaves it open until it is garbage-collected: several a second in an outage.
    """

    SCHEMES = (_DIRECT,)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        """Return `sock`, connected. Raises `KafkaError`."""
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


class _Transport(KafkaTCPTransport):  # type: ignore[misc]
    """A connection with fewer turns of the loop, which were a third of a request's cost."""

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes, and queue the rest."""
        if not self._writing and self._write and not self._closed:
            # The next attempt meets the same error.
            with suppress(OSError):
                data = data[self._sock.send(data) :]
            if not data:
                self.last_write = monotonic()
                return
        super().write(data)

    async def _read_from_sock(self) -> None:
        """Pass on what arrives. Unlike in kafka-python, the socket stays registered with the loop."""
        sock = self._sock
        self._net.register_event(sock, EVENT_READ, self._net._current)
        try:
            while self._read and not self._closed:
                await KernelEvent("go_on_waiting")
                received, error = self._sock_recv()
                # Data that arrives with the end of a connection says why the broker closes it, such as refused
                # credentials. The next turn meets the end again.
                if error and not received:
                    self.abort(error=error)
                    return
                self.last_read = monotonic()
                try:
                    self._protocol.data_received(received)
                except KafkaProtocolError as refusal:
                    self.abort(error=refusal)
        finally:
            self._net.unregister_event(sock, EVENT_READ)


class TcpTransport(_Transport):
    """A connection without encryption."""

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        try:
            received: bytes = self._sock.recv(READ)
        except OSError:
            received = b""
        # If there is more, the loop wakes the task again.
        return (received, None) if received else super()._sock_recv()


class TlsTransport(_Transport, KafkaSSLTransport):  # type: ignore[misc]
    """A connection with TLS; its handshake ends at `timeout_at`, where kafka-python waits without end."""

    timeout_at: float | None = None

    async def handshake(self) -> None:
        """Shake hands. Raises `ssl.SSLError`, `OSError` or `KafkaTimeoutError`."""
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._net.wait_read(self._sock, timeout_at=self.timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(self._sock, timeout_at=self.timeout_at)
            else:
                return


class Connections(KafkaConnectionManager):  # type: ignore[misc]
    """All connections of one client."""

    def __init__(self, net: Any, **options: Any) -> None:
        super().__init__(net, **options)
        addresses = self.cluster.bootstrap_brokers()
        self._named_by = ""
        # Weak, as in kafka-python: a dropped client must not become a reference cycle.
        manager = weakref.proxy(self)

        def soonest() -> list[Any]:
            """Return the addresses that may be tried soonest.

            kafka-python picks one at random, and waits out its back-off even if another address is healthy.
            """
            delays = [manager.connection_delay(address.node_id) for address in addresses]
            return [address for address, delay in zip(addresses, delays, strict=True) if delay == min(delays)]

        self.cluster.bootstrap_brokers = soonest

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        address = f"{node.host}:{node.port}"
        named_by = "" if self.cluster.is_bootstrap(node.node_id) else self._named_by
        try:
            transport = await self._open_transport(node, timeout_at)
        except Exception as error:
            CONTACTS.note(Contact(address, named_by, str(error) or type(error).__name__, monotonic()))
            raise
        CONTACTS.note(Contact(address, named_by, "", monotonic()))
        if not named_by:
            self._named_by = address
        return transport

    async def _open_transport(self, node: Any, timeout_at: float | None) -> Any:
        sock = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=f"{_DIRECT}://",
            timeout_at=timeout_at,
        )
        if self.ssl_enabled:
            transport = TlsTransport(self._net, sock, host=node.host, ssl_context=self.config["ssl_context"])
            transport.timeout_at = timeout_at
        else:
            transport = TcpTransport(self._net, sock, host=node.host)
        try:
            await transport.handshake()
        except BaseException as error:
            transport.close()
            if isinstance(error, Exception):
                raise KafkaConnectionError(f"Handshake failed: {error}") from error
            raise
        return transport

    def reset_backoff(self, node_id: Any) -> None:
        """Forget failures of a node, but only when there is a connection to it.

        Otherwise a node that accepts connections and closes them (a load balancer without servers) would be tried 1,500
        times a second.
        """
        connection = self._conns.get(node_id)
        if node_id != "metadata" and (connection is None or not connection.connected):
            self.update_backoff(node_id)
        else:
            super().reset_backoff(node_id)
