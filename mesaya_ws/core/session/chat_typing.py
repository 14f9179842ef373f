"""What clients say of their typing in conversations; who is told, and until when it counts, `typists` say."""

from mesaya_ws.core.access.channels import CONVERSATION, parse_channel
from mesaya_ws.core.access.rights import Action
from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT, ConversationKey
from mesaya_ws.core.session.rights import has_right
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.messages import MessageError, Typing


def type_in(session: Session, message: Typing) -> None:
    """Let those in a conversation know that a client is typing, or not any more. Raises `MessageError`.

    Of a guest whom the restaurant has blocked, they are sent nothing; nor before the log says whose restaurant it is.
    """
    channel, identity, feed = parse_channel(message.channel), session.identity, session.feed
    if channel is None or channel.kind is not CONVERSATION:
        sentence = f"There is no conversation {message.channel[:200]!r}."
        raise MessageError(codes.BAD_CHANNEL, sentence, id=message.id, channel=message.channel[:512])
    if identity is None or (feed.live and not has_right(session, Action.SPEAK, channel)):
        sentence = f"The conversation {message.channel!r} is not yours."
        raise MessageError(codes.UNAUTHORIZED, sentence, id=message.id, channel=message.channel)
    side = GUEST if identity.user == channel.guest else RESTAURANT
    conversation = feed.known.chats.get(ConversationKey(channel.subject or "", channel.guest or ""))
    is_blocked = side == GUEST and conversation is not None and conversation.blocked
    if feed.live and not is_blocked:
        session.presence.typing(session, channel.name, side, is_typing=message.typing)
