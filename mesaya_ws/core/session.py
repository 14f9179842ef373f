"""One client's rules: what it asks, what it may, what it is answered, and what it has missed."""

from collections.abc import Collection, Set

from attrs import define, evolve, field, frozen

from mesaya_ws.core import closing
from mesaya_ws.core.channels import Channel, parse_channel
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.folding import Foldable, can_fold
from mesaya_ws.core.frames import text_frame
from mesaya_ws.core.hub import Outbox, Subscriber
from mesaya_ws.core.past import Past
from mesaya_ws.core.permissions import may_subscribe
from mesaya_ws.core.protocol import Ping, Refusal, Subscribe, Unsubscribe, encode, parse
from mesaya_ws.core.replay import Replay, Stretch
from mesaya_ws.core.resume import Ahead, Earlier, Lost, Missed
from mesaya_ws.core.snapshots import Snapshot
from mesaya_ws.core.window import Overtaken

AT_ONCE = 4
"""How many pages or small states a client is told in one turn: a millisecond or two, however much the kernel takes."""


@frozen
class Limits:
    """What one client may use; with `fold`, channels that can be folded are, while it is behind (see `folding`)."""

    auth: bool
    max_subscriptions: int
    fold: bool = False


@frozen
class _Held:
    """A subscription that cannot be answered yet; `looks` is how often the log had been looked at when it came.

    If that is since the client is `ahead`, there is nothing new before that is passed, or the log is looked at again
    (when it had been `seen` so often).
    """

    message: Subscribe
    looks: int
    ahead: Ahead | None = None
    seen: int = 0


_Show = tuple[Subscribe | None, Lost | None]
"""Why a state is to be told: what was asked, if it was, and what cannot be told instead."""


