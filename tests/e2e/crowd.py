"""Clients by the hundred or the thousand, in one thread: one epoll, raw sockets, whole frames."""

import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import EPOLLIN, epoll

from tests.support.wire import CLOSE, TEXT, close, frame, handshake, split
from tests.timing import PATIENCE

SPARE = 200
"""Open files for all but the crowd."""


class Member:
    """A client: the frames that it has received, and the code with which it was closed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(handshake())
        self.socket.setblocking(False)
        self.frames: list[bytes] = []
        self.code: int | None = None
        self._data = b""
        self._greeted = False

    def say(self, **message: object) -> None:
        """Send a message."""
        self.socket.send(frame(json.dumps(message).encode()))

    def receive(self) -> bool:
        """Take what has come; return whether more can come."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self._data += data
        if not self._greeted:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return bool(data)
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._greeted, self._data = True, rest
        frames, self._data = split(self._data)
        for opcode, payload in frames:
            if opcode == CLOSE:
                self.code = int.from_bytes(payload[:2])
                self.socket.send(close(self.code))
            elif opcode == TEXT:
                self.frames.append(payload)
        return bool(data)


class Crowd:
    """Clients that are listened to whenever something is waited for."""

    def __init__(self, port: int, count: int) -> None:
        self._epoll = epoll()
        self.members = [Member(port) for _ in range(count)]
        self._open = {member.socket.fileno(): member for member in self.members}
        for number in self._open:
            self._epoll.register(number, EPOLLIN)

    def until(self, is_so: Callable[[Member], bool], what: str) -> None:
        """Listen until something is so of every member, which is so by what it has received."""
        deadline = time.monotonic() + PATIENCE
        waiting = {member for member in self.members if not is_so(member)}
        while waiting:
            assert time.monotonic() < deadline, f"of {len(waiting)} it is not so that {what}"
            for number, _ in self._epoll.poll(1.0):
                member = self._open[number]
                if not member.receive():
                    self._leave(number)
                if is_so(member):
                    waiting.discard(member)

    def close(self) -> None:
        """Leave, without a word."""
        for number in list(self._open):
            self._leave(number)
        self._epoll.close()

    def _leave(self, number: int) -> None:
        self._epoll.unregister(number)
        self._open.pop(number).socket.close()


@contextmanager
def crowd(port: int, count: int) -> Iterator[Crowd]:
    """Open so many WebSockets, as far as possible; they are yielded when all are greeted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + SPARE), hard))
    try:
        made = Crowd(port, count)
        try:
            made.until(lambda member: bool(member.frames), "it has been greeted")
            yield made
        finally:
            made.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
