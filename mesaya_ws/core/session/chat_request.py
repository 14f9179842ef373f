"""What a client asks for in a conversation, whatever it is: what is known of that, and how it is answered."""

from collections.abc import Callable

from mesaya_ws.core.interactions.chat_message import ChatMessage as KnownMessage
from mesaya_ws.core.interactions.chat_records import GUEST, ChatRecord, chat_record
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Appended, Partition
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.session.commands import AppendResult, Command, TooManyAppendsError
from mesaya_ws.core.session.participant import chat_error, participant
from mesaya_ws.core.session.rights import still_reading
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.core.wire.messages import ChatMessage, MessageError


class ChatRequest:
    """A message of a client that may send it, which is a participant of the conversation.

    What checks something raises `MessageError`, as making one does: also until the feed is live.
    """

    def __init__(self, session: Session, message: ChatMessage) -> None:
        client = participant(session, message)
        self.rules = session.chat
        self.message = message
        self.feed = session.feed
        if not self.feed.live:
            raise still_reading(message.id, message.channel)
        self.channel, self.key, self.user, self.side = client.channel, client.key, client.user, client.side

    @property
    def conversation(self) -> Conversation | None:
        """The conversation, if anybody has written there."""
        return self.feed.known.conversation(self.key)

    def existing(self) -> Conversation:
        """Return the conversation."""
        conversation = self.conversation
        if conversation is None:
            raise self.error(codes.NOT_FOUND, "Nobody has written here yet.")
        return conversation

    def known(self, id: str) -> KnownMessage:
        """Return the message of the conversation with that id."""
        self.check_id(id)
        known = self.existing().find(id)
        if known is None:
            raise self.error(codes.NOT_FOUND, f"No message {id} is known here.")
        return known

    def offset(self, position: str, conversation: Conversation) -> int:
        """Return the offset of the last record before a position."""
        places = self.feed.read_position(self.channel, position)
        next_offset = None if places is None else places.get(Partition(CHAT, conversation.partition))
        if not next_offset:
            raise self.error(codes.BAD_MESSAGE, "The position is none of this conversation.")
        return next_offset - 1

    # Whether a record may be appended

    def check_id(self, id: str) -> None:
        """Check the id of a message."""
        if IDENTIFIER.fullmatch(id) is None:
            raise self.error(codes.BAD_MESSAGE, f"messageId must be {IDENTIFIER_FORM}")

    def check_not_blocked(self, conversation: Conversation) -> None:
        """Check that the client is no guest whom the restaurant has blocked."""
        if self.side == GUEST and conversation.blocked:
            raise self.error(codes.NOT_ALLOWED, "The restaurant does not take messages from you.")

    def count(self, *, begins: str | None = None) -> None:
        """Count a record of the user, which may be the first one of a conversation (`begins`), within the limits."""
        wait = self.rules.limits.write(self.user, self.rules.clock(), begins=begins)
        if wait is not None:
            what = "messages" if begins is None else "messages or new conversations"
            raise self.error(codes.TOO_OFTEN, f"Too many {what}: try again in {wait:g} seconds.", retry_in=wait)

    # Answers

    def command(self, said: ChatRecord, answer: Callable[[], bytes] | None = None, **fields: object) -> Command:
        """Return the command that appends a record, which is answered once it was read back: by its place, or so."""
        record = chat_record(said, platform_time(self.rules.time_ms()))

        def on_result(result: AppendResult) -> bytes:
            if isinstance(result, Appended):
                return self.answer(result.offset, **fields) if answer is None else answer()
            code = codes.TOO_OFTEN if isinstance(result, TooManyAppendsError) else codes.UNAVAILABLE
            return self.error_frame(code, str(result), 1.0 if code is codes.TOO_OFTEN else None)

        return Command(record, on_result, is_read_back=True)

    def answer(self, offset: int, **fields: object) -> bytes:
        """Return the frame that says that a record is in the log, at an offset."""
        conversation = self.conversation
        partition = Partition(CHAT, conversation.partition if conversation else 0)
        position = self.feed.position_at(self.channel, partition, offset + 1)
        return text_frame(
            encode("published", id=self.message.id, channel=self.channel.name, **fields, position=position)
        )

    def error(self, code: codes.ErrorCode, sentence: str, retry_in: float | None = None) -> MessageError:
        """Return the error that answers the message."""
        return chat_error(self.message, code, sentence, retry_in)

    def error_frame(self, code: codes.ErrorCode, sentence: str, retry_in: float | None = None) -> bytes:
        """Return the frame of that error, for what is answered later."""
        fields = {"id": self.message.id, "channel": self.message.channel, "retryIn": retry_in}
        return text_frame(encode("error", code=code.name, message=sentence, **fields))
