"""Chat: its records, and what conversations and inboxes show.

One record is at most one message on the conversation and on each of its two inboxes. Names are those by which users
and restaurants are known now. A user who was erased has no name, and what the user had said is gone everywhere.
"""

from itertools import islice, takewhile
from typing import Any

from mesaya_ws.core.access.channels import (
    CONVERSATION,
    Channel,
    conversation_channel,
    restaurant_channel,
    user_inbox,
)
from mesaya_ws.core.interactions.chat_message import ChatMessage
from mesaya_ws.core.interactions.chat_records import (
    GUEST,
    RESTAURANT,
    Blocked,
    ChatRecord,
    ConversationKey,
    Deleted,
    Edited,
    Erased,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.envelope import Interaction, platform_time
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.chat_redactions import DELETED_USER, deletion, erasure
from mesaya_ws.core.views.contents import ChannelState, View

SHOWN = 50
"""Messages in the snapshot of a conversation, and conversations in that of an inbox."""

LOOKED_AT = 3 * SHOWN
"""Conversations that are looked at for the snapshot of an inbox: some may be forgotten, and not swept up yet."""

PREVIEW = 120
"""Characters of a message that an inbox shows."""


def chat_rule(said: ChatRecord, event: Interaction, projections: Projections) -> Outcome:
    """Apply a record of chat, and return what it says on the conversation and on both inboxes."""
    at, partition, offset = event.at
    change = projections.chats.apply(said, partition, offset, at)
    if isinstance(said, Erased):
        outcome = Outcome((), Disposition.PUBLISHED)
        outcome.redactions = erasure(said.user, projections)
        return outcome
    if change is None:
        return Outcome((), Disposition.VOID)
    conversation, message = change
    kind, data = _event(said, conversation, message, projections)
    channel = conversation_channel(*conversation.key)
    messages = [Message(channel, kind, event.timestamp, data)]
    for inbox, side in _inboxes(conversation.key):
        shown = conversation_shown(conversation, side, projections)
        messages.append(Message(inbox, "chat.conversation", event.timestamp, shown))
    outcome = outcome_of(messages)
    if isinstance(said, Deleted):
        outcome.redactions = deletion([each.channel for each in messages], said.id)
    return outcome


def _event(
    said: Any, conversation: Conversation, message: ChatMessage | None, projections: Projections
) -> tuple[str, Data]:
    match said:
        case Said() if message is not None:
            return "chat.message", message_shown(conversation, message, projections)
        case Edited() if message is not None:
            edited_at = platform_time(message.edited_at or 0)
            return "chat.edited", {"messageId": message.id, "text": message.text, "editedAt": edited_at}
        case Deleted():
            return "chat.deleted", {"messageId": said.id, "by": said.by}
        case ReadUpTo():
            return "chat.read", {"by": said.by, "upTo": _mark(conversation, said.by, projections)}
        case Blocked():
            return "chat.blocked", {"blocked": said.blocked}
    raise AssertionError(said)


def _inboxes(key: ConversationKey) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the channels of both inboxes, each with the side whose it is."""
    return (restaurant_channel(key.restaurant, "chats"), RESTAURANT), (user_inbox(key.guest), GUEST)


def message_shown(conversation: Conversation, message: ChatMessage, projections: Projections) -> Data:
    """Return a message as its event has it; one that was deleted has no text."""
    restaurant, guest = conversation.key
    is_erased = _is_erased(message.author, conversation, message, projections)
    return {
        "messageId": message.id,
        "restaurantId": restaurant,
        "userId": guest,
        "from": message.side,
        "authorId": message.author,
        "authorName": DELETED_USER if is_erased else projections.names.get(message.author),
        "text": None if is_erased else message.text,
        "attachments": [] if is_erased else list(message.attachments),
        "replyTo": message.reply_to,
        "sentAt": platform_time(message.sent_at),
    }


def _is_erased(user: str, conversation: Conversation, message: ChatMessage, projections: Projections) -> bool:
    return projections.chats.erased.is_erased(user, conversation.partition, message.offset, message.sent_at)


def past_message_shown(conversation: Conversation, message: ChatMessage, projections: Projections) -> Data:
    """Return a message as it stands, with its position, as snapshots and histories have it."""
    shown = message_shown(conversation, message, projections)
    shown["position"] = position_of_offset(conversation, message.offset, projections)
    if message.edited_at is not None:
        shown["editedAt"] = platform_time(message.edited_at)
    if message.deleted_by is not None:
        shown["deletedBy"] = message.deleted_by
    return shown


def position_of_offset(conversation: Conversation, offset: int, projections: Projections) -> str:
    """Return the position of the record at an offset, on the channel of its conversation."""
    channel = conversation_channel(*conversation.key)
    return projections.position_at(channel, CONVERSATION, Partition(CHAT, conversation.partition), offset + 1)


def _mark(conversation: Conversation, side: str, projections: Projections) -> str | None:
    mark = conversation.marks.of(side)
    return None if mark < 0 else position_of_offset(conversation, mark, projections)


def conversation_shown(conversation: Conversation, side: str, projections: Projections) -> Data:
    """Return a conversation as the inbox of a side has it."""
    restaurant, guest = conversation.key
    known = projections.entities["restaurant"].last(restaurant) or {}
    last = conversation.last
    shown: Data = {
        "restaurantId": restaurant,
        "userId": guest,
        "restaurantName": known.get("name"),
        "guestName": _name(conversation, guest, projections),
        "last": None,
        "unread": conversation.unread(side),
        "blocked": conversation.blocked,
    }
    if last is not None:
        is_erased = _is_erased(last.author, conversation, last, projections)
        text = None if is_erased else last.text
        shown["last"] = {
            "messageId": last.id,
            "from": last.side,
            "preview": None if text is None else text[:PREVIEW],
            "sentAt": platform_time(last.sent_at),
        }
    return shown


def _name(conversation: Conversation, user: str, projections: Projections) -> str | None:
    """Return what a guest is called; after an erasure, by name if one of the latest messages is one written since."""
    if projections.chats.erased.is_erased(user, conversation.partition, -1, 0):
        latest = islice(conversation.latest(), SHOWN)
        since = takewhile(lambda message: not _is_erased(user, conversation, message, projections), latest)
        if not any(message.author == user for message in since):
            return DELETED_USER
    return projections.names.get(user)


def conversation_state(view: View) -> ChannelState:
    """Return the latest messages of a conversation as they stand, the latest one last, and both marks.

    `before` is the position from which `history` goes on; None if there is nothing before.
    """
    conversation = _conversation(view.channel, view.projections)
    if conversation is None:
        return {"messages": [], "read": {GUEST: None, RESTAURANT: None}, "blocked": False, "before": None}
    return {
        **history_of(conversation, None, SHOWN, view.projections),
        "read": {side: _mark(conversation, side, view.projections) for side in (GUEST, RESTAURANT)},
        "blocked": conversation.blocked,
    }


def history_of(conversation: Conversation, before: int | None, count: int, projections: Projections) -> ChannelState:
    """Return up to `count` messages before an offset (None: the latest ones), and from where to go on.

    It is `complete: false` where messages before these were forgotten: they are not read from anywhere.
    """
    messages = conversation.before(before, count)
    shown = [past_message_shown(conversation, message, projections) for message in messages]
    has_more = bool(messages) and conversation.has_before(messages[0].offset)
    state: ChannelState = {"messages": shown, "before": shown[0]["position"] if has_more else None}
    if not has_more and (conversation.forgot or projections.chats.forgot):
        state["complete"] = False
    return state


def inbox_state(view: View) -> ChannelState:
    """Return the conversations with the latest records, the latest first, and whether there are more."""
    chats, subject = view.projections.chats, view.channel.subject or ""
    of_restaurant = view.channel.is_of_restaurant
    side = RESTAURANT if of_restaurant else GUEST
    table = chats.conversations
    keys = table.of_restaurant(subject) if of_restaurant else table.of_guest(subject)
    # Forgotten ones that have not been removed yet come last, unless the log's clock was wrong.
    known = (each for each in map(chats.get, islice(keys, LOOKED_AT)) if each is not None)
    latest = list(islice(known, SHOWN + 1))
    shown = [conversation_shown(conversation, side, view.projections) for conversation in latest[:SHOWN]]
    return {"conversations": shown, "more": len(latest) > SHOWN}


def _conversation(channel: Channel, projections: Projections) -> Conversation | None:
    return projections.chats.get(ConversationKey(channel.subject or "", channel.guest or ""))
