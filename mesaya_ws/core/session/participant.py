"""Who a client is in a conversation, and whether it may say there what it says."""

from attrs import frozen

from mesaya_ws.core.access.channels import CONVERSATION, Channel, parse_channel
from mesaya_ws.core.access.rights import Action
from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT, ConversationKey
from mesaya_ws.core.session.rights import has_right
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import Block, ChatMessage, MessageError


@frozen
class Participant:
    """A `user` in the conversation of a `channel`, on one `side` of it."""

    channel: Channel
    key: ConversationKey
    user: str
    side: str


def participant(session: Session, message: ChatMessage) -> Participant:
    """Return who the client of `session` is in the conversation of its message. Raises `MessageError`.

    Before the feed is live, no right is asked for: the log may still say whose restaurant it is.
    """
    channel, identity = parse_channel(message.channel), session.identity
    if channel is None or channel.kind is not CONVERSATION:
        raise chat_error(message, codes.BAD_CHANNEL, f"There is no conversation {message.channel[:200]!r}.")
    action = Action.BLOCK if isinstance(message, Block) else Action.SPEAK
    if identity is None or (session.feed.live and not has_right(session, action, channel)):
        sentence = f"The conversation {message.channel!r} is not yours."
        if action is Action.BLOCK and has_right(session, Action.SPEAK, channel):
            sentence = "Only the restaurant can block."
        raise chat_error(message, codes.UNAUTHORIZED, sentence)
    key = ConversationKey(channel.subject or "", channel.guest or "")
    return Participant(channel, key, identity.user, GUEST if identity.user == channel.guest else RESTAURANT)


def chat_error(
    message: ChatMessage, code: codes.ErrorCode, sentence: str, retry_in: float | None = None
) -> MessageError:
    """Return the error that answers a message in a conversation."""
    return MessageError(code, sentence, id=message.id, channel=message.channel[:512], retry_in=retry_in)
