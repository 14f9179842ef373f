"""What clients may write in conversations, and how they are answered.

    message ──▶ who? may they? does it say something new? within the limits? ──▶ a record ──▶ the log
                  │ no                                                              │
                  ▼                                                                 ▼
                answered at once                                     answered when it was read back

The sender is stamped here, from the identity. Here it is decided what goes into the log; what becomes of it is decided
when it is read back (`core.interactions.conversation`).

Each function returns what is to be appended for a client, or the frame of the answer, and raises `MessageError`.
"""

from functools import partial
from typing import Any

from attrs import evolve

from mesaya_ws.core.interactions.chat_records import (
    ADMIN,
    GUEST,
    Blocked,
    Deleted,
    Edited,
    ReadUpTo,
    Said,
    attachments_in,
)
from mesaya_ws.core.interactions.strict import BadFieldError, chat_text, optional_identifier
from mesaya_ws.core.session.chat_request import ChatRequest
from mesaya_ws.core.session.commands import Command, Delay
from mesaya_ws.core.session.sender_limits import UNANSWERED
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.encoding import encode_with_nulls
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import Block, Delete, Edit, History, Publish, Read

MAX_HISTORY = 100
"""Messages that one answer to `history` holds."""


def publish(session: Session, message: Publish) -> Command | bytes:
    """Say something; who does is not typing any more."""
    request = ChatRequest(session, message)
    result = _say(request, message)
    session.presence.typing(session, request.channel.name, request.side, is_typing=False)
    return result


def _say(request: ChatRequest, message: Publish) -> Command | bytes:
    said = _said(request, message)
    conversation = request.conversation
    if conversation is not None and conversation.find(said.id) is not None:
        return _published(request, said)  # a retry, of which the log knows already
    if not request.feed.known.facts.has_restaurant(request.key.restaurant):
        raise request.error(codes.UNKNOWN_RESTAURANT, f"No restaurant {request.key.restaurant!r} is known.")
    if request.side == GUEST and conversation is not None:
        request.check_not_blocked(conversation)
        if not conversation.answered and conversation.asked >= UNANSWERED:
            sentence = f"After {UNANSWERED} messages, wait until the restaurant has answered."
            raise request.error(codes.TOO_OFTEN, sentence, retry_in=3600.0)
    request.count(begins=request.channel.name if conversation is None and request.side == GUEST else None)
    return request.command(said, partial(_published, request, said))


def _said(request: ChatRequest, message: Publish) -> Said:
    data = message.data
    request.check_id(message.messageId)
    if unknown := data.keys() - {"text", "attachments", "replyTo"}:
        raise request.error(codes.BAD_MESSAGE, f"In data, {min(unknown)[:64]!r} means nothing.")
    try:
        attachments = attachments_in(data)
        text, reply_to = chat_text(data), optional_identifier(data, "replyTo")
    except BadFieldError as error:
        raise request.error(codes.BAD_MESSAGE, f"In data, {error}.") from None
    for url in attachments:
        if not request.rules.may_attach(url):
            raise request.error(codes.BAD_MESSAGE, "An attachment's host is none of ATTACHMENT_HOSTS.")
    return Said(request.key, message.messageId, request.side, request.user, text, attachments, reply_to)


def _published(request: ChatRequest, said: Said) -> bytes:
    """Answer by what the first message of that id says."""
    known = request.conversation and request.conversation.find(said.id)
    if not known:
        return request.error_frame(codes.NOT_FOUND, "The message was written, and has been forgotten since.")
    if known.digest != said.digest():
        return request.error_frame(codes.CONFLICT, f"The message {said.id} exists, and says something else.")
    return request.answer(known.offset, messageId=said.id)


def edit(session: Session, message: Edit) -> Command:
    """Say something else than in a message of one's own side."""
    request = ChatRequest(session, message)
    known = request.known(message.messageId)
    if known.side != request.side:
        raise request.error(codes.NOT_ALLOWED, "Only its own side can edit a message.")
    if known.deleted_by is not None:
        raise request.error(codes.NOT_FOUND, "The message has been deleted.")
    try:
        text = chat_text(message.data)
    except BadFieldError as error:
        raise request.error(codes.BAD_MESSAGE, f"In data, {error}.") from None
    request.check_not_blocked(request.existing())
    request.count()
    return request.command(Edited(request.key, known.id, request.side, text), messageId=known.id)


def delete(session: Session, message: Delete) -> Command | bytes:
    """Take a message back."""
    request = ChatRequest(session, message)
    known = request.known(message.messageId)
    owner = request.feed.known.facts.owner_of(request.key.restaurant)
    by = request.side if request.side == GUEST or owner == request.user else ADMIN
    if not known.may_delete(by):
        raise request.error(codes.NOT_ALLOWED, "The message is not yours.")
    if known.deleted_by is not None:
        return request.answer(known.offset, messageId=known.id)
    request.count()
    return request.command(Deleted(request.key, known.id, by), messageId=known.id)


def read(session: Session, message: Read) -> Command | bytes:
    """Note up to where one's side has read."""
    request = ChatRequest(session, message)
    conversation = request.existing()
    up_to = request.offset(message.position, conversation)
    if up_to <= conversation.marks.of(request.side):
        return _mark(request)
    command = request.command(ReadUpTo(request.key, request.side, up_to), partial(_mark, request))
    wait = request.rules.limits.mark(request.user, request.channel.name, request.rules.clock())
    if not wait:
        return command
    return evolve(command, delay=Delay((request.user, request.channel.name), wait, up_to))


def _mark(request: ChatRequest) -> bytes:
    """Answer by where the mark is, which is not where its record is: between them, others may have written."""
    conversation = request.conversation
    return request.answer(-1 if conversation is None else conversation.marks.of(request.side))


def history(session: Session, message: History) -> bytes:
    """Answer with earlier messages; that `before` is null says that this was the beginning."""
    request = ChatRequest(session, message)
    if not 1 <= message.limit <= MAX_HISTORY:
        raise request.error(codes.BAD_MESSAGE, f"limit must be 1 to {MAX_HISTORY}.")
    conversation = request.conversation
    state: dict[str, Any] = {"messages": [], "before": None}
    if conversation is not None:
        before = None if message.before is None else request.offset(message.before, conversation)
        state = request.feed.known.chat_history(conversation, before, message.limit)
    return text_frame(encode_with_nulls("history", message.id, channel=request.channel.name, **state))


def block(session: Session, message: Block) -> Command | bytes:
    """Take no messages of the guest any more, or take them again."""
    request = ChatRequest(session, message)
    conversation = request.conversation
    if conversation is not None and conversation.blocked == message.blocked:
        last = conversation.last
        return request.answer(last.offset if last else -1)
    request.count()
    return request.command(Blocked(request.key, message.blocked))
