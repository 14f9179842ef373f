"""One client's rules: what it asks, what it may, what it is answered, and what it has missed."""

from collections.abc import Collection, Iterator, Mapping

from attrs import define, evolve, field, frozen

from mesaya_ws.core.access.channels import Channel, parse_channel
from mesaya_ws.core.access.permissions import may_subscribe
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.history import HistoryRead
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.feed.tally import LOST, RECOVERED, RESTARTED
from mesaya_ws.core.recovery.replay import Replay, ReplayRange
from mesaya_ws.core.recovery.verdict import NeedsHistory, NotReached, Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.services import AppendResult, Command, SessionServices
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import MessageError, Ping, Subscribe, Unsubscribe, encode, parse


@frozen
class Limits:
    """What one client may use.

    With `conflate`, channels that can be conflated are, while the client is behind (see `conflation`).
    """

    auth: bool
    max_subscriptions: int
    conflate: bool = False


@frozen
class _Held:
    """A subscription that cannot be answered yet; `looks` is how often the log had been looked at when it came.

    If that is since the client is `ahead`, there is nothing new before that is passed, or the log is looked at again
    (when it had been `seen` so often). `reminders` are the calls of `remind` that have found it waiting.
    """

    message: Subscribe
    looks: int
    ahead: NotReached | None = None
    seen: int = 0
    reminders: int = 0