@define(eq=False)
class Session:
    """The rules of one connection. Answers and events go to `outbox`; nothing here waits.

    A subscription is held back while this instance has not read as far as the log, or as the client, has come:
    whoever owns the session calls `release` when the feed has moved on, as long as `holding` is true.
    """

    id: str
    feed: Feed
    outbox: Outbox
    limits: Limits
    _channels: dict[str, Channel] = field(factory=dict)
    _held: dict[str, _Held] = field(factory=dict)
    _earlier: dict[str, _Held] = field(factory=dict)
    _to_show: dict[str, _Show] = field(factory=dict)
    _to_write: dict[str, _Show] = field(factory=dict)
    _replays: dict[str, Replay] = field(factory=dict)
    _foldable: dict[str, Foldable] = field(factory=dict)

    def welcome(self) -> None:
        """Greet the client, before it has said anything."""
        self._say("welcome", connection=self.id, **self.feed.freshness())

    def announce(self, within: float) -> None:
        """Ask the client to move to another instance, before this one closes the connection in so many seconds."""
        self._say("moving", within=within)

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
                    self._say("pong", id=message.id, **self.feed.freshness(), positions=self._positions())
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
            self._turn_off(name)
        self._channels.clear()
        self._held.clear()
        self._earlier.clear()
        self._to_show.clear()
        self._to_write.clear()
        self._replays.clear()

    @property
    def holding(self) -> bool:
        """Whether there are subscriptions that wait for the feed to move on."""
        return bool(self._held)

    def release(self) -> None:
        """Answer the subscriptions for which the feed has come far enough."""
        feed = self.feed
        self._tell_in_turns(len(self._held))
        for name, held in list(self._held.items()):
            if held.ahead is None or held.ahead.is_passed(feed.cursor) or held.seen != feed.looks:
                del self._held[name]
                self._open(held, self._channels[name])

    def lose(self, topic: str, lost: Lost) -> None:
        """Begin anew, with the state, where something of `topic` was missed; called before what comes after that."""
        waiting = self._waiting()
        for name, channel in self._channels.items():
            if topic in channel.kind.topics and name not in waiting:
                self._drop(name)
                self._to_write[name] = None, lost

    @property
    def asking(self) -> Collection[Channel]:
        """The channels whose past must be read from the log, because it has left the window."""
        return [self._channels[name] for name in self._earlier]

    def recall(self, past: Past) -> None:
        """Go on with what was asked for, on the channels whose `past` has been read, as far as it could be."""
        names = [name for name in self._earlier if name in past.names]
        self._tell_in_turns(len(names))
        for name in names:
            asked, channel = self._earlier.pop(name), self._channels[name]
            match past.judge(channel, asked.message.position or ""):
                case Missed(vector):
                    self._replay(asked.message, channel, past.replay(channel, vector))
                case lost:
                    self._begin(asked, channel, lost)

    @property
    def showing(self) -> Channel | None:
        """The channel whose state is to be written, because it is large, now that the outbox is idle."""
        return None if self.outbox.behind or not self._to_write else self._channels[next(iter(self._to_write))]

    def show(self, snapshot: Snapshot) -> None:
        """Tell a state that was written for this session, and go on with what came after it.

        If some of that has left the window, or the client has fallen behind meanwhile, it must be written once more.
        """
        name, feed = snapshot.channel.name, self.feed
        if name not in self._to_write or self.outbox.behind or not feed.continues(snapshot):
            return
        self._tell(snapshot, *self._to_write.pop(name))
        if snapshot.serial == feed.window.serial:
            self._go_live(name)
        else:
            self._replays[name] = Replay(Stretch(feed.window, name, {}, told=snapshot.serial))
            self.go_on()

    def go_on(self) -> None:
        """Hand over more of what the client missed or asked for; to be called whenever the outbox is idle.

        Raises `Overtaken` when the client was too slow and its place is gone from the window; that ends everything.
        """
        for _ in range(AT_ONCE):
            if self.outbox.behind or not (self._to_show or self._replays):
                return
            if self._to_show:
                name = next(iter(self._to_show))
                self._show(self._channels[name], *self._to_show.pop(name))
            else:
                self._turn_page(*next(iter(self._replays.items())))
        if self._to_show or self._replays:
            self.outbox.pause()

    def _turn_page(self, name: str, replay: Replay) -> None:
        try:
            frames = replay.page()
        except Overtaken:
            if not self._folds(name):
                self.leave()  # or whoever tells it something else before it is closed would be told the same
                raise
            self._start_over(name)
            return
        if replay.done:
            self._go_live(name)
        if frames:
            self.outbox.offer(b"".join(frames), len(frames))

    def _tell_in_turns(self, channels: int) -> None:
        """Leave to `go_on` what is to be told of so many channels, if that is too much for one turn."""
        if channels > AT_ONCE:
            self.outbox.pause()

    def _subscribe(self, message: Subscribe) -> None:
        name = message.channel

        def refusal(error: closing.ErrorCode, sentence: str) -> Refusal:
            return Refusal(error, sentence, id=message.id, channel=name)

        channel = parse_channel(name)
        if channel is None:
            raise refusal(closing.BAD_CHANNEL, f"There is no channel {name[:200]!r}.")
        if not may_subscribe(channel, auth=self.limits.auth):
            raise refusal(closing.UNAUTHORIZED, f"The channel {name!r} is private.")
        if name not in self._channels and len(self._channels) >= self.limits.max_subscriptions:
            most = self.limits.max_subscriptions
            raise refusal(
                closing.TOO_MANY_SUBSCRIPTIONS, f"A connection holds at most {most} subscriptions; leave one."
            )
        self._drop(name)
        self._channels[name] = channel
        self._open(_Held(message, self.feed.looks), channel)

    def _open(self, asked: _Held, channel: Channel) -> None:
        """Begin a subscription, from now on or from the position that the client brought; or hold it back."""
        feed, message = self.feed, asked.message
        if not feed.live:
            self._held[channel.name] = asked
            return
        verdict = None if message.position is None else feed.judge(channel, message.position)
        match verdict:
            case Missed(vector):
                self._replay(message, channel, Replay(Stretch(feed.window, channel.name, vector)))
            case Earlier(vector) if feed.reaches_back(channel, vector):
                self._earlier[channel.name] = asked
            case Earlier():
                self._begin(asked, channel, Lost.EXPIRED)
            # The first look since may have begun before the client came, and before the log reached that far.
            case Ahead(vector) if feed.reaches(vector) or feed.looks < asked.looks + 2:
                self._held[channel.name] = evolve(asked, ahead=verdict, seen=feed.looks)
            case Ahead():
                self._begin(asked, channel, Lost.AHEAD)
            case _:
                self._begin(asked, channel, verdict)

    def _begin(self, asked: _Held, channel: Channel, lost: Lost | None) -> None:
        """Subscribe from now on; with the state, if that is asked for, or if what was missed is `lost`."""
        message = asked.message
        if lost is not None or message.snapshot:
            self._show(channel, message, lost)
        else:
            self._say("subscribed", channel=channel.name, id=message.id, position=self.feed.position(channel))
            self._go_live(channel.name)

    def _replay(self, message: Subscribe, channel: Channel, replay: Replay) -> None:
        """Tell what was missed, and subscribe behind it."""
        missed = replay.count
        self._say(
            "subscribed",
            channel=channel.name,
            id=message.id,
            position=message.position,  # not the present one: a client that keeps it must not lose what follows now
            recovered=True,
            replayed=missed,
        )
        if missed:
            self._replays[channel.name] = replay
            self.go_on()
        else:
            # At once, however much is still to be told of other channels: the window may move on before it is.
            self._go_live(channel.name)

    def _show(self, channel: Channel, asked: Subscribe | None, lost: Lost | None) -> None:
        """Tell the state of a channel, and hand over what comes after it.

        A state can be large: it waits here until the outbox is idle, rather than there, and is written by others.
        """
        if self.outbox.behind:
            self._to_show[channel.name] = asked, lost
            return
        if self.feed.is_large(channel):
            self._to_write[channel.name] = asked, lost
            return
        snapshot = self.feed.snapshot(channel)
        for _ in snapshot.write():
            pass
        self._tell(snapshot, asked, lost)
        self._go_live(channel.name)

    def _tell(self, snapshot: Snapshot, asked: Subscribe | None, lost: Lost | None) -> None:
        """Tell a state: as the answer to what was `asked`, or unasked, because what was missed is `lost`."""
        name, position = snapshot.channel.name, snapshot.position
        why: dict[str, object] = {} if lost is None else {"recovered": False, "reason": lost}
        if asked is not None:
            self._say("subscribed", channel=name, id=asked.id, position=position, **why)
            why = {}
        self._say("snapshot", channel=name, position=position, **why, complete=snapshot.complete, data=snapshot.data)

    def _go_live(self, name: str) -> None:
        """Hand over what is published on a channel from now on."""
        self._replays.pop(name, None)
        subscriber: Subscriber = self.outbox
        if self._folds(name):
            subscriber = self._foldable.setdefault(name, Foldable(name, self.outbox, self._fold))
        self.feed.hub.subscribe(name, subscriber)

    def _folds(self, name: str) -> bool:
        return self.limits.fold and can_fold(self._channels[name])

    def _turn_off(self, name: str) -> None:
        """Hand over nothing more that is published on a channel."""
        self.feed.hub.unsubscribe(name, self._foldable.pop(name, self.outbox))

    def _fold(self, name: str) -> None:
        """Go back from live to a replay, instead of queueing what is being offered."""
        window, hub = self.feed.window, self.feed.hub
        self._replays[name] = Replay(Stretch(window, name, {}, told=hub.written(name)), folds=True)
        hub.unsubscribe(name, self._foldable[name])

    def _start_over(self, name: str) -> None:
        """Tell the state instead of what came after a place that is gone, and say so."""
        del self._replays[name]
        self._show(self._channels[name], None, Lost.EXPIRED)

    def _unsubscribe(self, message: Unsubscribe) -> None:
        name = message.channel
        if self._channels.pop(name, None) is None:
            raise Refusal(
                closing.NOT_SUBSCRIBED,
                f"The connection is not subscribed to {name[:200]!r}.",
                id=message.id,
                channel=name,
            )
        self._drop(name)
        self._say("unsubscribed", channel=name, id=message.id)

    def _positions(self) -> dict[str, str]:
        """Return how far the client has been told everything, so that its places on quiet channels move on, too."""
        feed, unsettled = self.feed, self._waiting() | self._replays.keys()
        # What is lost and not owned up to yet must not lie behind any place that a client has.
        lost = {topic for topic, _ in feed.losses}
        return {
            name: feed.position(channel)
            for name, channel in self._channels.items()
            if name not in unsettled and feed.hub.is_settled(name) and lost.isdisjoint(channel.kind.topics)
        }

    def _waiting(self) -> Set[str]:
        """Return the channels that the client has not been told anything of yet."""
        return self._held.keys() | self._earlier.keys() | self._to_show.keys() | self._to_write.keys()

    def _drop(self, name: str) -> None:
        """Forget a subscription, in whatever state it is."""
        for states in (self._held, self._earlier, self._to_show, self._to_write, self._replays):
            states.pop(name, None)
        self._turn_off(name)

    def _say(self, kind: str, **fields: object) -> None:
        self.outbox.offer(text_frame(encode(kind, **fields)), 1)
