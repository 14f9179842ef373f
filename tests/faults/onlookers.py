"""Clients by the thousand that ask who is on their channels, in one thread, and what they know against what is so."""

import json
import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from select import EPOLLIN, epoll

from tests.support.wire import CLOSE, TEXT, close, frame, handshake, split

CONNECTED_AT_ONCE = 50
"""Connections that are opened before it is listened to the others again."""


class Connection:
    """One WebSocket of an onlooker."""

    def __init__(self, port: int, channel: str) -> None:
        self.port = port
        self.subscribed = self.greeted = False
        self.socket = socket.create_connection(("127.0.0.1", port))
        subscribe = {"type": "subscribe", "channel": channel, "presence": True}
        self.socket.sendall(handshake() + frame(json.dumps(subscribe).encode()))
        self.socket.setblocking(False)
        self._data = b""

    def receive(self) -> list[dict] | None:
        """Return the messages that have come; None: the connection has ended."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._data += data
        if not self.greeted:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return []
            if not head.startswith(b"HTTP/1.1 101 "):
                return None
            self.greeted, self._data = True, rest
        frames, self._data = split(self._data)
        messages = []
        for opcode, payload in frames:
            if opcode == CLOSE:
                self.socket.send(close(int.from_bytes(payload[:2])))
                return None
            if opcode == TEXT:
                messages.append(json.loads(payload))
        return messages


class Onlooker:
    """One who looks at a channel, over one connection after the other."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.viewers: int | None = None
        self.since = self.right_at = 0.0
        self.connection: Connection | None = None
        self.pending: Connection | None = None
        """The next one, which is not subscribed yet."""


class Onlookers:
    """`count` onlookers, `together` on each channel, on the gateways that listen on `ports`.

    One whose connection ends, or who is asked to leave, goes to one of `ports` at once.
    """

    def __init__(self, count: int, together: int, ports: list[int]) -> None:
        self.ports = ports
        self.all = [Onlooker(f"restaurant:r{number // together}:tables") for number in range(count)]
        self.longest_wrong = 0.0
        """Seconds for which somebody was shown another number than was right all that time, and nobody had moved."""
        self.changes: Counter[int] = Counter()
        """By second, the messages that were not the first ones of a subscription."""
        self._epoll = epoll()
        self._open: dict[int, tuple[Connection, Onlooker]] = {}
        self._homeless = list(self.all)
        self._viewers: Counter[str] = Counter()
        self._changed_at: dict[str, float] = defaultdict(time.monotonic)
        self._looked_at = 0.0

    def watch(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Listen for so many seconds, or until something is so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            for _ in range(min(CONNECTED_AT_ONCE, len(self._homeless))):
                self._connect(self._homeless.pop())
            for number, _ in self._epoll.poll(0.02):
                if number in self._open:
                    self._listen(number)
            if time.monotonic() - self._looked_at > 0.25:
                self._check()

    @property
    def are_right(self) -> bool:
        """Whether all are there, and are shown the right number."""
        return not self._homeless and all(
            one.viewers == self._viewers[one.channel] and one.connection is not None for one in self.all
        )

    def wrong(self) -> str:
        """Return who is not there, or is shown another number than the right one."""
        wrong = [
            (one.channel, one.viewers, self._viewers[one.channel])
            for one in self.all
            if one.connection is None or one.viewers != self._viewers[one.channel]
        ]
        return f"{len(wrong)} are wrong, {len(self._homeless)} have no gateway: {wrong[:10]}"

    def close(self) -> None:
        """Leave, without a word."""
        for connection, _ in self._open.values():
            connection.socket.close()
        self._epoll.close()

    def _connect(self, one: Onlooker) -> None:
        try:
            connection = Connection(random.choice(self.ports), one.channel)
        except OSError:
            self._homeless.append(one)
            return
        one.pending = connection
        self._open[connection.socket.fileno()] = connection, one
        self._epoll.register(connection.socket.fileno(), EPOLLIN)

    def _listen(self, number: int) -> None:
        connection, one = self._open[number]
        messages = connection.receive()
        if messages is None:
            self._epoll.unregister(number)
            del self._open[number]
            connection.socket.close()
            if one.pending is connection:
                one.pending = None
            if one.connection is connection:
                one.connection = one.viewers = None
                self._viewers[one.channel] -= 1
                self._changed_at[one.channel] = time.monotonic()
            if one.connection is one.pending is None:
                self._homeless.append(one)
            return
        for message in messages:
            self._on_message(connection, one, message)

    def _on_message(self, connection: Connection, one: Onlooker, message: dict) -> None:
        now = time.monotonic()
        match message["type"]:
            case "subscribed":
                self._viewers[one.channel] += one.connection is None
                # Each move counts anew: until the former gateway has said that it is over, one counts twice.
                self._changed_at[one.channel] = now
                one.connection, one.since, one.viewers, one.pending = connection, now, None, None
            case "going_away":
                self._connect(one)
            case "presence" if one.connection is connection:
                self.changes[int(now)] += one.viewers is not None
                one.viewers = message["viewers"]

    def _check(self) -> None:
        now = self._looked_at = time.monotonic()
        for one in self.all:
            if one.connection is None or one.viewers == self._viewers[one.channel]:
                one.right_at = now
            else:
                since = max(one.right_at, one.since, self._changed_at[one.channel])
                self.longest_wrong = max(self.longest_wrong, now - since)