@define(eq=False)
class Session:
    """The rules of one connection. Answers and events go to `send_queue`; nothing here waits.

    A subscription is held back while this instance has not read as far as the log, or as the client, has come. What
    takes longer than a moment, the session asks its `services` for.
    """

    id: str
    feed: Feed
    send_queue: SendQueue
    limits: Limits
    services: SessionServices
    _channels: dict[str, Channel] = field(factory=dict)
    _held: dict[str, _Held] = field(factory=dict)
    _earlier: dict[str, _Held] = field(factory=dict)
    delivery: Delivery = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.delivery = Delivery(self.feed, self.send_queue, self.services, self.limits.conflate)

    def greeting(self) -> bytes:
        """Return the frame that greets the client, before it has said anything."""
        return text_frame(encode("welcome", connection=self.id, **self.feed.freshness()))

    def announce(self, within: float) -> None:
        """Ask the client to move to another instance, before this one closes the connection in so many seconds."""
        self.delivery.say("going_away", closeIn=within)

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
                    self.delivery.say("pong", id=message.id, **self.feed.freshness(), positions=self._positions())
        except MessageError as refusal:
            self.delivery.say(
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
        for channel in self._channels.values():
            self.delivery.drop(channel)
        self._channels.clear()
        self._held.clear()
        self._earlier.clear()

    @property
    def holding(self) -> bool:
        """Whether there are subscriptions that wait for the feed to move on."""
        return bool(self._held)

    def release(self) -> Iterator[None]:
        """Answer the subscriptions for which the feed has come far enough.

        Yields between two of them, so that others have their turn: to judge one place may take some milliseconds.
        """
        feed = self.feed
        self.delivery.pause_for(len(self._held))
        has_opened = False
        for name, held in list(self._held.items()):
            if held.ahead is None or held.ahead.is_passed(feed.cursor) or held.seen != feed.coverage.looks:
                if has_opened:
                    yield
                if self._held.get(name) is held:  # the client may have left it meanwhile, or asked anew
                    del self._held[name]
                    self._open(held, self._channels[name])
                    has_opened = True

    @property
    def is_waited_for(self) -> bool:
        """Whether the client waits for the answer to a `subscribe`."""
        return bool(self._held or self._earlier)

    def remind(self) -> None:
        """Tell the client of subscriptions that have been waiting since the call before: they stand, but are pending.

        To be called every second or so while `is_waited_for`: a client is never left without an answer, however long
        the log is away. The answer itself follows, and no client need ask again.
        """
        for waiting in (self._held, self._earlier):
            for name, asked in waiting.items():
                if asked.reminders == 1:
                    self.delivery.say("pending", channel=name, id=asked.message.id, **self.feed.freshness())
                if asked.reminders < 2:
                    waiting[name] = evolve(asked, reminders=asked.reminders + 1)

    def lose(self, topic: str, lost: Unrecoverable) -> None:
        """Begin anew, with the state, where something of `topic` was missed; called before what comes after that."""
        for channel in self._channels.values():
            if topic in channel.kind.topics and not self._waits(channel):
                self.feed.tally.resumes[RESTARTED, lost] += 1
                self.delivery.start_over(channel, lost)

    @property
    def asking(self) -> Mapping[Channel, str]:
        """The channels whose past must be read from the log, because it has left the window, and the places there."""
        return {self._channels[name]: held.message.position or "" for name, held in self._earlier.items()}

    def recall(self, past: HistoryRead | None, channels: Collection[Channel]) -> None:
        """Go on with what was asked for on `channels`, whose `past` was read as far as it could be, or cannot be."""
        self.delivery.pause_for(len(channels))
        for channel in channels:
            asked = self._earlier.pop(channel.name, None)
            if asked is None:
                continue
            position = asked.message.position or ""
            match (past or self.feed.coverage).judge(channel, position), past:
                case Recoverable(vector), HistoryRead():
                    self.feed.tally.resumes[RECOVERED, "log"] += 1
                    self.delivery.replay(channel, asked.message, past.replay(channel, vector))
                case Unrecoverable() as lost, _:
                    self._begin(asked, channel, lost)
                case _:
                    self._begin(asked, channel, Unrecoverable.EXPIRED)

    def go_on(self) -> None:
        """Hand over more of what the client missed or asked for; to be called whenever the send queue is idle.

        Raises `PositionEvicted` when the client was too slow and its place is gone from the window; that ends
        everything.
        """
        try:
            self.delivery.go_on()
        except PositionEvicted:
            self.leave()  # or whoever tells it something else before it is closed would be told the same
            raise

    def append(self, command: Command) -> None:
        """Have the log take the record of a client's command; `on_appended` answers the client.

        It is published like any other record, to all who may see it, when it is read back from the log.
        """
        self.services.append(self, command)

    def on_appended(self, command: Command, result: AppendResult) -> None:
        """Answer the client's `command`, now that its result is known; who has left meanwhile is told nothing."""
        self.send_queue.offer(command.answer(result), 1)

    def _subscribe(self, message: Subscribe) -> None:
        name = message.channel

        def refusal(error: codes.ErrorCode, sentence: str) -> MessageError:
            return MessageError(error, sentence, id=message.id, channel=name)

        channel = parse_channel(name)
        if channel is None:
            raise refusal(codes.BAD_CHANNEL, f"There is no channel {name[:200]!r}.")
        if not may_subscribe(channel, auth=self.limits.auth):
            raise refusal(codes.UNAUTHORIZED, f"The channel {name!r} is private.")
        if name not in self._channels and len(self._channels) >= self.limits.max_subscriptions:
            most = self.limits.max_subscriptions
            raise refusal(codes.TOO_MANY_SUBSCRIPTIONS, f"A connection holds at most {most} subscriptions; leave one.")
        self._drop(channel)
        self._channels[name] = channel
        self._open(_Held(message, self.feed.coverage.looks), channel)

    def _open(self, asked: _Held, channel: Channel) -> None:
        """Begin a subscription, from now on or from the position that the client brought; or hold it back."""
        feed, message = self.feed, asked.message
        if not feed.live:
            self._hold(asked, channel)
            return
        verdict = None if message.position is None else feed.coverage.judge(channel, message.position)
        match verdict:
            case Recoverable(vector):
                feed.tally.resumes[RECOVERED, "window"] += 1
                self.delivery.replay(channel, message, Replay(ReplayRange(feed.window, channel.name, vector)))
            case NeedsHistory(vector) if feed.coverage.reaches_back(channel, vector):
                self._earlier[channel.name] = asked
                self.services.read_history(self)
            case NeedsHistory():
                self._begin(asked, channel, Unrecoverable.EXPIRED)
            # The first look since may have begun before the client came, and before the log reached that far.
            case NotReached(vector) if feed.coverage.reaches(vector) or feed.coverage.looks < asked.looks + 2:
                # Without its vector, which takes a hundred times the memory of the position that it is read from.
                self._hold(evolve(asked, ahead=evolve(verdict, vector={}), seen=feed.coverage.looks), channel)
            case NotReached():
                self._begin(asked, channel, Unrecoverable.POSITION_AHEAD)
            case _:
                self._begin(asked, channel, verdict)

    def _hold(self, asked: _Held, channel: Channel) -> None:
        """Hold a subscription back until the feed has moved on."""
        self._held[channel.name] = asked
        self.services.wait_for_feed(self)

    def _begin(self, asked: _Held, channel: Channel, lost: Unrecoverable | None) -> None:
        """Subscribe from now on; with the state, if that is asked for, or if what was missed is `lost`."""
        message = asked.message
        if lost is not None:
            self.feed.tally.resumes[LOST, lost] += 1
        if lost is not None or message.snapshot:
            self.delivery.tell(channel, message, lost)
        else:
            self.delivery.say("subscribed", channel=channel.name, id=message.id, position=self.feed.position(channel))
            self.delivery.go_live(channel)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        name = message.channel
        channel = self._channels.pop(name, None)
        if channel is None:
            raise MessageError(
                codes.NOT_SUBSCRIBED,
                f"The connection is not subscribed to {name[:200]!r}.",
                id=message.id,
                channel=name,
            )
        self._drop(channel)
        self.delivery.say("unsubscribed", channel=name, id=message.id)

    def _positions(self) -> dict[str, str]:
        """Return how far the client has been told everything, so that its places on quiet channels move on, too."""
        feed = self.feed
        # What is lost and not owned up to yet must not lie behind any place that a client has.
        lost = {topic for topic, _ in feed.gaps}
        return {
            name: feed.position(channel)
            for name, channel in self._channels.items()
            if self._is_told_all(channel) and feed.hub.is_settled(name) and lost.isdisjoint(channel.kind.topics)
        }

    def _waits(self, channel: Channel) -> bool:
        """Return whether the client has not been told anything of a channel yet."""
        return channel.name in self._held or channel.name in self._earlier or self.delivery.is_put_off(channel)

    def _is_told_all(self, channel: Channel) -> bool:
        """Return whether all that has been published on a channel has been handed over."""
        return not self._waits(channel) and not self.delivery.is_replaying(channel)

    def _drop(self, channel: Channel) -> None:
        """Forget a subscription, in whatever state it is."""
        self._held.pop(channel.name, None)
        self._earlier.pop(channel.name, None)
        self.delivery.drop(channel)
