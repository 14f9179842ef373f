"""One client: what it has subscribed to, and who it is.

    handlers, registry                                    from messages to answers; all sessions
        │
    opening, chat, holds, authenticating, …               what a message does, a file for each noun
        │
    session                                               what all of these need of one client
        │
    delivery, identities, presence, …rules                parts of it, and what all sessions share

Imports go down only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from attrs import define, field, frozen

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import is_private
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.tally import RESTARTED
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.chat_rules import ChatRules
from mesaya_ws.core.session.commands import AppendResult, Command
from mesaya_ws.core.session.delivery import Delivery, DeliveryServices
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.identities import SessionIdentities, introduction
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.subscription import State, Subscription
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import Auth, MessageError

Unfinished = Callable[[], Awaitable[None]]
"""The rest of what a message asks for."""


class SessionServices(DeliveryServices, Protocol):
    """What sessions and their deliveries request by themselves, as soon as they need it.

    Nothing here waits or does any I/O: a request is noted, and answered later by what each names. To repeat a request
    that is noted changes nothing, except for `append`.
    """

    def wait_for_feed(self, session: Session) -> None:
        """Call `opening.retry_waiting` whenever the feed has moved on, while the session `is_waiting_for_feed`."""
        ...

    def authenticate(self, session: Session, message: Auth) -> Unfinished | None:
        """Find out who a client is; answered by `authenticating.on_authenticated`.

        At once if that can be; else what it returns is to be awaited before another message of the client is received.
        """
        ...

    def append(self, session: Session, command: Command) -> None:
        """Append the command's record to the log; answered by `session.on_appended`, once, in any case.

        Commands of one session are appended in their order; those of another one do not wait for them.
        """
        ...


@frozen
class Limits:
    """What one client may use.

    With `conflate`, channels that can be conflated are, while the client is slow (see `conflation`).
    """

    auth: bool
    max_subscriptions: int
    conflate: bool


@define(eq=False, weakref_slot=False)
class Session:
    """What is known of one client, and what happens to it. Answers and events go to `send_queue`; nothing here waits.

    What a client's message does is in the file of its noun, which `handlers` names; here is what these need.
    What takes longer than a moment, the session requests from its `services`; they answer by the function that each
    names. `identities` keep track of who the sessions are, and of their private channels; `presence`, of who is where.
    """

    id: str
    feed: Published
    send_queue: SendQueue
    limits: Limits
    services: SessionServices
    identities: SessionIdentities[Session]
    chat: ChatRules
    presence: Presence
    holds: HoldRules
    identity: Identity | None = field(default=None, init=False)
    """Who the client is, as far as it has shown: channels are open to it by that (see `rights`)."""
    unfinished: Unfinished | None = field(default=None, init=False)
    """What the last message asks for that is still to be done (`take_unfinished`)."""
    subscriptions: dict[str, Subscription] = field(factory=dict, init=False)
    """By channel, in whatever state; they begin by `opening`, and end by `remove`."""
    delivery: Delivery = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.delivery = Delivery(
            self.feed, self.send_queue, self.services, self._on_evicted, self.limits.conflate, self.presence
        )

    @property
    def work(self) -> int:
        """How much it is to do something for each subscription, and for the session itself."""
        return 1 + len(self.subscriptions)

    # The connection

    def greeting(self, now: float) -> bytes:
        """Return the frame that greets the client, before it has sent anything; `now` is in seconds since 1970."""
        return text_frame(
            encode("welcome", connection=self.id, **self.feed.freshness(), **introduction(self.identity, now))
        )

    def announce(self, within: float) -> None:
        """Ask the client to move to another instance, before this one closes the connection in so many seconds."""
        self.delivery.send("going_away", closeIn=within)
        self.presence.leaving(self, self.subscriptions)

    def close(self, code: codes.CloseCode) -> None:
        """Close the connection, and say why."""
        self.send_queue.disconnect(code)

    def _on_evicted(self) -> None:
        """Close the connection of a client that was too slow for the window.

        It leaves first: whatever is called before the connection has ended must not find the evicted replay.
        """
        self.leave()
        self.close(codes.SLOW)

    def leave(self) -> None:
        """End all subscriptions: the connection is closing."""
        for name in list(self.subscriptions):
            self.remove(name)
        self.identities.left(self, self.identity)
        self.presence.left(self)
        self.delivery.on_evicted = _nothing  # which breaks a cycle: the garbage collector is not needed for it

    def is_of(self, user: str) -> bool:
        """Return whether this is a session of that user, which has not been left."""
        return self.identities.directory.has(user, self)

    # What the client sends (`handlers`)

    def take_unfinished(self) -> Unfinished | None:
        """Return what is to be awaited before another message is received; to be called after each."""
        unfinished, self.unfinished = self.unfinished, None
        return unfinished

    def append(self, command: Command) -> None:
        """Append the record of a client's command to the log; `on_appended` answers the client.

        It is published like any other record, to all who may see it, when it is read back from the log.
        """
        self.services.append(self, command)

    def on_appended(self, command: Command, result: AppendResult) -> None:
        """Answer the client's `command`, whose result is known now; a client that has left is sent nothing."""
        self.send_queue.offer(command.answer(result), 1)

    def send_error(self, error: MessageError) -> None:
        """Send the error that answers a message, or ends what it has begun."""
        self.delivery.send(
            "error",
            code=error.error.name,
            message=error.sentence,
            id=error.id,
            channel=error.channel,
            retryIn=error.retry_in,
        )

    # Subscriptions: those that wait, those that are live, and those that end

    @property
    def is_waiting_for_feed(self) -> bool:
        """Whether a subscription waits until the feed is live, or has reached the client's position."""
        return any(each.state is State.WAITING_FOR_FEED for each in self.delivery.unsettled)

    @property
    def has_unanswered(self) -> bool:
        """Whether the client waits for the answer to a `subscribe`."""
        unsettled = self.delivery.unsettled
        return bool(unsettled) and any(each.is_unanswered for each in unsettled)

    def has_answered(self, channel: str) -> bool:
        """Return whether the client has been sent the answer to its subscription to a channel."""
        subscription = self.subscriptions.get(channel)
        return subscription is not None and subscription.request is None

    def send_pending(self) -> None:
        """Send `pending` for the subscriptions that have waited since the call before: they stand, but wait.

        To be called every second or so while the session `has_unanswered` ones: no client is left without an answer,
        however long the log is away. The answer itself follows, and no client need ask again.
        """
        for subscription in self.delivery.unsettled:
            wait, request = subscription.wait, subscription.request
            if wait is None or request is None:
                continue
            if wait.reminders == 1:
                self.delivery.send("pending", channel=request.channel, id=request.id, **self.feed.freshness())
            wait.reminders += wait.reminders < 2

    @property
    def is_settled(self) -> bool:
        """Whether all subscriptions are live: the client has been sent all that it missed, and the snapshots."""
        return not self.delivery.unsettled

    def positions(self) -> dict[str, str]:
        """Return up to where the client has been sent everything, so that its positions on quiet channels advance."""
        return {
            name: position
            for name, subscription in self.subscriptions.items()
            if subscription.state is State.LIVE
            and (position := self.feed.settled_position(subscription.channel)) is not None
        }

    def resync(self, topic: str, reason: Unrecoverable) -> None:
        """Send snapshots where the log lost records of `topic`; to be called before what comes after them is."""
        for subscription in self.subscriptions.values():
            if subscription.has_begun and topic in subscription.channel.kind.topics:
                self.feed.tally.resumes[RESTARTED, reason] += 1
                self.delivery.resync(subscription, reason)

    def end(self, channel: str, reason: str) -> None:
        """End the subscription to a channel, in whatever state it is, with a message that says why.

        The message has the position up to which it has everything, as far as `Delivery.position` knows it.
        """
        subscription = self.subscriptions.get(channel)
        if subscription is not None:
            position = self.delivery.position(subscription)
            self.remove(channel)
            self.delivery.send("unsubscribed", channel=channel, reason=reason, position=position)

    def remove(self, channel: str) -> bool:
        """End a subscription, and say nothing; return whether there was one."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is None:
            return False
        self.detach(subscription)
        if is_private(subscription.channel.kind.name):
            self.identities.directory.unsubscribed(channel, self)
        return True

    def detach(self, subscription: Subscription) -> None:
        """Send nothing more of a subscription that ends, or that another one to its channel replaces."""
        self.delivery.remove(subscription)
        self.presence.ended(self, subscription.channel.name)


def _nothing() -> None:
    """Do nothing: no subscription is left that could be evicted."""
