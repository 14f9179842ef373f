"""What is handed over to one client: of each channel its state, or what was missed, and then what is published."""

from attrs import define, field, frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import SendQueue, Subscriber
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.recovery.replay import Replay, ReplayRange
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.conflation import Conflated
from mesaya_ws.core.session.services import SessionServices
from mesaya_ws.core.views.floor_plan import can_conflate
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import Subscribe, encode

TOLD_AT_ONCE = 4
"""How many pages or small states a client is told in one turn: a millisecond or two, however much the kernel takes."""


@frozen
class _Why:
    """Why a state is to be told: what was `asked`, if it was, and what cannot be told instead."""

    asked: Subscribe | None
    lost: Unrecoverable | None


@define(eq=False)
class Delivery:
    """The way of the channels to one client, through its `send_queue`; nothing here waits.

    Of a channel, the client is told a state (`tell`) or what it missed (`replay`), and then it is live; or it is live
    at once (`go_live`). What is to be told before that is put off until the send queue is idle, rather than queued
    there; a large state is rendered by `services`. With `conflate`, channels that can be conflated are, while the
    client is behind (see `conflation`).
    """

    feed: Feed
    send_queue: SendQueue
    services: SessionServices
    conflate: bool = False
    _to_show: dict[Channel, _Why] = field(factory=dict)
    _to_write: dict[Channel, _Why] = field(factory=dict)
    _replays: dict[Channel, Replay] = field(factory=dict)
    _foldable: dict[Channel, Conflated] = field(factory=dict)

    def say(self, kind: str, **fields: object) -> None:
        """Say something of the service's own; fields that are None are left out."""
        self.send_queue.offer(text_frame(encode(kind, **fields)), 1)

    def is_put_off(self, channel: Channel) -> bool:
        """Return whether the state of a channel is still to be told, and so nothing has been told of it yet."""
        return channel in self._to_show or channel in self._to_write

    def is_replaying(self, channel: Channel) -> bool:
        """Return whether some of what was missed on a channel is still to be told."""
        return channel in self._replays

    def go_live(self, channel: Channel) -> None:
        """Hand over what is published on a channel from now on."""
        self._replays.pop(channel, None)
        subscriber: Subscriber = self.send_queue
        if self._conflates(channel):
            subscriber = self._foldable.setdefault(channel, Conflated(channel, self.send_queue, self._fall_behind))
        self.feed.hub.subscribe(channel.name, subscriber)

    def replay(self, channel: Channel, asked: Subscribe, replay: Replay) -> None:
        """Answer what was `asked`, and tell what was missed, page by page; then the channel is live."""
        missed = replay.count
        self.say(
            "subscribed",
            channel=channel.name,
            id=asked.id,
            position=asked.position,  # not the present one: a client that keeps it must not lose what follows now
            recovered=True,
            replayed=missed,
        )
        if missed:
            self._replays[channel] = replay
            self.go_on()
        else:
            # At once, however much is still to be told of other channels: the window may move on before it is.
            self.go_live(channel)

    def tell(self, channel: Channel, asked: Subscribe | None, lost: Unrecoverable | None) -> None:
        """Tell the state of a channel, as it is when its turn has come; then the channel is live.

        It is the answer to what was `asked`, or comes unasked, because what was missed is `lost`. A state can be large:
        then it is rendered by others (`showing`).
        """
        why = _Why(asked, lost)
        if self.send_queue.behind:
            self._to_show[channel] = why
        elif self.feed.is_large(channel):
            self._have_rendered(channel, why)
        else:
            snapshot = self.feed.snapshot(channel)
            for _ in snapshot.write():
                if snapshot.size:  # a few entities that are large themselves
                    self._have_rendered(channel, why)
                    return
            self._say_state(snapshot, why)

    def start_over(self, channel: Channel, lost: Unrecoverable) -> None:
        """Tell the state of a channel, however small, when others have written it, and until then nothing."""
        self.drop(channel)
        self._have_rendered(channel, _Why(None, lost))

    def drop(self, channel: Channel) -> None:
        """Hand over nothing more of a channel."""
        for put_off in (self._to_show, self._to_write, self._replays):
            put_off.pop(channel, None)
        self.feed.hub.unsubscribe(channel.name, self._foldable.pop(channel, self.send_queue))

    @property
    def showing(self) -> Channel | None:
        """The channel whose state is to be written, because it is large, now that the send queue is idle."""
        return None if self.send_queue.behind or not self._to_write else next(iter(self._to_write))

    def show(self, snapshot: Snapshot) -> None:
        """Tell a state that was written for this client, and go on with what came after it.

        If some of that has left the window, or the client has fallen behind meanwhile, it must be written once more.
        """
        channel, feed = snapshot.channel, self.feed
        if channel in self._to_write and not self.send_queue.behind and snapshot.continues_in(feed.window):
            self._say_state(snapshot, self._to_write.pop(channel))
        self._ask_for_rendering()

    def go_on(self) -> None:
        """Hand over more of what was put off, now that the send queue is idle.

        Raises `PositionEvicted` when the client was too slow and its place is gone from the window.
        """
        for _ in range(TOLD_AT_ONCE):
            if self.send_queue.behind or not (self._to_show or self._replays):
                break
            if self._to_show:
                channel = next(iter(self._to_show))
                why = self._to_show.pop(channel)
                self.tell(channel, why.asked, why.lost)
            else:
                self._turn_page(*next(iter(self._replays.items())))
        else:
            if self._to_show or self._replays:
                self.send_queue.pause()
        self._ask_for_rendering()

    def pause_for(self, channels: int) -> None:
        """Leave to `go_on` what is to be told of so many channels, if that is too much for one turn."""
        if channels > TOLD_AT_ONCE:
            self.send_queue.pause()

    def _have_rendered(self, channel: Channel, why: _Why) -> None:
        """Leave the state of a channel to be rendered by others; while the send queue is not idle, that can wait."""
        self._to_write[channel] = why
        self._ask_for_rendering()

    def _ask_for_rendering(self) -> None:
        """Have the state rendered that is `showing`; to be called whenever it may have become another one."""
        if self._to_write and not self.send_queue.behind:
            self.services.render_snapshot(self)

    def _turn_page(self, channel: Channel, replay: Replay) -> None:
        try:
            frames = replay.page()
        except PositionEvicted:
            if not self._conflates(channel):
                raise
            del self._replays[channel]
            self.tell(channel, None, Unrecoverable.EXPIRED)
            return
        if replay.done:
            self.go_live(channel)
        if frames:
            self.send_queue.offer(b"".join(frames), len(frames))

    def _say_state(self, snapshot: Snapshot, why: _Why) -> None:
        """Tell a state, and then what came after it; until the client has taken it, that is kept by the window."""
        channel, window = snapshot.channel, self.feed.window
        self.feed.tally.snapshots += 1
        loss: dict[str, object] = {} if why.lost is None else {"recovered": False, "reason": why.lost}
        if why.asked is not None:
            self.say("subscribed", channel=channel.name, id=why.asked.id, position=snapshot.position, **loss)
            loss = {}
        frames = snapshot.frames(**loss)
        if snapshot.size:
            self.send_queue.stream(frames)
        else:
            self.send_queue.offer(next(frames), 1)
        if snapshot.serial == window.serial and not self.send_queue.behind:
            self.go_live(channel)
        else:
            self._replays[channel] = Replay(ReplayRange(window, channel.name, {}, told=snapshot.serial))
            self.go_on()

    def _conflates(self, channel: Channel) -> bool:
        return self.conflate and can_conflate(channel)

    def _fall_behind(self, channel: Channel) -> None:
        """Go back from live to a replay, instead of queueing what is being offered."""
        window, hub = self.feed.window, self.feed.hub
        stretch = ReplayRange(window, channel.name, {}, told=hub.written(channel.name))
        self._replays[channel] = Replay(stretch, conflates=True)
        hub.unsubscribe(channel.name, self._foldable[channel])
