"""A client of the service that shares no code with it: the synchronous one of `websockets`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.described import problem
from tests.timing import PATIENCE

Message = dict[str, Any]


class Client:
    """One WebSocket; their types say which messages are answers, and which are events."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome = self.receive()
        assert self.welcome["type"] == "welcome"

    def send(self, **message: object) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def receive(self) -> Message:
        """Return the next message."""
        try:
            message: Message = json.loads(self.socket.recv(timeout=PATIENCE))
        except TimeoutError:
            raise AssertionError(f"No message came within {PATIENCE} s.") from None
        assert (wrong := problem(message)) is None, f"not as described: {wrong}: {message}"
        return message

    def ask(self, **message: object) -> Message:
        """Send a message, and return what comes next."""
        self.send(**message)
        return self.receive()

    def subscribe(self, *channels: str) -> dict[str, str]:
        """Subscribe to channels, and return their positions once all are answered."""
        for channel in channels:
            self.send(type="subscribe", channel=channel)
        answers = [self.receive() for _ in channels]
        assert [(answer["type"], answer["channel"]) for answer in answers] == [("subscribed", it) for it in channels]
        return {answer["channel"]: answer["position"] for answer in answers}

    def closed_with(self) -> int:
        """Return the code with which the service closes the connection; what comes before is passed over."""
        try:
            while True:
                self.socket.recv(timeout=PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@contextmanager
def connected(url: str, **options: Any) -> Iterator[Client]:
    """Open a WebSocket, without compression and proxies, and with pings only from the service."""
    options = {
        "compression": None,
        "proxy": None,
        "ping_interval": None,
        "max_queue": None,
        "open_timeout": PATIENCE,
    } | options
    with connect(url, **options) as socket:
        yield Client(socket)


def without_position(message: Message) -> Message:
    """Return an event without the place in the log that it names."""
    return {key: message[key] for key in message if key != "position"}
