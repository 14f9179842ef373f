"""What one client and the server say to each other, but for the events that come in nearly all chunks (see `Swarm`)."""

import time

import orjson

from load.admission import Admission
from load.client import Client, State
from load.plan import Plan
from load.received import Received
from load.server_protocol import PROTOCOLS, is_error
from load.sockets import Sockets
from load.tokens import LASTING
from load.wire import CLOSE, PING, PONG, POSITION, Chunk, handshake, masked

RETRY = 1.0
"""Seconds until a client that was not let in, or was sent away, comes back."""

_EXPIRING, _ENDED = b'{"type":"token_expiring"', b'{"type":"unsubscribed"'


class Dialogue:
    """The way of each client of a swarm from when it dials until it is gone; so many of them are `open`."""

    def __init__(self, plan: Plan, received: Received, admission: Admission, sockets: Sockets) -> None:
        self.open = 0
        self._plan = plan
        self._protocol = PROTOCOLS[plan.protocol]
        self._received = received
        self._admission = admission
        self._sockets = sockets
        self._request = handshake(f"{plan.host}:{plan.port}", plan.path)

    def dial(self, client: Client) -> None:
        """Connect a client."""
        client.began = time.time_ns()
        client.state, client.rest = State.CONNECTING, b""
        self._admission.entering += 1
        self._sockets.dial(client)

    def connected(self, client: Client) -> None:
        """Shake hands, if a client's connection is there."""
        if reason := self._sockets.opened(client):
            self.gone(client, reason)
            return
        client.state = State.SHAKING_HANDS
        plan, request = self._plan, self._request
        if plan.secret:
            token = plan.token(client.channel, time.time() + LASTING)
            request = handshake(f"{plan.host}:{plan.port}", plan.path, token)
        self._send(client, request)

    def sign_in(self, client: Client, ends: float) -> None:
        """Give a client another token, which ends then (s since the epoch)."""
        message = {"type": "auth", "token": self._plan.token(client.channel, ends)}
        self._send(client, masked(orjson.dumps(message)))

    def _send(self, client: Client, data: bytes) -> None:
        try:
            client.link.send(data)
        except OSError as error:
            self.gone(client, error.strerror or "broken")

    def gone(self, client: Client, reason: str) -> None:
        """Note that a client was cut off, and let it come back a little later."""
        self._received.fail(reason)
        self.cut(client)
        self._admission.send_back(client, time.monotonic() + RETRY)

    def cut(self, client: Client) -> None:
        """Cut a client off."""
        if client.state in (State.OPEN, State.LAPSED):
            self.open -= 1
        elif client.state is not State.AWAY:
            self._admission.entering -= 1
        self._sockets.cut(client)
        client.state, client.rest, client.replaying = State.AWAY, b"", 0

    def take(self, client: Client, data: bytes) -> None:
        """Take bytes in whatever state a client is."""
        if not data:
            self.gone(client, "closed by the server")
            return
        data = client.rest + data
        if client.state is State.SHAKING_HANDS:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                client.rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.gone(client, head.partition(b"\r\n")[0].decode("latin-1"))
                return
            client.state = State.SUBSCRIBING
            self._send(client, self._protocol.hello(self._plan.channel(client.channel), client.position))
        chunk = Chunk(data)
        client.rest = data[chunk.rest :]
        for opcode, payload in chunk.others:
            self._receive(client, opcode, payload)
            if client.state is State.AWAY:
                return
        if client.stopped:
            return
        now = time.time_ns()
        for stamp in chunk.stamps:
            self._received.enter(client, stamp, now)
        client.position = chunk.position or client.position

    def _receive(self, client: Client, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._send(client, PONG)
        elif opcode == CLOSE:
            self.gone(client, f"closed with {int.from_bytes(payload[:2])} {payload[2:].decode(errors='replace')}")
        elif payload == self._protocol.ping:
            self._send(client, masked(payload))
        elif client.state is State.SUBSCRIBING:
            self._answered(client, payload)
        elif payload.startswith(_EXPIRING):
            if not client.lapsing:
                self._received.now.renewed += 1
                self.sign_in(client, time.time() + LASTING)
        elif payload.startswith(_ENDED):
            self._received.now.lapsed += 1
            client.state = State.LAPSED
        elif self._plan.watch:
            self._received.notice(payload, time.time())

    def _answered(self, client: Client, payload: bytes) -> None:
        if is_error(payload):
            self.gone(client, payload.decode(errors="replace"))
        elif self._protocol.ready in payload:
            client.state = State.OPEN
            self._admission.entering -= 1
            if client.stopped:
                self._sockets.ignore(client)
                return
            self.open += 1
            counts = self._received.now
            counts.connected += 1
            counts.opening.record((time.time_ns() - client.began) // 1000)
            if client.position is not None and self._protocol.resumes:
                answer = orjson.loads(payload)
                client.replaying = answer.get("replayed", 0)
                counts.recovered += answer.get("recovered") is True
                counts.unrecovered += answer.get("recovered") is not True
            if not client.replaying and (position := POSITION.search(payload)):
                client.position = position[1]
