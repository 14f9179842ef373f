"""What clients send: JSON objects in text frames, distinguished by `type`."""

from typing import Any, NoReturn

import orjson
from attrs import field, frozen
from cattrs.errors import ClassValidationError

from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.json_text import read_json
from mesaya_ws.core.wire.structuring import first_problem, strict_converter

Id = str | int | float | None
"""What a client calls a message by; the answer repeats it just so."""

LONGEST_ID = 256
"""Characters that an id may have: it is kept for as long as its subscription waits for an answer."""


@frozen
class Subscribe:
    """`{"type": "subscribe", "channel": …}`.

    With the `position` of the last event seen, to go on from there; with `snapshot: true`, to get the state first; with
    `history`, and neither of these, to get so many of the last events first; with `presence: true`, to be sent who is
    on the channel, and changes of that.
    """

    channel: str
    id: Id = None
    position: str | None = None
    snapshot: bool = False
    presence: bool = False
    history: int = 0


@frozen
class Unsubscribe:
    """`{"type": "unsubscribe", "channel": …}`."""

    channel: str
    id: Id = None


@frozen
class Ping:
    """`{"type": "ping"}`: for clients that cannot send ping frames (browsers)."""

    id: Id = None


class _Absent(str):
    """A text that no client can send."""


NO_TOKEN = _Absent()
"""What stands for a token that is not there, and is to be asked for by `is`: a token may be null, which says that the
client signs out, or any text."""


@frozen
class Auth:
    """`{"type": "auth", "token": …}`: who the client is from now on; null: nobody.

    With AUTH=off: `{"type": "auth", "user": "u1", "roles": […]}`.
    """

    id: Id = None
    token: str | None = field(default=NO_TOKEN, repr=False)
    user: str | None = None
    roles: list[Any] = field(factory=list)


@frozen
class Publish:
    """`{"type": "publish", "channel", "messageId", "data": {"text", "attachments"?, "replyTo"?}}`: a chat message."""

    channel: str
    messageId: str  # noqa: N815 - the wire's name
    data: dict[str, Any]
    id: Id = None


@frozen
class Edit:
    """`{"type": "edit", "channel", "messageId", "data": {"text"}}`: another text for a message of one's own."""

    channel: str
    messageId: str  # noqa: N815
    data: dict[str, Any]
    id: Id = None


@frozen
class Delete:
    """`{"type": "delete", "channel", "messageId"}`: no text any more."""

    channel: str
    messageId: str  # noqa: N815
    id: Id = None


@frozen
class Read:
    """`{"type": "read", "channel", "position"}`: everything has been read up to there."""

    channel: str
    position: str
    id: Id = None


@frozen
class History:
    """`{"type": "history", "channel", "before"?, "limit"?}`: messages before a position, or the latest ones."""

    channel: str
    id: Id = None
    before: str | None = None
    limit: int = 50


@frozen
class Block:
    """`{"type": "block", "channel", "blocked"}`: the guest may not write any more, or may again."""

    channel: str
    blocked: bool
    id: Id = None


@frozen
class Typing:
    """`{"type": "typing", "channel", "typing"}`: the client is typing in a conversation, or not any more; no answer."""

    channel: str
    typing: bool
    id: Id = None


@frozen
class Acknowledge:
    """`{"type": "reservation.ack", "reservationId"}`: the restaurant has taken note of a reservation."""

    reservationId: str  # noqa: N815
    id: Id = None


@frozen
class SelectTables:
    """`{"type": "table.select", "restaurantId", "tableIds", "from"?, "to"?, "holdId"}`: tables are to be held.

    For a slot; or, without `from`, the tables as such.
    """

    restaurantId: str  # noqa: N815
    tableIds: list[Any]  # noqa: N815
    holdId: str  # noqa: N815
    id: Id = None
    from_: str | None = None
    to: str | None = None


@frozen
class ReleaseTables:
    """`{"type": "table.release", "holdId"}`: they need be held no longer."""

    holdId: str  # noqa: N815
    id: Id = None


ChatMessage = Publish | Edit | Delete | Read | History | Block | Typing
ClientMessage = Subscribe | Unsubscribe | Ping | Auth | Acknowledge | SelectTables | ReleaseTables | ChatMessage
TYPES: dict[str, type[ClientMessage]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "ping": Ping,
    "auth": Auth,
    "publish": Publish,
    "edit": Edit,
    "delete": Delete,
    "read": Read,
    "history": History,
    "block": Block,
    "typing": Typing,
    "reservation.ack": Acknowledge,
    "table.select": SelectTables,
    "table.release": ReleaseTables,
}
_CONVERTER = strict_converter()


class MessageError(Exception):
    """A message that is answered with an error; `id` and `channel` are echoed where the message held them.

    `retry_in` are the seconds after which the client may try again, if that depends on time alone.
    """

    def __init__(
        self,
        error: codes.ErrorCode,
        sentence: str,
        *,
        id: object = None,
        channel: str | None = None,
        retry_in: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.retry_in = retry_in
        self.error = error
        self.sentence = sentence
        self.id = id
        self.channel = channel


def parse(text: str) -> ClientMessage:
    """Understand a client's message. Raises `MessageError` with the error to answer."""
    try:
        fields = read_json(text)
    except orjson.JSONDecodeError as error:
        raise MessageError(codes.BAD_JSON, f"The message is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise MessageError(codes.BAD_JSON, 'A message is a JSON object with a "type".')
    kind = fields.pop("type", None)
    if not isinstance(kind, str):
        _refuse(fields, codes.BAD_MESSAGE, 'A message needs a "type", which is text.')
    if kind not in TYPES:
        _refuse(fields, codes.UNKNOWN_TYPE, f"No message of type {kind[:64]!r} exists; there are: {', '.join(TYPES)}.")
    try:
        message = _CONVERTER.structure(fields, TYPES[kind])
    except ClassValidationError as error:
        _refuse(fields, codes.BAD_MESSAGE, f"In {kind!r}, {first_problem(error)}.")
    if isinstance(message.id, str) and len(message.id) > LONGEST_ID:
        _refuse(fields, codes.BAD_MESSAGE, f"An id has at most {LONGEST_ID} characters.")
    return message


def _refuse(fields: dict[str, Any], error: codes.ErrorCode, sentence: str) -> NoReturn:
    channel = fields.get("channel")
    raise MessageError(
        error, sentence, id=_echo(fields.get("id")), channel=channel if isinstance(channel, str) else None
    )


def _echo(id: object) -> object:
    """Return the `id` of a message that is refused, so that the client knows which one it was, whatever its type is."""
    try:
        orjson.dumps(id)
    except orjson.JSONEncodeError:  # it is nested more deeply than can be written
        return None
    return id
