"""What is sent to one client: a snapshot of each channel, or what was missed, and then what is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.hub import SendQueue, Subscriber
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.snapshot import Snapshot
from mesaya_ws.core.feed.tally import LOST
from mesaya_ws.core.recovery.replay import Replay
from mesaya_ws.core.recovery.stored import StoredReplay
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.conflation import Conflated
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.subscription import State, Subscription
from mesaya_ws.core.views.floor_plan import can_conflate
from mesaya_ws.core.wire.encoding import encode, position_of
from mesaya_ws.core.wire.frames import text_frame

SENT_AT_ONCE = 4
"""Pages or small snapshots that a client is sent in one turn: a millisecond or two, however much the kernel takes."""


class DeliveryServices(Protocol):
    """What deliveries request by themselves; see `SessionServices`, which has the rest."""

    def read_history(self, delivery: Delivery) -> None:
        """Read what `delivery` awaits from the state store, as long as it does; answered by `history.on_history`."""
        ...

    def render_snapshot(self, delivery: Delivery) -> None:
        """Render the snapshot of `delivery.to_render`, if it still is then; answered by `delivery.on_rendered`."""
        ...


@define(eq=False)
class Delivery:
    """The way of a client's subscriptions through its `send_queue`; nothing here waits.

    A subscription is sent a snapshot (`send_snapshot`) or what it missed (`replay`) and then is live, or is live at
    once (`go_live`). What cannot be written now is not queued: it is due when the send queue has drained (`resume`).
    `services` render large snapshots. With `conflate`, channels that can be conflated are, while the client is slow
    (see `conflation`). `presence` says who is on a channel. `unsettled` are the client's subscriptions that are not
    live, the longest in their state first. `on_evicted` is called when the client was too slow, and the window has lost
    what is to be sent next; it ends all subscriptions.
    """

    feed: Published
    send_queue: SendQueue
    services: DeliveryServices
    on_evicted: Callable[[], None]
    conflate: bool
    presence: Presence
    unsettled: dict[Subscription, None] = field(factory=dict, init=False)

    def send(self, kind: str, **fields: object) -> None:
        """Send a message of the service's own; fields that are None are left out."""
        self.send_queue.offer(text_frame(encode(kind, **fields)), 1)

    def begin(self, subscription: Subscription, lost: Unrecoverable | None = None) -> None:
        """Subscribe from now on; with the snapshot, if it was requested, or if what was missed is `lost`."""
        request = subscription.request
        if lost is not None:
            self.feed.tally.resumes[LOST, lost] += 1
        if lost is not None or request is None or request.snapshot:
            self.send_snapshot(subscription, lost)
        else:
            position = self.feed.position(subscription.channel)
            self.go_live(subscription)
            self.answer(subscription, position=position)

    def go_live(self, subscription: Subscription) -> None:
        """Hand over what is published on the channel from now on."""
        subscription.go_live()
        self.feed.subscribe(subscription.channel, self._subscriber(subscription))

    def suspend(self, subscription: Subscription) -> None:
        """Hand over nothing until the subscription is live; the client is on the channel, and counts as a viewer."""
        self.feed.suspend(subscription.channel, self._subscriber(subscription))

    def answer(self, subscription: Subscription, **fields: object) -> None:
        """Send `subscribed` with `fields`, if the subscription's request has not been answered.

        Who is on the channel follows in the same write, if that was requested, and the client is one of them already.
        """
        request = subscription.request
        if request is None:
            return
        answer = text_frame(encode("subscribed", channel=request.channel, id=request.id, **fields))
        subscription.request = None
        if request.presence:
            is_counted = subscription.state is State.LIVE
            if who := self.presence.answered(self.send_queue, request.channel, is_counted=is_counted):
                self.send_queue.offer(answer + who, 2)
                return
        self.send_queue.offer(answer, 1)

    def replay(self, subscription: Subscription, replay: Replay | StoredReplay) -> None:
        """Answer the request, and send what was missed, page by page; then the channel is live."""
        missed, position = replay.count, subscription.position
        if not missed:
            # At once, however much is still to be sent on other channels: the window may move on before it is.
            self.go_live(subscription)
        # With the client's own position: were it the present one, a client that keeps it would lose what follows now.
        self.answer(subscription, position=position, recovered=True, replayed=missed)
        if missed:
            subscription.start_replay(replay, position)
            self.resume()

    def send_snapshot(self, subscription: Subscription, reason: Unrecoverable | None) -> None:
        """Send the snapshot of a channel, as it is when its turn has come; then the channel is live.

        It answers the request, or comes unasked; with a `reason`, it replaces what was missed. A large one is rendered
        by a service, and so is any in the middle of a record: the service waits for its end.
        """
        subscription.reason = reason
        if self.send_queue.backlogged:
            subscription.await_queue()
        elif self.feed.is_mid_record or self.feed.states.is_large(subscription.channel):
            self._await_rendering(subscription)
        else:
            snapshot = self.feed.states.snapshot(subscription.channel)
            for _ in snapshot.write():
                if snapshot.size:  # a few entities that are large themselves
                    self._await_rendering(subscription)
                    return
            self._send_written(subscription, snapshot)

    def resync(self, subscription: Subscription, reason: Unrecoverable) -> None:
        """Send nothing more but a snapshot, which is rendered by a service, however small it is."""
        self.suspend(subscription)
        subscription.reason, subscription.position = reason, None
        self._await_rendering(subscription)

    def remove(self, subscription: Subscription) -> None:
        """End a subscription, in whatever state it is."""
        if subscription.subscriber is not None:
            self.feed.unsubscribe(subscription.channel, subscription.subscriber)
        subscription.end()

    def position(self, subscription: Subscription) -> str | None:
        """Return the position up to which the client has been sent everything on a channel, in whatever state that is.

        None where it is that of the last message that the client received on the channel (frames are just being fanned
        out, or the first page after conflating has not been sent), or where there is none: a snapshot is due, because
        the log lost records, or because the client asked without a position.
        """
        if subscription.state is State.LIVE:
            return self.feed.settled_position(subscription.channel)
        return subscription.position

    @property
    def to_render(self) -> Channel | None:
        """The channel whose snapshot is to be rendered; None while the send queue is backlogged."""
        if self.send_queue.backlogged:
            return None
        return next((each.channel for each in self.unsettled if each.state is State.RENDERING), None)

    def on_rendered(self, snapshot: Snapshot) -> None:
        """Send a snapshot that was rendered for this client, and go on with what was published after it.

        If some of that has left the window, or the send queue is backlogged now, another one must be rendered.
        """
        if not self.send_queue.backlogged and self.feed.states.continues(snapshot):
            for subscription in self.unsettled:
                if subscription.state is State.RENDERING and subscription.channel == snapshot.channel:
                    self._send_written(subscription, snapshot)
                    break
        self._request_rendering()

    def resume(self) -> None:
        """Send more of what is due; to be called whenever the send queue has drained."""
        for _ in range(SENT_AT_ONCE):
            if self.send_queue.backlogged or (subscription := self._next_due()) is None:
                break
            if subscription.replay is None:
                self.send_snapshot(subscription, subscription.reason)
            else:
                self._send_page(subscription, subscription.replay)
        else:
            if self._next_due() is not None:
                self.send_queue.defer()
        self._request_rendering()

    @property
    def awaits_history(self) -> bool:
        """Whether a subscription awaits a page of its history: the first, or the next one."""
        return any(each.awaits_page for each in self.unsettled)

    @property
    def awaits_answer(self) -> bool:
        """Whether a subscription awaits the first page of its history, before which it is not answered."""
        return any(each.state is State.READING_HISTORY for each in self.unsettled)

    def defer_if_many(self, subscriptions: int) -> None:
        """Leave to `resume` what so many subscriptions are about to be sent, if that is too much for one turn."""
        if subscriptions > SENT_AT_ONCE:
            self.send_queue.defer()

    def _next_due(self) -> Subscription | None:
        """Return what is to be sent next: snapshots that are due before pages, each in their order."""
        replaying = None
        for subscription in self.unsettled:
            if subscription.state is State.SNAPSHOT_DUE:
                return subscription
            if replaying is None and subscription.state is State.REPLAYING:
                replaying = subscription
        return replaying

    def _await_rendering(self, subscription: Subscription) -> None:
        subscription.await_rendering()
        self._request_rendering()

    def _request_rendering(self) -> None:
        """Request what is `to_render`; to be called whenever that may have changed."""
        if self.unsettled and self.to_render is not None:
            self.services.render_snapshot(self)

    def _send_page(self, subscription: Subscription, replay: Replay | StoredReplay) -> None:
        try:
            frames = replay.page()
        except PositionEvicted:
            if self._conflates(subscription.channel):
                self.send_snapshot(subscription, Unrecoverable.EXPIRED)
            else:
                self.on_evicted()
            return
        if replay.done:
            self.go_live(subscription)
        elif not frames and replay.is_awaited:
            # Not before: pages that clients do not take yet would need memory.
            subscription.await_page()
            self.services.read_history(self)
        elif frames:
            subscription.position = position_of(frames[-1])
        if frames:
            self.send_queue.offer(b"".join(frames), len(frames))

    def _send_written(self, subscription: Subscription, snapshot: Snapshot) -> None:
        """Send a snapshot, and then what came after it; until the client has taken it, the window keeps that."""
        self.feed.tally.snapshots += 1
        loss: dict[str, object] = {}
        if subscription.reason is not None:
            loss = {"recovered": False, "reason": subscription.reason}
        if subscription.request is not None:
            self.answer(subscription, position=snapshot.position, **loss)
            loss = {}
        frames = snapshot.frames(**loss)
        if snapshot.size:
            self.send_queue.stream(frames)
        else:
            self.send_queue.offer(next(frames), 1)
        if self.feed.states.is_current(snapshot) and not self.send_queue.backlogged:
            self.go_live(subscription)
        else:
            subscription.start_replay(self.feed.replay_after(snapshot), snapshot.position)
            self.resume()

    def _conflates(self, channel: Channel) -> bool:
        return self.conflate and can_conflate(channel)

    def _start_conflating(self, subscription: Subscription) -> None:
        """Replay, instead of queueing, what is just being offered and what follows."""
        subscription.start_replay(self.feed.replay_unwritten(subscription.channel), None)
        self.suspend(subscription)

    def _subscriber(self, subscription: Subscription) -> Subscriber:
        """Return what stands for a subscription in the hub."""
        subscriber = subscription.subscriber
        if subscriber is None:
            subscriber = subscription.subscriber = (
                Conflated(subscription, self.send_queue, self._start_conflating)
                if self._conflates(subscription.channel)
                else self.send_queue
            )
        return subscriber
