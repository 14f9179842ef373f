"""One client's rules: what it requests, what it may, how it is answered, and what it has missed."""

from collections.abc import Iterator
from math import floor, inf

from attrs import define, field, frozen

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken
from mesaya_ws.core.access.channels import Channel, parse_channel
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import Action, is_private, may
from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.feed.tally import RESTARTED
from mesaya_ws.core.platform.fields import IDENTIFIER
from mesaya_ws.core.recovery.stored import HistoryPage, HistoryRequest
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.session.acknowledging import acknowledge
from mesaya_ws.core.session.chat import ChatRules
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.identities import RIGHTS_CHANGED, SIGNED_OUT, SessionIdentities
from mesaya_ws.core.session.opening import history_request, open_or_wait, open_with_history
from mesaya_ws.core.session.services import AppendResult, Command, SessionServices, Unfinished
from mesaya_ws.core.session.subscription import State, Subscription, Wait
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import (
    NO_TOKEN,
    Acknowledge,
    Auth,
    Block,
    Delete,
    Edit,
    History,
    MessageError,
    Ping,
    Publish,
    Read,
    Subscribe,
    Unsubscribe,
    encode,
    parse,
)


@frozen
class Limits:
    """What one client may use.

    With `conflate`, channels that can be conflated are, while the client is slow (see `conflation`).
    """

    auth: bool
    max_subscriptions: int
    conflate: bool = False


