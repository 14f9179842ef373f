"""What a client has a right to: asked for where a subscription begins, and again whenever a right may have ended."""

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.access.rights import Action, is_private, may
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.session.subscription import Subscription
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import MessageError


def has_right(session: Session, action: Action, channel: Channel) -> bool:
    """Return whether the client of `session` may do that on a channel, by what is known now.

    What anyone sees, or with AUTH=off, is the matter of `may_see`.
    """
    return may(session.identity, action, channel, session.feed.known.facts)


def may_see(session: Session, channel: Channel) -> bool:
    """Return whether the client of `session` may subscribe to a channel now."""
    return not is_private(channel.kind.name) or not session.limits.auth or has_right(session, Action.SUBSCRIBE, channel)


def may_become_open(session: Session, channel: Channel, position: str | None) -> bool:
    """Return whether a user may have the right by records that this instance has not read yet.

    There are such records until the feed is live; later, if the client's position says so, which another instance
    gave it. When they have been read, the right is asked for again.
    """
    if session.identity is None:
        return False
    if not session.feed.live:
        return True
    return position is not None and session.feed.is_ahead(channel, position)


def admit(session: Session, subscription: Subscription) -> bool:
    """Return whether there is a right to a subscription that is about to begin; if not, say so and end it."""
    request, channel = subscription.request, subscription.channel
    if may_see(session, channel):
        note_private(session, channel)
        session.presence.began(session, channel.name, asks=request is not None and request.presence)
        return True
    session.remove(channel.name)
    session.send_error(unauthorized(channel.name, None if request is None else request.id))
    return False


def note_private(session: Session, channel: Channel) -> None:
    """Have a subscription found by those who take rights away."""
    if session.limits.auth and is_private(channel.kind.name):
        session.identities.directory.subscribed(channel.name, session)


def ask_again(session: Session, channel: str, reason: str = codes.RIGHTS_CHANGED) -> None:
    """End the subscription of `session` to a channel, if its client has no right to it any more.

    Before the feed is live, nobody knows that of a user; and a user who waits for a right by records that are still to
    be read (`may_become_open`) has none to lose. Both are held, and the right is asked for when they begin.
    """
    subscription = session.subscriptions.get(channel)
    if subscription is None or may_see(session, subscription.channel):
        return
    had_right = session.identities.directory.is_subscribed(channel, session)
    if session.identity is None or (session.feed.live and had_right):
        session.end(channel, reason)


def ask_again_for_all(session: Session, reason: str = codes.RIGHTS_CHANGED) -> None:
    """End all subscriptions of `session` to channels that its client has no right to any more."""
    for name in [name for name, each in session.subscriptions.items() if is_private(each.channel.kind.name)]:
        ask_again(session, name, reason)


def unauthorized(channel: str, id: object) -> MessageError:
    """Return the error for a channel that is somebody else's; it is the same for one that does not exist."""
    return MessageError(codes.UNAUTHORIZED, f"The channel {channel!r} is private.", id=id, channel=channel)


def still_reading(id: object, channel: str | None = None) -> MessageError:
    """Return the error for what needs a right, or a fact, while the log may still say otherwise."""
    sentence = "What the event log holds is still being read: try again in a moment."
    return MessageError(codes.UNAVAILABLE, sentence, id=id, channel=channel)
