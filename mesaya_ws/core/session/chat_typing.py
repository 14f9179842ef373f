"""What clients say of their typing in conversations; who is told, and until when it counts, `typists` say."""

from mesaya_ws.core.interactions.chat_records import GUEST
from mesaya_ws.core.session.participant import participant
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire.messages import Typing


def type_in(session: Session, message: Typing) -> None:
    """Let those in a conversation know that a client is typing, or not any more. Raises `MessageError`.

    Of a guest whom the restaurant has blocked, they are sent nothing; nor before the log says whose restaurant it is.
    """
    client, feed = participant(session, message), session.feed
    conversation = feed.known.conversation(client.key)
    is_blocked = client.side == GUEST and conversation is not None and conversation.blocked
    if feed.live and not is_blocked:
        session.presence.typing(session, client.channel.name, client.side, is_typing=message.typing)
