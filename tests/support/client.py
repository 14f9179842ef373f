"""Clients on streams of Trio, which say what tests want, and connections of theirs without a dispatcher."""

import socket
from contextlib import contextmanager, suppress

import orjson
import trio

from mesaya_ws.core.wire.handshake import END
from mesaya_ws.server.admission import Admitted
from tests.support.wire import CLOSE, CONTINUATION, TEXT, frame, split
from tests.timing import PATIENCE

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Client:
    """The client's end of a connection; `ended` is set when nobody serves it any more."""

    def __init__(self, stream):
        self.stream = stream
        self.ended = trio.Event()
        self._data = b""
        self._frames = []

    async def send(self, *data):
        await self.stream.send_all(b"".join(data))

    async def ask(self, **message):
        await self.send(frame(orjson.dumps(message)))
        return await self.message()

    async def read_answer(self):
        """Return the answer that opens the WebSocket."""
        with trio.fail_after(PATIENCE):
            while END not in self._data:
                self._data += await self.stream.receive_some()
        answer, end, self._data = self._data.partition(END)
        return answer + end

    async def be_greeted(self):
        """Read the answer that opens the WebSocket, and the greeting; return that, and the answer."""
        answer = await self.read_answer()
        assert answer.startswith(b"HTTP/1.1 101 ")
        greeting = await self.message()
        assert greeting["type"] == "welcome"
        return greeting, answer

    async def frame(self):
        """Return the next (opcode, payload); None at the end."""
        with trio.fail_after(PATIENCE):
            while not self._frames:
                self._frames, self._data = split(self._data)
                if not self._frames:
                    data = await self.stream.receive_some()
                    if not data:
                        assert self._data == b""
                        return None
                    self._data += data
        return self._frames.pop(0)

    async def receive(self, size):
        """Take so many more bytes, at most, for the frames to come."""
        self._data += await self.stream.receive_some(size)

    async def message(self):
        """Return the next message, of however many frames it is."""
        opcode, payload = await self.frame()
        assert opcode == TEXT
        while True:
            with suppress(orjson.JSONDecodeError):
                return orjson.loads(payload)
            opcode, part = await self.frame()
            assert opcode == CONTINUATION
            payload += part

    async def closed_with(self):
        """Return code and reason of the close frame, and see that it is the last; what comes before is passed over."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert await self.frame() is None
                return int.from_bytes(payload[:2]), payload[2:].decode()


class Clients:
    """The clients of the connections of `server`, which are served in `nursery`, on sockets with small buffers.

    `all` are those that there have been.
    """

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
        """Close the clients' ends after the context."""
        try:
            yield
        finally:
            for client in self.all:
                client.stream.socket.close()
