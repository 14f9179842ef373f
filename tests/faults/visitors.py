"""Clients who note all that they send and receive, in one book, and know nothing of what they should have received."""

import http.client
import itertools
import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

from attrs import define, field
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.event_reader import EventReader
from tests.timing import PATIENCE

from .rights_page import Claims
from .subscribers import Message

WEBSOCKET, STREAM, PAGE = "websocket", "stream", "page"


@define(eq=False)
class Connection:
    """A connection to a gateway by a number, opened with a token that says `claims`; a bad token says none.

    `channels` are those of events by HTTP, and `since` where they were resumed.
    """

    number: int
    gateway: int
    transport: str
    claims: Claims | None = None
    has_bad_token: bool = False
    channels: tuple[str, ...] = ()
    since: str | None = None


class Entry(NamedTuple):
    """Something that happened: `begun` is how many records had been begun to be written by then, `at` the time of day.

    What is sent is noted before, what is received after that. `claims` are those of a token that is sent.
    """

    connection: Connection
    what: str
    message: Message
    begun: int
    at: float
    claims: Claims | None = None
    id: str | None = None


class Book:
    """The entries of all connections, in their order; and what the platform has begun to write."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.written: list[bytes] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def connection(self, gateway: int, transport: str, **options: Any) -> Connection:
        """Note that a connection is about to be opened."""
        made = Connection(next(self._numbers), gateway, transport, **options)
        self.note(made, "opening")
        return made

    def note(
        self,
        connection: Connection,
        what: str,
        message: Message | None = None,
        *,
        claims: Claims | None = None,
        id: str | None = None,
    ) -> None:
        """Note that something is about to be sent, or has been received."""
        with self._lock:
            now, begun = time.time(), len(self.written)
            self.entries.append(Entry(connection, what, message or {}, begun, now, claims, id))


@define(eq=False)
class WebSocketVisitor:
    """Somebody with a WebSocket at a time; `places` are the positions of the channels that it has seen."""

    book: Book
    places: dict[str, str] = field(factory=dict)
    connection: Connection | None = None
    _socket: ClientConnection | None = None
    _stack: ExitStack = field(factory=ExitStack)
    _ids: "itertools.count[int]" = field(factory=itertools.count)

    def connect(
        self, gateway: int, url: str, token: str = "", claims: Claims | None = None, *, as_protocol: bool = False
    ) -> None:
        """Open a WebSocket, in place of the one before."""
        self.leave()
        bad = bool(token) and claims is None
        made = self.book.connection(gateway, WEBSOCKET, claims=claims, has_bad_token=bad)
        how: dict[str, Any] = {}
        if token:
            protocols, header = ["mesaya.v1", f"bearer.{token}"], {"Authorization": f"Bearer {token}"}
            how = {"subprotocols": protocols} if as_protocol else {"additional_headers": header}
        how |= {"open_timeout": PATIENCE, "close_timeout": 0.1}
        stack = ExitStack()
        try:
            opened = stack.enter_context(
                connect(url, compression=None, proxy=None, ping_interval=None, max_queue=None, **how)
            )
        except InvalidStatus as refused:
            self.book.note(made, "refused", {"status": refused.response.status_code})
            return
        self.connection, self._socket, self._stack = made, opened, stack
        threading.Thread(target=self._listen, args=(opened, made), daemon=True).start()

    def _listen(self, opened: ClientConnection, made: Connection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = json.loads(opened.recv())
                self.book.note(made, "received", message)
                if (position := message.get("position")) is not None and message["type"] != "published":
                    self.places[message["channel"]] = position
                self.places |= message.get("positions", {})
        self.book.note(made, "closed")

    def ask(self, kind: str, claims: Claims | None = None, **fields: object) -> None:
        """Send a message, if the connection is still open."""
        if self._socket is None or self.connection is None:
            return
        message = {"type": kind, "id": f"{kind}-{next(self._ids)}", **fields}
        self.book.note(self.connection, "sent", message, claims=claims)
        with suppress(ConnectionClosed):
            self._socket.send(json.dumps(message))

    def leave(self) -> None:
        """End the connection, without a farewell."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.socket.shutdown(socket.SHUT_RDWR)
            self._stack.close()
            self._socket = self.connection = None


@define(eq=False)
class StreamVisitor:
    """Somebody who reads events of the same channels by HTTP; `id` is where it has come to."""

    book: Book
    channels: tuple[str, ...]
    id: str | None = None
    connection: Connection | None = None
    _socket: socket.socket | None = None

    def read(
        self,
        gateway: int,
        port: int,
        token: str = "",
        claims: Claims | None = None,
        *,
        page: bool = False,
        **query: str,
    ) -> None:
        """Begin to read a stream, in place of the one before; or read one page."""
        self.leave()
        bad = bool(token) and claims is None
        made = self.book.connection(
            gateway, PAGE if page else STREAM, claims=claims, has_bad_token=bad, channels=self.channels, since=self.id
        )
        headers = {"Accept": "application/json" if page else "text/event-stream"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Last-Event-ID": self.id} if self.id else {}
        asked = urlencode([*(("channel", channel) for channel in self.channels), ("partial", "1"), *query.items()])
        opened = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        opened.connect()
        self._socket, self.connection = opened.sock, made
        opened.request("GET", f"/events?{asked}", headers=headers)
        answer = opened.getresponse()
        if answer.status != http.HTTPStatus.OK:
            self.book.note(made, "refused", {"status": answer.status})
        elif page:
            read = json.loads(answer.read())
            for message in read["events"]:
                self.book.note(made, "received", message)
            self.book.note(made, "closed", id=read["position"])
            self.id = read["position"]
        else:
            threading.Thread(target=self._listen, args=(answer, made), daemon=True).start()

    def _listen(self, answer: http.client.HTTPResponse, made: Connection) -> None:
        reader = EventReader(answer, self.id)
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            for message in reader:
                self.book.note(made, "received", message, id=reader.id)
                if self.connection is made:
                    self.id = reader.id
        self.book.note(made, "closed")

    def leave(self) -> None:
        """End the stream, without a farewell."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket = self.connection = None
