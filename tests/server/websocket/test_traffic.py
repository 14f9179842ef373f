import socket
import struct

import pytest

from mesaya_ws.server.websocket.traffic import carried


@pytest.fixture
def ends():
    """Both ends of a TCP connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as theirs,
        server.accept()[0] as ours,
    ):
        yield ours, theirs


def test_bytes_sent_and_received_are_those_of_the_connection(ends):
    ours, theirs = ends
    ours.sendall(b"x" * 10_000)
    missing = 10_000
    while missing:
        missing -= len(theirs.recv(missing))
    theirs.sendall(b"y" * 77)
    assert ours.recv(77) == b"y" * 77
    assert carried(ours) == (10_000, 77)


def test_bytes_are_still_known_when_the_peer_has_reset_the_connection(ends):
    ours, theirs = ends
    theirs.sendall(b"y")
    assert ours.recv(1) == b"y"
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with pytest.raises(ConnectionResetError):
        ours.recv(1)
    assert carried(ours) == (0, 1)


def test_what_is_not_tcp_or_closed_carries_nothing_known(ends):
    ours, _ = ends
    one, other = socket.socketpair()
    with one, other:
        assert carried(one) is None
    ours.close()
    assert carried(ours) is None
