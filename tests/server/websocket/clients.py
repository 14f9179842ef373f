"""Clients whose connections are served here, without a dispatcher, on sockets with small buffers."""

import socket
from contextlib import contextmanager

import trio

from mesaya_ws.server.admission import Admitted
from tests.server.websocket.client import Client

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Clients:
    """The clients of the connections of `server`, which are served in `nursery`; `all` that there have been."""

    def __init__(self, nursery, server):
        self.all = []
        self._nursery = nursery
        self._server = server
        nursery.start_soon(server.receiver.run)

    def connect(self, early=b"", caller=None):
        """Begin to serve a client, who is known as `caller`."""
        pair = socket.socketpair()
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs, ours = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in pair)
        client = Client(theirs)
        self.all.append(client)
        self._nursery.start_soon(self._serve, client, ours, early, caller)
        return client

    async def _serve(self, client, stream, early, caller):
        try:
            await self._server.serve(self._nursery, "c1", stream, Admitted(ANSWER, caller), early)
        finally:
            # As the dispatcher does, whose the stream is.
            stream.socket.close()
            client.ended.set()

    @contextmanager
    def open(self):
        """Close the clients' ends behind the context."""
        try:
            yield
        finally:
            for client in self.all:
                client.stream.socket.close()
