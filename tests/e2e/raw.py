"""A client of bytes: it says what no library would say, and leaves as no library would leave."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from tests.support.wire import CLOSE, handshake, split
from tests.timing import PATIENCE


class RawClient:
    """A connection to a port of this machine."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_buffer is not None:
            # Only before connecting does it keep the kernel from taking more.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self._data = b""
        self._frames: list[tuple[int, bytes]] = []

    def send(self, *data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(data))

    def send_for_ever(self, data: bytes) -> NoReturn:
        """Send the same again and again, until that is an error."""
        while True:
            self.send(data)

    def shake_hands(self, request: bytes | None = None) -> None:
        """Open a WebSocket, and read the greeting."""
        self.send(handshake() if request is None else request)
        while b"\r\n\r\n" not in self._data:
            self._data += self._receive()
        answer, _, self._data = self._data.partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        greeting = self.frame()
        assert greeting is not None
        assert json.loads(greeting[1])["type"] == "welcome"

    def frame(self) -> tuple[int, bytes] | None:
        """Return the next (opcode, payload), or None at the end."""
        while not self._frames:
            self._frames, self._data = split(self._data)
            if not self._frames:
                data = self._receive()
                if not data:
                    return None
                self._data += data
        return self._frames.pop(0)

    def closed_with(self) -> tuple[int, str]:
        """Return code and reason of the close frame; what comes before is passed over, and nothing comes after it."""
        while frame := self.frame():
            opcode, payload = frame
            if opcode == CLOSE:
                assert self.frame() is None
                return int.from_bytes(payload[:2]), payload[2:].decode()
        raise AssertionError("the connection ended without a close frame")

    def refusal(self) -> tuple[int, str]:
        """Return status and error code of an HTTP answer, which ends the connection."""
        head, _, body = self.everything().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)["error"]["code"]

    def everything(self) -> bytes:
        """Return all that comes, up to the end of the connection."""
        while data := self._receive():
            self._data += data
        return self._data

    def reset(self) -> None:
        """Break the connection off: what the other side still sends is an error to it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65_536)
        except TimeoutError:
            raise AssertionError(f"Nothing came within {PATIENCE} s; there is {self._data!r}.") from None


@contextmanager
def raw(port: int, receive_buffer: int | None = None) -> Iterator[RawClient]:
    """Connect for the time of the context."""
    client = RawClient(port, receive_buffer)
    with client.socket:
        yield client