@define(eq=False)
class Session:
    """The rules of one connection. Answers and events go to `send_queue`; nothing here waits.

    What takes longer than a moment, the session requests from its `services`; `retry_waiting`, `on_history`,
    `Delivery.on_rendered`, `on_authenticated` and `on_appended` bring the results. `identities` keep track of who the
    sessions are, and of their private channels.
    """

    id: str
    feed: Published
    send_queue: SendQueue
    limits: Limits
    services: SessionServices
    identity: Identity | None = None
    """Who the client is, as far as it has shown: channels are open to it by that (see `access.rights`)."""
    identities: SessionIdentities = field(factory=SessionIdentities)
    chat: ChatRules = field(factory=ChatRules)
    unfinished: Unfinished | None = field(default=None, init=False)
    """What the last message asks for that is still to be done (`take_unfinished`)."""
    _subscriptions: dict[str, Subscription] = field(factory=dict)
    delivery: Delivery = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.delivery = Delivery(self.feed, self.send_queue, self.services, self.limits.conflate)

    # The connection

    def greeting(self, now: float) -> bytes:
        """Return the frame that greets the client, before it has sent anything; `now` is in seconds since 1970."""
        return text_frame(encode("welcome", connection=self.id, **self.feed.freshness(), **self._introduction(now)))

    def _introduction(self, now: float) -> dict[str, object]:
        """Return who the client is, as `welcome` says it: the user, the roles, and in how many seconds that ends."""
        if (identity := self.identity) is None:
            return {}
        left = None if identity.expires_at == inf else max(0, floor(identity.expires_at - now))
        return {"user": identity.user, "roles": identity.roles, "expiresIn": left}

    def announce(self, within: float) -> None:
        """Ask the client to move to another instance, before this one closes the connection in so many seconds."""
        self.delivery.send("going_away", closeIn=within)

    def receive(self, text: str) -> str:
        """Do what a client's message says, or answer why not.

        Returns the message's type, or the code of the error, for the metrics.
        """
        try:
            message = parse(text)
            match message:
                case Subscribe():
                    self._subscribe(message)
                case Unsubscribe():
                    self._unsubscribe(message)
                case Auth():
                    self._authenticate(message)
                case Publish() | Edit() | Delete() | Read() | History() | Block():
                    self._bring_in(self.chat.handle(message, self.identity, self.feed))
                case Acknowledge():
                    self._bring_in(acknowledge(message, self.identity, self.feed))
                case Ping():
                    self.delivery.send("pong", id=message.id, **self.feed.freshness(), positions=self.positions())
        except MessageError as error:
            self._send_error(error)
            return error.error.name
        return type(message).__name__.lower()

    def take_unfinished(self) -> Unfinished | None:
        """Return what is to be awaited before another message is received; to be called after `receive`."""
        unfinished, self.unfinished = self.unfinished, None
        return unfinished

    def close(self, code: codes.CloseCode) -> None:
        """Close the connection, and say why."""
        self.send_queue.disconnect(code)

    def resume(self) -> None:
        """Send more of what is due; to be called whenever the send queue has drained.

        Raises `PositionEvicted` when the client was too slow, and the window has lost what is to be sent next; then all
        subscriptions have ended.
        """
        try:
            self.delivery.resume()
        except PositionEvicted:
            self.leave()  # or whatever is sent before the connection is closed would lead here again
            raise

    def leave(self) -> None:
        """End all subscriptions: the connection is closing."""
        for name in list(self._subscriptions):
            self._remove(name)
        self.identities.left(self)

    # Who the client is

    def may_see(self, channel: Channel) -> bool:
        """Return whether the client may subscribe to a channel now."""
        return not self.limits.auth or may(self.identity, Action.SUBSCRIBE, channel, self.feed.facts)

    def identify(self, identity: Identity, now: float) -> bool:
        """Note who the client is, at the time `now` (s since 1970).

        Closes the connection with 4429 and returns False if that user has as many as there may be.
        """
        if not self.identities.enter(self, identity, now):
            self.close(codes.TOO_MANY_CONNECTIONS)
            return False
        self.identity = identity
        return True

    def on_authenticated(self, message: Auth, result: Identity | BadToken | Unavailable | None, now: float) -> bool:
        """Answer an `auth` of the client, whose `result` is known now (s since 1970); None: it signs out.

        Returns False if the connection is closed, since that user has as many as there may be.
        """
        before = self.identity
        match result:
            case BadToken():
                self._send_error(MessageError(codes.BAD_TOKEN, result.sentence, id=message.id))
            case Unavailable():
                self._send_error(MessageError(codes.UNAVAILABLE, result.sentence, id=message.id))
            case Identity(user) if before is not None and before.user != user:
                sentence = "The connection is that of another user, who has to sign out first."
                self._send_error(MessageError(codes.OTHER_USER, sentence, id=message.id))
            case Identity():
                if not self.identify(result, now):
                    return False
                self.delivery.send("authenticated", id=message.id, **self._introduction(now))
                if before is not None:
                    self.ask_again_for_all()
            case None:
                self.delivery.send("authenticated", id=message.id, roles=())
                self.end_identity(SIGNED_OUT, now)
        return True

    def warn_of_expiry(self, now: float) -> None:
        """Announce the end of the client's token, in time to renew it."""
        if self.identity is not None:
            self.delivery.send("token_expiring", expiresIn=max(0, floor(self.identity.expires_at - now)))

    def end_identity(self, reason: str, now: float) -> None:
        """Be nobody's from now on; subscriptions that need an identity end, each with a message that says why."""
        identity = self.identity
        if identity is None:
            return
        self.identity = None
        self.identities.ended(self, identity.user, now)
        self.ask_again_for_all(reason)

    def ask_again(self, channel: str, reason: str = RIGHTS_CHANGED) -> None:
        """End the subscription to a channel, if the client has no right to it any more.

        Before the feed is live, nobody knows that of a user: the subscription is held, and the right is asked for then.
        """
        subscription = self._subscriptions.get(channel)
        if subscription is None or self.may_see(subscription.channel):
            return
        if self.identity is None or self.feed.live:
            self.end(channel, reason)

    def ask_again_for_all(self, reason: str = RIGHTS_CHANGED) -> None:
        """End all subscriptions to channels that the client has no right to any more."""
        for name in [name for name, each in self._subscriptions.items() if is_private(each.channel.kind.name)]:
            self.ask_again(name, reason)

    def admit(self, subscription: Subscription) -> bool:
        """Return whether there is a right to a subscription that is about to begin; if not, say so and end it."""
        request, channel = subscription.request, subscription.channel
        if self.may_see(channel):
            self._note_private(channel)
            return True
        self._remove(channel.name)
        self._send_error(_unauthorized(channel.name, None if request is None else request.id))
        return False

    def _note_private(self, channel: Channel) -> None:
        """Have it found by those who take rights away."""
        if self.limits.auth and is_private(channel.kind.name):
            self.identities.directory.subscribed(channel.name, self)

    def _authenticate(self, message: Auth) -> None:
        """Find out who the client is, by its token; with AUTH=off, it may say so itself."""
        claims = message.user is not None or bool(message.roles)
        if self.limits.auth and claims:
            raise MessageError(codes.BAD_MESSAGE, "In 'auth', who one is a token says (AUTH=on).", id=message.id)
        if claims and not (
            message.token is NO_TOKEN
            and IDENTIFIER.fullmatch(message.user or "")
            and all(type(role) is str for role in message.roles)
        ):
            sentence = "In 'auth', user is an id, roles are texts, and there is no token with them."
            raise MessageError(codes.BAD_MESSAGE, sentence, id=message.id)
        if not claims and message.token is NO_TOKEN:
            raise MessageError(codes.BAD_MESSAGE, "In 'auth', token is missing.", id=message.id)
        self.unfinished = self.services.authenticate(self, message)

    def _may_become_open(self, channel: Channel, position: str | None) -> bool:
        """Return whether a user may have the right by records that this instance has not read yet.

        There are such records until the feed is live; later, if the client's position says so, which another instance
        gave it. When they have been read, the right is asked for again.
        """
        if self.identity is None:
            return False
        if not self.feed.live:
            return True
        return position is not None and self.feed.is_ahead(channel, position)

    # What the services bring

    @property
    def is_waiting_for_feed(self) -> bool:
        """Whether a subscription waits until the feed is live, or has reached the client's position."""
        return any(each.state is State.WAITING_FOR_FEED for each in self.delivery.unsettled)

    def retry_waiting(self) -> Iterator[None]:
        """Open the subscriptions that the feed has come far enough for.

        Yields between two of them, so that others have their turn: to check one position may take some milliseconds.
        """
        feed = self.feed
        waiting = [(each, each.wait) for each in self.delivery.unsettled if each.state is State.WAITING_FOR_FEED]
        self.delivery.defer_if_many(len(waiting))
        has_opened = False
        for subscription, wait in waiting:
            if wait is None or not (
                wait.ahead is None or feed.has_passed(wait.ahead) or wait.checked_at != feed.refreshes
            ):
                continue
            if has_opened:
                yield
            if subscription.state is State.WAITING_FOR_FEED:  # the client may have ended or replaced it meanwhile
                open_or_wait(self, subscription, wait)
                has_opened = True

    @property
    def awaits_history(self) -> bool:
        """Whether a subscription waits for its first page."""
        return any(each.state is State.READING_HISTORY for each in self.delivery.unsettled)

    def next_history_request(self) -> tuple[Subscription, HistoryRequest | None]:
        """Return the first subscription that waits for its first page, and what to read; None if that is of no use."""
        subscription = next(each for each in self.delivery.unsettled if each.state is State.READING_HISTORY)
        return subscription, history_request(self, subscription)

    def on_history(self, subscription: Subscription, page: HistoryPage | None) -> None:
        """Open a subscription whose first page was read; None if it cannot be, or need not be any more.

        Not while the feed `is_mid_record`.
        """
        if subscription.state is State.READING_HISTORY:
            open_with_history(self, subscription, page)

    def resync(self, topic: str, reason: Unrecoverable) -> None:
        """Send snapshots where the log lost records of `topic`; to be called before what comes after them is."""
        for subscription in self._subscriptions.values():
            if subscription.has_begun and topic in subscription.channel.kind.topics:
                self.feed.tally.resumes[RESTARTED, reason] += 1
                self.delivery.resync(subscription, reason)

    # What clients append

    def append(self, command: Command) -> None:
        """Append the record of a client's command to the log; `on_appended` answers the client.

        It is published like any other record, to all who may see it, when it is read back from the log.
        """
        self.services.append(self, command)

    def on_appended(self, command: Command, result: AppendResult) -> None:
        """Answer the client's `command`, whose result is known now; a client that has left is sent nothing."""
        self.send_queue.offer(command.answer(result), 1)

    # Clients that wait, and subscriptions that the server ends

    @property
    def has_unanswered(self) -> bool:
        """Whether the client waits for the answer to a `subscribe`."""
        unsettled = self.delivery.unsettled
        return bool(unsettled) and any(each.is_unanswered for each in unsettled)

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

    def end(self, channel: str, reason: str) -> None:
        """End the subscription to a channel, in whatever state it is, with a message that says why.

        The message has the position up to which it has everything, as far as `Delivery.position` knows it.
        """
        subscription = self._subscriptions.get(channel)
        if subscription is not None:
            position = self.delivery.position(subscription)
            self._remove(channel)
            self.delivery.send("unsubscribed", channel=channel, reason=reason, position=position)

    def _remove(self, channel: str) -> bool:
        """End a subscription, and say nothing; return whether there was one."""
        subscription = self._subscriptions.pop(channel, None)
        if subscription is None:
            return False
        self.delivery.remove(subscription)
        if is_private(subscription.channel.kind.name):
            self.identities.directory.unsubscribed(channel, self)
        return True

    def _send_error(self, error: MessageError) -> None:
        self.delivery.send(
            "error",
            code=error.error.name,
            message=error.sentence,
            id=error.id,
            channel=error.channel,
            retryIn=error.retry_in,
        )

    # What the client requests

    def _subscribe(self, message: Subscribe) -> None:
        name = message.channel

        def error(code: codes.ErrorCode, sentence: str) -> MessageError:
            return MessageError(code, sentence, id=message.id, channel=name)

        channel = parse_channel(name)
        if channel is None:
            raise error(codes.BAD_CHANNEL, f"There is no channel {name[:200]!r}.")
        is_open = self.may_see(channel)
        if not is_open and not self._may_become_open(channel, message.position):
            raise _unauthorized(name, message.id)
        replaced = self._subscriptions.get(name)
        if replaced is not None:
            self.delivery.remove(replaced)
        elif len(self._subscriptions) >= self.limits.max_subscriptions:
            most = self.limits.max_subscriptions
            raise error(codes.TOO_MANY_SUBSCRIPTIONS, f"A connection holds at most {most} subscriptions; leave one.")
        subscription = Subscription(channel, self.delivery.unsettled, message, message.position)
        self._subscriptions[channel.name] = subscription
        if is_open:
            self._note_private(channel)
        open_or_wait(self, subscription, Wait(self.feed.refreshes))

    def _unsubscribe(self, message: Unsubscribe) -> None:
        name = message.channel
        if not self._remove(name):
            raise MessageError(
                codes.NOT_SUBSCRIBED,
                f"The connection is not subscribed to {name[:200]!r}.",
                id=message.id,
                channel=name,
            )
        self.delivery.send("unsubscribed", channel=name, id=message.id)

    def _bring_in(self, result: Command | bytes) -> None:
        """Append what a client brings in; or send the answer, where there is one already."""
        if isinstance(result, Command):
            self.append(result)
        else:
            self.send_queue.offer(result, 1)

    @property
    def is_settled(self) -> bool:
        """Whether all subscriptions are live: the client has been sent all that it missed, and the snapshots."""
        return not self.delivery.unsettled

    def positions(self) -> dict[str, str]:
        """Return up to where the client has been sent everything, so that its positions on quiet channels advance."""
        return {
            name: position
            for name, subscription in self._subscriptions.items()
            if subscription.state is State.LIVE
            and (position := self.feed.settled_position(subscription.channel)) is not None
        }


def _unauthorized(channel: str, id: object) -> MessageError:
    """Return the error for a channel that is somebody else's; it is the same for one that does not exist."""
    return MessageError(codes.UNAUTHORIZED, f"The channel {channel!r} is private.", id=id, channel=channel)
