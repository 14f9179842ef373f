"""One client's rules: what it asks, what it may, what it is answered, and what it has missed."""

from collections.abc import Callable

from attrs import define, field, frozen

from mesaya_ws.core import closing
from mesaya_ws.core.channels import Channel, parse_channel
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.frames import text_frame
from mesaya_ws.core.hub import Subscriber
from mesaya_ws.core.permissions import may_subscribe
from mesaya_ws.core.position import BadPositionError, ReplacedTopicError, Vector
from mesaya_ws.core.protocol import Ping, Refusal, Subscribe, Unsubscribe, encode, parse

PAGE_BYTES = 65_536
"""How much of a replay is handed to an outbox at a time; the next page waits until that one is written."""


@frozen
class Limits:
    """What one client may use."""

    auth: bool
    max_subscriptions: int


@define
class _Replay:
    """A subscription that is still being told what it missed: all after `vector` and after the publication `serial`."""

    vector: Vector
    serial: int


@define(eq=False)
class Session:
    """The rules of one connection. Answers and events go to `outbox`; nothing here waits.

    A subscription made before the feed is live is answered when it is.
    """

    id: str
    feed: Feed
    outbox: Subscriber
    limits: Limits
    _channels: dict[str, Channel] = field(factory=dict)
    _held: dict[str, Subscribe] = field(factory=dict)
    _replays: dict[str, _Replay] = field(factory=dict)

    def welcome(self) -> None:
        """Greet the client, before it has said anything."""
        self._say("welcome", connection=self.id, live=self.feed.live, timestamp=self.feed.time or None)

    def receive(self, text: str) -> str:
        """Obey a client's message, or answer why not; return its type, or the code of the error, for the books."""
        try:
            message = parse(text)
            match message:
                case Subscribe():
                    self._subscribe(message)
                case Unsubscribe():
                    self._unsubscribe(message)
                case Ping():
                    self._say("pong", id=message.id, timestamp=self.feed.time or None)
        except Refusal as refusal:
            self._say(
                "error",
                code=refusal.error.name,
                message=refusal.sentence,
                id=refusal.id,
                channel=refusal.channel,
            )
            return refusal.error.name
        return type(message).__name__.lower()

    def leave(self) -> None:
        """End all subscriptions: the connection is closing."""
        for name in self._channels:
            self.feed.hub.unsubscribe(name, self.outbox)
        self._channels.clear()
        self._held.clear()
        self._replays.clear()

    def release(self) -> None:
        """Answer the subscriptions that waited for the feed to be live."""
        held, self._held = self._held, {}
        for message in held.values():
            channel = self._channels.get(message.channel)
            if channel is not None:
                self._open(message, channel)

    def _subscribe(self, message: Subscribe) -> None:
        name = message.channel
        refuse: Callable[[closing.ErrorCode, str], Refusal] = lambda error, sentence: Refusal(  # noqa: E731
            error, sentence, id=message.id, channel=name
        )
        channel = parse_channel(name)
        if channel is None:
            raise refuse(closing.BAD_CHANNEL, f"There is no channel {name[:200]!r}.")
        if not may_subscribe(channel, auth=self.limits.auth):
            raise refuse(closing.UNAUTHORIZED, f"The channel {name!r} is private.")
        if name not in self._channels and len(self._channels) >= self.limits.max_subscriptions:
            most = self.limits.max_subscriptions
            raise refuse(closing.TOO_MANY_SUBSCRIPTIONS, f"A connection can hold {most} subscriptions; leave one first.")
        self._channels[name] = channel
        if self.feed.live:
            self._open(message, channel)
        else:
            self._held[name] = message

    def _open(self, message: Subscribe, channel: Channel) -> None:
        self._replays.pop(channel.name, None)
        self.feed.hub.subscribe(channel.name, self.outbox)
        self._say("subscribed", channel=channel.name, id=message.id, position=self.feed.position(channel))

    def _unsubscribe(self, message: Unsubscribe) -> None:
        name = message.channel
        if self._channels.pop(name, None) is None:
            raise Refusal(
                closing.NOT_SUBSCRIBED,
                f"The connection is not subscribed to {name[:200]!r}.",
                id=message.id,
                channel=name,
            )
        self._held.pop(name, None)
        self._replays.pop(name, None)
        self.feed.hub.unsubscribe(name, self.outbox)
        self._say("unsubscribed", channel=name, id=message.id)

    def _say(self, kind: str, **fields: object) -> None:
        self.outbox.offer(text_frame(encode(kind, **fields)), 1)
