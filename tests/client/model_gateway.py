"""A gateway of a few lines that speaks the protocol of docs/protocol.md, and does what a test wants of it."""

import json
import math
from contextlib import suppress

import trio
from attrs import Factory, define
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, RejectData, Request, TextMessage
from wsproto.utilities import LocalProtocolError

PRIVATE = "user:u1:notifications"
CHANNELS = ("global:announcements", "restaurant:1:tables", PRIVATE)
BAD_TOKEN = b'{"error": {"code": "bad_token", "message": "It is bad."}}'


def position(offset):
    return f"p{offset}"


def offset_of(position):
    return int(position[1:])


@define(eq=False)
class Gateway:
    """The log, the tokens, and the sessions with clients. `passes` says what becomes of new connections."""

    network: object
    random: object
    passes: str = "open"
    requires: bool = False
    """Whether a connection whose token has ended is closed."""
    is_behind: bool = False
    """Whether subscriptions have to wait for their answers."""
    is_busy: bool = False
    """Whether requests and tokens cannot be answered now."""
    log: list = Factory(list)
    """The channels of the events, whose offsets are the numbers from 1."""
    begins: dict = Factory(dict)
    sessions: dict = Factory(dict)
    _tokens: dict = Factory(dict)

    @property
    def end(self):
        return len(self.log)

    def publish(self, channel):
        self.log.append(channel)
        for session in list(self.sessions.values()):
            session.catch_up(channel)

    def next_offset(self, channel, after):
        """Return the offset of the next event of a channel, None if there is none yet."""
        return next((at for at in range(after + 1, self.end + 1) if self.log[at - 1] == channel), None)

    def forget(self, channel):
        """Have nobody resume before now."""
        self.begins[channel] = self.end

    def resync(self, channel):
        """Lose what clients have not been sent of a channel, and own up to it."""
        for session in list(self.sessions.values()):
            if channel in session.places:
                session.snapshot(channel, recovered=False, reason="expired")

    def behind(self, is_behind):
        self.is_behind = is_behind
        for session in list(self.sessions.values()):
            session.answer_waiting()

    # Tokens

    def issue(self, seconds):
        token = f"token-{len(self._tokens)}"
        self._tokens[token] = trio.current_time() + seconds
        return token

    def ends_at(self, token):
        """Return when a token ends; None: it is bad."""
        ends_at = self._tokens.get(token, -math.inf)
        return ends_at if ends_at > trio.current_time() else None

    def revoke(self):
        self._tokens.clear()
        for session in list(self.sessions.values()):
            session.end_identity("revoked")

    # Connections

    def on_connect(self, line):
        if self.passes == "refused":
            line.socket.refuse()
        elif self.passes == "cut":
            line.cut()
        elif self.passes == "silent":
            line.silence()
        else:
            line.peer = Session(self, line)

    def announce(self):
        for session in list(self.sessions.values()):
            session.say(type="going_away", closeIn=5)
            session.after(5, session.close, 1012, "service_restart")


