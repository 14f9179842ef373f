"""What clients may write in conversations, and how they are answered.

    message ──▶ who? may they? does it say something new? within the limits? ──▶ a record ──▶ the log
                  │ no                                                              │
                  ▼                                                                 ▼
                answered at once                                     answered when it was read back

The sender is stamped here, from the identity. Here it is decided what goes into the log; what becomes of it is decided
when it is read back (`core.interactions.conversation`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve

from mesaya_ws.core.access.channels import CONVERSATION, Channel, parse_channel
from mesaya_ws.core.access.rights import Action
from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.chat_records import (
    ADMIN,
    GUEST,
    RESTAURANT,
    Blocked,
    ChatRecord,
    ConversationKey,
    Deleted,
    Edited,
    ReadUpTo,
    Said,
    attachments_in,
    chat_record,
)
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.strict import BadFieldError, chat_text, optional_identifier
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Appended, Partition
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.session.commands import AppendResult, Command, Delay, TooManyAppendsError
from mesaya_ws.core.session.rights import has_right
from mesaya_ws.core.session.sender_limits import UNANSWERED
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.core.wire.messages import (
    Block,
    ChatMessage,
    Delete,
    Edit,
    History,
    MessageError,
    Publish,
    Read,
    encode,
)

MAX_HISTORY = 100
"""Messages that one answer to `history` holds."""


def converse(session: Session, message: ChatMessage) -> Command | bytes:
    """Return what is to be appended for a client, or the frame of the answer. Raises `MessageError`."""
    request = _Request(session, message)
    result = request.handle()
    if isinstance(message, Publish):
        session.presence.typing(session, request.channel.name, request.side, is_typing=False)
    return result


class _Request:
    """One message of a client."""

    def __init__(self, session: Session, message: ChatMessage) -> None:
        identity, feed = session.identity, session.feed
        self.rules = session.chat
        self.message = message
        self.feed: Published = feed
        channel = parse_channel(message.channel)
        if channel is None or channel.kind is not CONVERSATION:
            raise self.error(codes.BAD_CHANNEL, f"There is no conversation {message.channel[:200]!r}.")
        action = Action.BLOCK if isinstance(message, Block) else Action.SPEAK
        # Before the feed is live, the log may still say whose restaurant it is.
        if identity is None or (feed.live and not has_right(session, action, channel)):
            sentence = f"The conversation {message.channel!r} is not yours."
            if action is Action.BLOCK and has_right(session, Action.SPEAK, channel):
                sentence = "Only the restaurant can block."
            raise self.error(codes.UNAUTHORIZED, sentence)
        if not feed.live:
            raise self.error(codes.UNAVAILABLE, "What the event log holds is still being read: try again in a moment.")
        self.channel: Channel = channel
        self.user = identity.user
        self.key = ConversationKey(channel.subject or "", channel.guest or "")
        self.side = GUEST if identity.user == channel.guest else RESTAURANT

    def handle(self) -> Command | bytes:
        match self.message:
            case Publish():
                return self._publish(self.message)
            case Edit():
                return self._edit(self.message)
            case Delete():
                return self._delete(self.message)
            case Read():
                return self._read(self.message)
            case History():
                return self._history(self.message)
            case Block():
                return self._block(self.message)

    @property
    def conversation(self) -> Conversation | None:
        return self.feed.known.chats.get(self.key)

    def _publish(self, message: Publish) -> Command | bytes:
        said = self._said(message)
        conversation = self.conversation
        if conversation is not None and conversation.find(said.id) is not None:
            return self._published(said)  # a retry, of which the log knows already
        if not self.feed.known.facts.has_restaurant(self.key.restaurant):
            raise self.error(codes.UNKNOWN_RESTAURANT, f"No restaurant {self.key.restaurant!r} is known.")
        if self.side == GUEST and conversation is not None:
            self._check_not_blocked(conversation)
            if not conversation.answered and conversation.asked >= UNANSWERED:
                sentence = f"After {UNANSWERED} messages, wait until the restaurant has answered."
                raise self.error(codes.TOO_OFTEN, sentence, retry_in=3600.0)
        self._count(begins=self.channel.name if conversation is None and self.side == GUEST else None)
        return self._command(said, partial(self._published, said))

    def _said(self, message: Publish) -> Said:
        data = message.data
        self._check_id(message.messageId)
        if unknown := data.keys() - {"text", "attachments", "replyTo"}:
            raise self.error(codes.BAD_MESSAGE, f"In data, {min(unknown)[:64]!r} means nothing.")
        try:
            attachments = attachments_in(data)
            text, reply_to = chat_text(data), optional_identifier(data, "replyTo")
        except BadFieldError as error:
            raise self.error(codes.BAD_MESSAGE, f"In data, {error}.") from None
        for url in attachments:
            if not self.rules.may_attach(url):
                raise self.error(codes.BAD_MESSAGE, "An attachment's host is none of ATTACHMENT_HOSTS.")
        return Said(self.key, message.messageId, self.side, self.user, text, attachments, reply_to)

    def _published(self, said: Said) -> bytes:
        """Answer by what the first message of that id says."""
        known = self.conversation and self.conversation.find(said.id)
        if not known:
            return self.error_frame(codes.NOT_FOUND, "The message was written, and has been forgotten since.")
        if known.digest != said.digest():
            return self.error_frame(codes.CONFLICT, f"The message {said.id} exists, and says something else.")
        return self._answer(known.offset, messageId=said.id)

    def _edit(self, message: Edit) -> Command:
        known = self._known(message.messageId)
        if known.side != self.side:
            raise self.error(codes.NOT_ALLOWED, "Only its own side can edit a message.")
        if known.deleted_by is not None:
            raise self.error(codes.NOT_FOUND, "The message has been deleted.")
        try:
            text = chat_text(message.data)
        except BadFieldError as error:
            raise self.error(codes.BAD_MESSAGE, f"In data, {error}.") from None
        self._check_not_blocked(self._existing())
        self._count()
        return self._command(Edited(self.key, known.id, self.side, text), None, messageId=known.id)

    def _delete(self, message: Delete) -> Command | bytes:
        known = self._known(message.messageId)
        owner = self.feed.known.facts.owner_of(self.key.restaurant)
        by = self.side if self.side == GUEST or owner == self.user else ADMIN
        if not known.may_delete(by):
            raise self.error(codes.NOT_ALLOWED, "The message is not yours.")
        if known.deleted_by is not None:
            return self._answer(known.offset, messageId=known.id)
        self._count()
        return self._command(Deleted(self.key, known.id, by), None, messageId=known.id)

    def _read(self, message: Read) -> Command | bytes:
        conversation = self._existing()
        up_to = self._offset(message.position, conversation)
        if up_to <= conversation.marks.of(self.side):
            return self._mark()
        command = self._command(ReadUpTo(self.key, self.side, up_to), self._mark)
        wait = self.rules.limits.mark(self.user, self.channel.name, self.rules.clock())
        if not wait:
            return command
        return evolve(command, delay=Delay((self.user, self.channel.name), wait, up_to))

    def _mark(self) -> bytes:
        """Answer by where the mark is, which is not where its record is: between them, others may have written."""
        conversation = self.conversation
        return self._answer(-1 if conversation is None else conversation.marks.of(self.side))

    def _history(self, message: History) -> bytes:
        if not 1 <= message.limit <= MAX_HISTORY:
            raise self.error(codes.BAD_MESSAGE, f"limit must be 1 to {MAX_HISTORY}.")
        conversation = self.conversation
        state: dict[str, Any] = {"messages": [], "before": None}
        if conversation is not None:
            before = None if message.before is None else self._offset(message.before, conversation)
            state = self.feed.known.chat_history(conversation, before, message.limit)
        head = encode("history", id=message.id, channel=self.channel.name, **state)
        if state["before"] is None:  # which says that this was the beginning
            head = head[:-1] + b',"before":null}'
        return text_frame(head)

    def _block(self, message: Block) -> Command | bytes:
        conversation = self.conversation
        if conversation is not None and conversation.blocked == message.blocked:
            last = conversation.last
            return self._answer(last.offset if last else -1)
        self._count()
        return self._command(Blocked(self.key, message.blocked), None)

    # What they have in common

    def _existing(self) -> Conversation:
        conversation = self.conversation
        if conversation is None:
            raise self.error(codes.NOT_FOUND, "Nobody has written here yet.")
        return conversation

    def _known(self, id: str) -> Any:
        self._check_id(id)
        known = self._existing().find(id)
        if known is None:
            raise self.error(codes.NOT_FOUND, f"No message {id} is known here.")
        return known

    def _check_not_blocked(self, conversation: Conversation) -> None:
        if self.side == GUEST and conversation.blocked:
            raise self.error(codes.NOT_ALLOWED, "The restaurant does not take messages from you.")

    def _check_id(self, id: str) -> None:
        if IDENTIFIER.fullmatch(id) is None:
            raise self.error(codes.BAD_MESSAGE, f"messageId must be {IDENTIFIER_FORM}")

    def _offset(self, position: str, conversation: Conversation) -> int:
        """Return the offset of the last record before a position."""
        places = self.feed.read_position(self.channel, position)
        next_offset = None if places is None else places.get(Partition(CHAT, conversation.partition))
        if not next_offset:
            raise self.error(codes.BAD_MESSAGE, "The position is none of this conversation.")
        return next_offset - 1

    def _count(self, *, begins: str | None = None) -> None:
        wait = self.rules.limits.write(self.user, self.rules.clock(), begins=begins)
        if wait is not None:
            what = "messages" if begins is None else "messages or new conversations"
            raise self.error(codes.TOO_OFTEN, f"Too many {what}: try again in {wait:g} seconds.", retry_in=wait)

    def _command(self, said: ChatRecord, answer: Callable[[], bytes] | None, **fields: object) -> Command:
        record = chat_record(said, platform_time(self.rules.time_ms()))

        def on_result(result: AppendResult) -> bytes:
            if isinstance(result, Appended):
                return self._answer(result.offset, **fields) if answer is None else answer()
            code = codes.TOO_OFTEN if isinstance(result, TooManyAppendsError) else codes.UNAVAILABLE
            return self.error_frame(code, str(result), 1.0 if code is codes.TOO_OFTEN else None)

        return Command(record, on_result, is_read_back=True)

    def _answer(self, offset: int, **fields: object) -> bytes:
        conversation = self.conversation
        partition = Partition(CHAT, conversation.partition if conversation else 0)
        position = self.feed.position_at(self.channel, partition, offset + 1)
        return text_frame(
            encode("published", id=self.message.id, channel=self.channel.name, **fields, position=position)
        )

    def error(self, code: codes.ErrorCode, sentence: str, retry_in: float | None = None) -> MessageError:
        return MessageError(code, sentence, id=self.message.id, channel=self.message.channel[:512], retry_in=retry_in)

    def error_frame(self, code: codes.ErrorCode, sentence: str, retry_in: float | None = None) -> bytes:
        fields = {"id": self.message.id, "channel": self.message.channel, "retryIn": retry_in}
        return text_frame(encode("error", code=code.name, message=sentence, **fields))
