"""What is changed in the connections of Kafka's clients, as far as it needs no broker."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from kafka.errors import KafkaError, KafkaProtocolError
from kafka.net.selector import NetworkSelector

from mesaya_ws.eventlog.kafka.driver.clients import Clients, connection_options
from mesaya_ws.eventlog.kafka.driver.connections import READ, Connections, Loop, TcpTransport, UnthreadedLoop
from mesaya_ws.settings import Settings


def test_an_address_that_failed_is_not_waited_for_while_there_are_others():
    addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    long = {"reconnect_backoff_ms": 10_000, "reconnect_backoff_max_ms": 1_000_000}
    with closing(NetworkSelector()) as net:
        connections = Connections(net, bootstrap_servers=addresses, **long)

        def tried_next() -> set[str]:
            return {address.node_id for address in connections.cluster.bootstrap_brokers()}

        assert tried_next() == {"bootstrap-0", "bootstrap-1", "bootstrap-2"}
        connections.update_backoff("bootstrap-1")
        assert tried_next() == {"bootstrap-0", "bootstrap-2"}
        connections.update_backoff("bootstrap-0")
        assert tried_next() == {"bootstrap-2"}
        for _ in range(5):
            connections.update_backoff("bootstrap-2")
        assert tried_next() < {"bootstrap-0", "bootstrap-1"}, "who failed most is waited for longest"


@pytest.mark.parametrize("kind", ["admin", "consumer", "producer"])
def test_clients_that_were_closed_meanwhile_raise_an_error_of_kafka(kind):
    clients = Clients(connection_options(Settings(kafka_brokers=("127.0.0.1:1",))))
    clients.interrupt()
    with pytest.raises(KafkaError):
        getattr(clients, kind)()


class Protocol:
    """What a connection hands over to: it keeps everything, and refuses a `!`."""

    _sensors = None

    def __init__(self) -> None:
        self.received = b""
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        if data == b"!":
            raise KafkaProtocolError("!")
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Link:
    """A connection in a loop, its protocol, and the other end of its socket."""

    def __init__(self) -> None:
        self.loop = Loop()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.protocol = Protocol()
        self.transport = TcpTransport(self.loop, ours)
        self.transport.set_protocol(self.protocol)
        self.transport.resume_reading()
        self.loop.poll(0)

    def turn_until(self, done: Callable[[], bool]) -> None:
        for _ in range(1000):
            if done():
                return
            self.loop.poll(1000)
        pytest.fail("the loop turns for nothing")


@pytest.fixture
def link() -> Iterator[Link]:
    """A connection that is open."""
    link = Link()
    with link.peer:
        yield link
        link.transport.abort()
        link.loop.close()


def test_what_arrives_is_handed_over_however_much_it_is(link: Link):
    whole = bytes(range(256)) * (READ // 100)
    rest = memoryview(whole)
    link.peer.setblocking(False)

    def all_there() -> bool:
        nonlocal rest
        with suppress(BlockingIOError):
            rest = rest[link.peer.send(rest) :]
        return len(link.protocol.received) == len(whole)

    link.turn_until(all_there)
    assert link.protocol.received == whole


def test_what_the_system_takes_is_sent_without_a_turn_of_the_loop(link: Link):
    link.transport.write(b"request")
    assert link.peer.recv(100) == b"request"


def test_what_the_system_does_not_take_at_once_is_sent_later_and_in_order(link: Link):
    parts = [bytes([number]) * 300_000 for number in range(8)]
    for part in parts:
        link.transport.write(part)
    link.peer.setblocking(False)
    received = b""
    whole = b"".join(parts)

    def all_there() -> bool:
        nonlocal received
        with suppress(BlockingIOError):
            received += link.peer.recv(1_000_000)
        return len(received) == len(whole)

    link.turn_until(all_there)
    assert received == whole


def test_bytes_that_come_with_the_end_are_delivered_before_it(link: Link):
    link.peer.sendall(b"why")
    link.peer.close()
    link.turn_until(lambda: bool(link.protocol.lost))
    assert link.protocol.received == b"why"
    assert isinstance(link.protocol.lost[0], KafkaError)


def test_a_connection_that_makes_no_sense_is_closed(link: Link):
    link.peer.sendall(b"!")
    link.turn_until(lambda: bool(link.protocol.lost))
    assert isinstance(link.protocol.lost[0], KafkaProtocolError)
    assert link.peer.recv(1) == b""


def test_a_loop_without_a_thread_has_none():
    with closing(UnthreadedLoop()) as loop:
        loop.start()
        assert loop.run(lambda: 7) == 7, "whoever asks does the work"
        assert loop._io_thread is None