@define(eq=False)
class Session:
    """What the gateway knows of one connection."""

    gateway: Gateway
    line: object
    places: dict = Factory(dict)
    """Up to which offset everything of each channel has been sent."""
    _waiting: dict = Factory(dict)
    _ends_at: float | None = None
    _websocket: WSConnection = Factory(lambda: WSConnection(ConnectionType.SERVER))
    _text: str = ""

    def after(self, seconds, do, *arguments):
        async def wait():
            await trio.sleep(seconds)
            if self.line in self.gateway.sessions:
                do(*arguments)

        self.gateway.network.nursery.start_soon(wait)

    # The WebSocket

    def on_bytes(self, data):
        self._websocket.receive_data(data)
        for event in self._websocket.events():
            match event:
                case Request():
                    self._on_request(event)
                case TextMessage():
                    self._text += event.data
                    if event.message_finished:
                        text, self._text = self._text, ""
                        self.on_message(json.loads(text))
                case Ping():
                    self._send(event.response())
                case CloseConnection():
                    self.on_end()
                    with suppress(LocalProtocolError):  # it answers ours
                        self._send(event.response())
                    self.line.down(b"")

    def on_end(self):
        self.gateway.sessions.pop(self.line, None)
        self.places, self._waiting = {}, {}

    def _send(self, event):
        self.line.down(self._websocket.send(event))

    def say(self, **message):
        if self.line in self.gateway.sessions:
            self._send(TextMessage(json.dumps(message)))

    def close(self, code, name):
        if self.line in self.gateway.sessions:
            self.on_end()
            self._send(CloseConnection(code, name))

    def _on_request(self, request):
        token = dict(request.extra_headers).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if self.gateway.passes == "busy":
            self._reject(503, b"")
        elif token and self.gateway.ends_at(token) is None:
            self._reject(401, BAD_TOKEN)
        else:
            self._send(AcceptConnection())
            self.gateway.sessions[self.line] = self
            self._identify(token)
            self.say(type="welcome", connection="c", live=True, asOf=0, lag=0, **self._who())

    def _reject(self, status, body):
        self._send(RejectConnection(status_code=status, headers=[], has_body=True))
        self._send(RejectData(body))
        self.line.down(b"")

    # Who the client is

    def _who(self):
        return {} if self._ends_at is None else {"user": "u1", "roles": []}

    def _identify(self, token):
        self._ends_at = ends_at = self.gateway.ends_at(token)
        if ends_at is not None:
            left = ends_at - trio.current_time()
            self.after(max(0.0, left - self.gateway.random.uniform(30, 90)), self._warn, ends_at)
            self.after(left, self._expire, ends_at)

    def _warn(self, ends_at):
        if self._ends_at == ends_at:
            self.say(type="token_expiring", expiresIn=ends_at - trio.current_time())

    def _expire(self, ends_at):
        if self._ends_at == ends_at:
            self.end_identity("token_expired")

    def end_identity(self, reason):
        self._ends_at = None
        self._waiting.pop(PRIVATE, None)
        if self.places.pop(PRIVATE, None) is not None:
            self.say(type="unsubscribed", channel=PRIVATE, reason=reason, position=position(self.gateway.end))
        if self.gateway.requires:
            self.after(self.gateway.random.uniform(0, 5), self._require)

    def _require(self):
        if self._ends_at is None:
            self.close(4401, "unauthenticated")

    # What the client says

    def on_message(self, message):
        if self.line not in self.gateway.sessions:
            return
        match message["type"]:
            case "ping":
                self.say(type="pong", positions=dict.fromkeys(self.places, position(self.gateway.end)))
            case "subscribe":
                self._subscribe(message)
            case "unsubscribe":
                waited = self._waiting.pop(message["channel"], None)
                if self.places.pop(message["channel"], None) is None and waited is None:
                    self._refuse("not_subscribed", message)
                else:
                    self.say(type="unsubscribed", channel=message["channel"])
            case "auth":
                self._authenticate(message)
            case "reservation.ack" if self.gateway.is_busy:
                self._refuse("unavailable", message)
            case "reservation.ack":
                self.say(type="acknowledged", id=message["id"], reservationId=message["reservationId"], by="u1", at="t")

    def _refuse(self, code, message):
        answer = {"type": "error", "code": code, "message": f"It is {code}."}
        self.say(**answer, **{name: message[name] for name in ("id", "channel") if name in message})

    def _authenticate(self, message):
        if self.gateway.is_busy:
            self._refuse("unavailable", message)
        elif self.gateway.ends_at(message["token"]) is None:
            self._refuse("bad_token", message)
        else:
            self._identify(message["token"])
            self.say(type="authenticated", **({"id": message["id"]} if "id" in message else {}), **self._who())

    def _subscribe(self, message):
        channel = message["channel"]
        self.places.pop(channel, None)
        if channel == PRIVATE and self._ends_at is None:
            self._refuse("unauthorized", message)
            return
        self._waiting[channel] = message
        if self.gateway.is_behind:
            self.after(2, self._pend, message)
        else:
            self.answer_waiting()

    def _pend(self, message):
        if self._waiting.get(message["channel"]) is message:
            self.say(type="pending", channel=message["channel"], live=True, asOf=0, lag=1)

    def answer_waiting(self):
        """Answer the subscriptions that wait, unless they have to go on waiting."""
        while self._waiting and not self.gateway.is_behind:
            self._answer(self._waiting.pop(next(iter(self._waiting))))

    def _answer(self, message):
        channel, end = message["channel"], self.gateway.end
        answer = {"type": "subscribed", "channel": channel}
        if "id" in message:
            answer["id"] = message["id"]
        since = offset_of(message["position"]) if "position" in message else None
        if since is None:
            self.places[channel] = end
            self.say(**answer, position=position(end))
            if message.get("snapshot"):
                self.snapshot(channel)
        elif since < self.gateway.begins.get(channel, 0):
            self.places[channel] = end
            self.say(**answer, position=position(end), recovered=False, reason="expired")
            self.snapshot(channel)
        else:
            self.places[channel] = since
            self.say(**answer, position=message["position"], recovered=True, replayed=0)
            self.catch_up(channel)

    def snapshot(self, channel, **more):
        at = self.places[channel] = self.gateway.end
        self.say(type="snapshot", channel=channel, position=position(at), complete=True, data={}, **more)

    def catch_up(self, channel):
        """Send what a client has not been sent yet of a channel."""
        if channel not in self.places:
            return
        while (at := self.gateway.next_offset(channel, self.places[channel])) is not None:
            self.places[channel] = at
            self.say(type="table.updated", channel=channel, position=position(at), timestamp="t", data=at)
